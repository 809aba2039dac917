"""The integrator's first hour: from a subnet of 300 unknown devices to cameras that one township
sees, by the commands and forms that an integrator uses."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from openpyxl import load_workbook
from playwright.async_api import Browser

from support.district import ROOT, Service, free_port
from support.page import Wall

DEVICES = 300
# Two subnets of 256: the sweep's pace is by subnet.
NETWORK = "127.84.0.0/23"
TOWNSHIP = "110112006"  # 永顺镇 of the demo district
SETS = [["admin", "first-w0rd"], ["viewer", "sec0nd-word"]]
PATIENCE_S = 240
# What is spoilt in the form: column, value, code of the finding.
ERRORS = (
    ("设备编码", "1101120000132100", "code_not_20_digits"),
    ("设备编码", "32061200001321000777", "code_of_another_division"),
    ("经度", "416.65", "out_of_range"),
    ("纬度", "北边", "degrees_malformed"),
    ("经度", "117.9", "position_outside"),
    ("MAC", "00-00-5E", "mac_malformed"),
    ("监视方位", "上", "unknown_value"),
    ("安装时间", "2099-01-01", "date_in_future"),
    ("设备厂商", "没有这家", "unknown_value"),
    ("IPv4", "300.1.1.1", "ipv4_malformed"),
)


@contextmanager
def subnet(onvif_port: int) -> Iterator[None]:
    """300 simulated devices, each with its streams, by the farm's own command."""
    words = ["--listen", f"127.0.0.1:{free_port()}", "--cameras", str(DEVICES)]
    words += ["--onvif", NETWORK, "--onvif-port", str(onvif_port)]
    words += ["--onvif-devices", str(DEVICES), "--onvif-discovery-port", "0"]
    secrets = {"STREAMHUB_FARM_ONVIF_CREDENTIALS": json.dumps(SETS)}
    with subprocess.Popen(
        [sys.executable, "-m", "streamhub.cli", "farm", *words],
        cwd=ROOT,
        env={**os.environ, **secrets},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for _ in range(2):
            assert "listening" in process.stdout.readline()
        try:
            yield
        finally:
            process.terminate()


class Terminal:
    """The integrator's shell beside the running service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def type(self, *words: str, fails: bool = False) -> str:
        done = await asyncio.to_thread(self._service.cli, *words, check=False)
        assert (done.returncode != 0) == fails, f"{words}: {done.stdout[-2000:]} {done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout

    async def json(self, *words: str) -> Any:
        return json.loads(await self.type(*words, "--json"))


def only(form: Path, codes: set[str]) -> Any:
    """The form with these cameras alone, filled in as far as ONVIF does not tell."""
    book = load_workbook(form)
    sheet = book.active
    at = {cell.value: cell.column for cell in sheet[1]}
    for row in range(sheet.max_row, 1, -1):
        if sheet.cell(row, at["设备编码"]).value not in codes:
            sheet.delete_rows(row)
    for row in range(2, sheet.max_row + 1):
        sheet.cell(row, at["设备名称"]).value = f"新华大街{row}号"
        sheet.cell(row, at["经度"]).value = f"{116.65 + row / 100_000:.5f}"
        sheet.cell(row, at["纬度"]).value = "39.90500"
        sheet.cell(row, at["安装时间"]).value = "2024-01-02"
        sheet.cell(row, at["录像保存天数"]).value = "30"
    return book


async def test_from_a_subnet_to_cameras_that_one_township_sees(
    service: Service, browser: Browser, tmp_path: Path
) -> None:
    port, terminal = free_port(), Terminal(service)
    sets = tmp_path / "sets.txt"
    sets.write_text("root:nobody-has-it\n" + "".join(f"{u}:{w}\n" for u, w in SETS))
    form, spoilt = tmp_path / "form.xlsx", tmp_path / "spoilt.xlsx"
    with subnet(port):
        # Found, with the passwords that serve, and prefilled.
        words = ["discover", NETWORK, "--port", str(port), "--credentials", str(sets)]
        begun = await terminal.json("camera", *words)
        [listed] = await terminal.json("camera", "sweeps")
        assert (listed["id"], listed["state"]) == (begun["id"], "done")
        words = ["sweep", begun["id"], "--import", "--area", TOWNSHIP, "--mint", "001327"]
        swept = await terminal.json("camera", *words)
        assert (swept["state"], swept["found"], len(swept["devices"])) == ("done", DEVICES, DEVICES)
        assert {each["credential_set"] for each in swept["devices"]} == {"line 2", "line 3"}
        plan = await terminal.json("camera", "imports", swept["import"]["id"])
        assert plan["counts"]["add"] == DEVICES, [r["findings"] for r in plan["rows"]][:3]
        await terminal.type("camera", "apply-import", plan["id"])
        codes = {row["code"] for row in plan["rows"]}
        assert len(codes) == DEVICES

        # Nobody sees them yet but who manages them.
        async with service.client("yongshun") as operator:
            listed = await operator.get("/api/v1/channels", params={"q": "127.84."})
            assert listed.json()["total"] == 0

        # The form goes out, comes back with ten mistakes, and each is named by row and column.
        await terminal.type(
            "camera", "export", str(form), "--template", "archive-27", "--area", TOWNSHIP
        )
        book = only(form, codes)
        sheet = book.active
        at = {cell.value: cell.column for cell in sheet[1]}
        assert sheet.max_row == DEVICES + 1
        book.save(form)
        for number, (column, value, _) in enumerate(ERRORS):
            sheet.cell(20 * number + 5, at[column]).value = value
        book.save(spoilt)
        words = ["import", str(spoilt), "--template", "archive-27", "--dry-run"]
        said = await terminal.type("camera", *words, fails=True)
        named = [line.split("  ")[:3] for line in said.splitlines() if line.startswith("row ")]
        errors = [[f"row {20 * n + 5}", column, code] for n, (column, _, code) in enumerate(ERRORS)]
        assert [each for each in errors if each not in named] == []
        assert f"{len(ERRORS)} refused" in said

        # Corrected and applied.
        words = ["import", str(form), "--template", "archive-27", "--apply"]
        applied = await terminal.json("camera", *words)
        assert (applied["state"], applied["counts"]["change"]) == ("applied", DEVICES)

        async with service.client("admin") as chief:
            page = await chief.get(
                "/api/v1/channels", params={"q": "新华大街", "filing": "draft", "limit": 500}
            )
            cameras = [each for each in page.json()["items"] if each["code"] in codes]
            assert len(cameras) == DEVICES
            ids = [each["id"] for each in cameras]

            # Inspected: every one plays.
            body = {"channel_ids": ids, "profiles": ["sub"]}
            run = (await chief.post("/api/v1/inspections", json=body)).json()
            deadline = asyncio.get_running_loop().time() + PATIENCE_S
            while run["state"] == "running":
                assert asyncio.get_running_loop().time() < deadline, run
                await asyncio.sleep(0.5)
                run = (await chief.get(f"/api/v1/inspections/{run['id']}")).json()
            card = await chief.get(
                f"/api/v1/channels/{ids[0]}/inspection", params={"profile": "sub"}
            )
            assert run["counts"].get("plays") == DEVICES, (
                run["counts"],
                card.json()["findings"],
                card.json()["facts"],
            )

            # Reviewed by a second person, filed.
            for step in ("review", "file"):
                body = {"step": step, "import_id": plan["id"]}
                answer = await chief.post("/api/v1/channel-filing", json=body)
                assert answer.status_code == 200, answer.text

        # Seen by the right township, and by no other.
        camera = cameras[0]
        async with service.client("yongshun") as operator:
            listed = await operator.get("/api/v1/channels", params={"q": "新华大街5号"})
            assert camera["code"][:10] in listed.text
            assert (await operator.get(f"/api/v1/channels/{camera['id']}")).status_code == 200
        async with service.client("liyuan") as neighbour:
            answer = await neighbour.get(f"/api/v1/channels/{camera['id']}")
            assert answer.status_code == 404

        # Played.
        wall = Wall(await browser.new_page(), service)
        await wall.sign_in("yongshun")
        await wall.open_channel(camera)
        await wall.wait_decoding()
    assert "nobody-has-it" not in service.log_path.read_text()
    assert not [word for _, word in SETS if word in service.log_path.read_text()]

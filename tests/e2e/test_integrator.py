"""The integrator's first hour: from a subnet of 300 unknown devices to cameras that one township
sees, by the commands and forms that an integrator uses."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from playwright.async_api import Browser

from support.district import Service, free_port
from support.page import Wall
from support.subnet import DEVICES, ERRORS, NETWORK, SETS, TOWNSHIP, errors_of, only, spoil, subnet

PATIENCE_S = 240


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
        assert sheet.max_row == DEVICES + 1
        book.save(form)
        spoil(book)
        book.save(spoilt)
        words = ["import", str(spoilt), "--template", "archive-27", "--dry-run"]
        said = await terminal.type("camera", *words, fails=True)
        named = [line.split("  ")[:3] for line in said.splitlines() if line.startswith("row ")]
        errors = [[f"row {row}", column, code] for row, column, code in errors_of()]
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

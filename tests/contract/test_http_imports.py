"""Imports, exports, lint, versions and codes over HTTP."""

from __future__ import annotations

import asyncio
import io
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from openpyxl import load_workbook

from camera_registry.importers.fields import fields
from camera_registry.importers.said import chinese
from support.http_kit import a_service, problem
from support.patience import PATIENCE_S
from support.workbooks import parts

HEADINGS = "设备编码,设备名称,所属区域编码,主码流地址,设备用户名,设备口令,安装地址,颜色"
FILE = f"""{HEADINGS}
11011200111310000001,路口一,110112001,rtsp://127.0.0.1:1/cam/1/main,,,新华大街1号,红
11011200111310000099,新路口,110112001,rtsp://192.0.2.9/main,ops,s3cret-word,,
1234,坏,110112001,rtsp://192.0.2.10/main,,,,
"""


async def send(client: httpx.AsyncClient, file: str, **params: Any) -> dict[str, Any]:
    answer = await client.post(
        "/api/v1/imports",
        params={"name": "cameras.csv", "template": "full", **params},
        content=file.encode(),
    )
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    deadline = time.monotonic() + PATIENCE_S
    while job["state"] == "checking":
        assert time.monotonic() < deadline, job
        await asyncio.sleep(0.05)
        job = (await client.get(f"/api/v1/imports/{job['id']}")).json()
    return job


async def test_a_file_is_planned_applied_and_undone(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        job = await send(client, FILE)
        assert (job["state"], job["rows_done"], job["created_by"]) == ("checked", 3, "admin")
        assert job["counts"] == {"add": 1, "change": 1, "same": 0, "refused": 1, "warnings": 1}
        path = f"/api/v1/imports/{job['id']}"
        rows = (await client.get(f"{path}/rows")).json()
        assert [(r["row"], r["verdict"]) for r in rows["items"]] == [
            (2, "change"),
            (3, "add"),
            (4, "refused"),
        ]
        assert rows["next_after"] is None
        changed, _, refused = rows["items"]
        [unknown] = changed["findings"]  # once, though two rows have such a cell
        assert (unknown["column"], unknown["code"]) == ("颜色", "heading_unknown")
        assert {(c["field"], c["after"]) for c in changed["changes"]} == {
            ("name", "路口一"),
            ("address", "新华大街1号"),
            ("other.颜色", "红"),
        }
        assert [(f["column"], f["code"]) for f in refused["findings"]] == [
            ("设备编码", "code_not_20_digits")
        ]
        only = (await client.get(f"{path}/rows", params={"verdict": "refused"})).json()
        assert [r["row"] for r in only["items"]] == [4]

        assert problem(await client.post(f"{path}/apply", json={})) == (409, "rows_refused")
        answer = await client.post(f"{path}/apply", json={"without_refused": True})
        assert answer.json()["state"] == "applied"
        found = (await client.get("/api/v1/channels", params={"q": "新路口"})).json()["items"]
        assert [each["code"] for each in found] == ["11011200111310000099"]
        first = (await client.get("/api/v1/channels/ch_y1")).json()
        assert first["facts"] == {"address": "新华大街1号", "other.颜色": "红"}

        answer = await client.post(f"{path}/undo")
        assert answer.json()["state"] == "undone"
        assert (await client.get("/api/v1/channels/ch_y1")).json()["name"] == "路口1"
        assert (await client.get("/api/v1/channels")).json()["total"] == 5
        assert (await client.delete(path)).status_code == 204
        assert problem(await client.get(path)) == (404, "not_found")
        acts = [row["act"] for row in (await client.get("/api/v1/audit")).json()["items"]]
        assert acts[:4] == ["import_discard", "import_undo", "import_apply", "import_create"]


async def test_the_workbook_comes_back_with_the_error_beside_its_row(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        job = await send(client, FILE)
        answer = await client.get(f"/api/v1/imports/{job['id']}/workbook")
        sheet = load_workbook(io.BytesIO(answer.content)).active
        assert sheet is not None
        texts = [[str(cell.value or "") for cell in row] for row in sheet.iter_rows()]
        assert "code_not_20_digits" in " ".join(texts[3])
        assert "code_not_20_digits" not in " ".join(texts[1] + texts[2])
        assert texts[3][-1].startswith("设备编码: ")
        assert chinese()["code_not_20_digits"].partition("（")[0] not in texts[3][-1]


async def test_the_workbook_says_in_chinese_what_was_found_where_that_is_asked_for(
    tmp_path: Path,
) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        job = await send(client, FILE)
        path = f"/api/v1/imports/{job['id']}/workbook"
        answer = await client.get(path, params={"language": "zh"})
        sheet = load_workbook(io.BytesIO(answer.content)).active
        assert sheet is not None
        _, unknown, _, bad = [[cell.value for cell in row][-2:] for row in sheet.iter_rows()]
        assert unknown == ["heading_unknown", f"颜色: {chinese()['heading_unknown']}"]
        assert bad[0] == "code_not_20_digits"
        assert str(bad[1]).startswith("设备编码: 编码须为 20 位数字。")
        assert problem(await client.get(path, params={"language": "fr"}))[0] == 422


async def test_no_password_comes_out_again(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        job = await send(client, FILE)
        path = f"/api/v1/imports/{job['id']}"
        texts = [
            (await client.get(path)).text,
            (await client.get(f"{path}/rows")).text,
            (await client.post(f"{path}/apply", json={"without_refused": True})).text,
            (await client.get("/api/v1/channel-lint")).text,
            (await client.get("/api/v1/audit", params={"limit": 100})).text,
        ]
        for kind in ("csv", "json"):
            answer = await client.get("/api/v1/channel-export", params={"kind": kind})
            texts.append(answer.content.decode())
        workbook = (await client.get(f"{path}/workbook")).content
        texts += [part.decode(errors="replace") for part in parts(workbook).values()]
        assert "s3cret-word" not in "\n".join(texts)
        texts = texts[: -len(parts(workbook))]
        assert "ops" in texts[-1]  # the user name is no secret
    assert not _files_with(tmp_path, b"s3cret-word")


def _files_with(directory: Path, word: bytes) -> list[Path]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert files
    return [path for path in files if word in path.read_bytes()]


async def test_an_export_is_left_as_it_is_when_it_comes_back(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        job = await send(client, FILE)
        await client.post(f"/api/v1/imports/{job['id']}/apply", json={"without_refused": True})
        for template, kind, language in (
            ("full", "csv", "en"),
            ("archive-27", "json", "zh"),
            ("archive-73", "xlsx", "zh"),
        ):
            params = {"template": template, "kind": kind, "language": language}
            answer = await client.get("/api/v1/channel-export", params=params)
            assert answer.status_code == 200, answer.text
            sent = await client.post(
                "/api/v1/imports",
                params={"name": f"x.{kind}", "template": template},
                content=answer.content,
            )
            path = f"/api/v1/imports/{sent.json()['id']}"
            await running.services.imports.checked(sent.json()["id"])
            back = (await client.get(path)).json()
            assert (back["state"], back["sentence"]) == ("checked", None)
            assert back["counts"]["same"] == 6, (params, await _findings(client, path))


@pytest.mark.parametrize("kind", ["csv", "json", "xlsx"])
async def test_facts_of_no_field_go_out_and_come_back(tmp_path: Path, kind: str) -> None:
    facts = {"other.颜色": '=红, "深"', "other.Pole No.": "0012", "address": "新华大街1号"}
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        await client.patch("/api/v1/channels/ch_y1", json={"facts": facts})
        exported = await client.get("/api/v1/channel-export", params={"kind": kind})
        await client.patch("/api/v1/channels/ch_y1", json={"facts": dict.fromkeys(facts)})

        async def plan(content: bytes, **params: Any) -> tuple[str, list[dict[str, Any]]]:
            params = {"name": f"x.{kind}", "template": "full", **params}
            job = (await client.post("/api/v1/imports", params=params, content=content)).json()
            await running.services.imports.checked(job["id"])
            path = f"/api/v1/imports/{job['id']}"
            return path, (await client.get(f"{path}/rows")).json()["items"]

        path, rows = await plan(exported.content)
        changes = {each["field"]: each["after"] for row in rows for each in row["changes"]}
        assert changes == facts
        assert "heading_unknown" not in str(rows)
        await client.post(f"{path}/apply", json={})
        assert (await client.get("/api/v1/channels/ch_y1")).json()["facts"] == facts
        again = await client.get("/api/v1/channel-export", params={"kind": kind})
        if kind == "csv":
            assert again.content == exported.content
            emptied = exported.content.replace(b"0012", b"")
            _, rows = await plan(emptied, clear_empty=True)
            changes = {each["field"]: each["after"] for row in rows for each in row["changes"]}
            assert changes == {"other.Pole No.": ""}
            form = "columns: [{field: code}, {field: name}, {field: other.颜色, zh: 色}]"
            (tmp_path / "forms").mkdir(exist_ok=True)
            (tmp_path / "forms" / "ours.yaml").write_text(form)
            ours = {"template": "ours", "kind": "csv"}
            exported = await client.get("/api/v1/channel-export", params=ours)
            assert "设备编码,设备名称,色" in exported.content.decode("utf-8-sig")
            _, rows = await plan(exported.content.replace(b"=", b""), template="ours")
            changes = {each["field"]: each["after"] for row in rows for each in row["changes"]}
            assert changes == {"other.颜色": '红, "深"'}


async def _findings(client: httpx.AsyncClient, path: str) -> Any:
    return (await client.get(f"{path}/rows")).json()


async def test_what_the_site_or_the_caller_named_wrong_is_said_in_a_sentence(
    tmp_path: Path,
) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        answer = await client.get("/api/v1/channel-export", params={"template": "no-such"})
        assert problem(answer) == (422, "template_invalid")
        refused = await send(client, "PK\x03\x04 no workbook")
        assert (refused["state"], refused["code"]) == ("refused", "xlsx_broken")
        answer = await client.get(f"/api/v1/imports/{refused['id']}/workbook")
        assert problem(answer) == (422, "xlsx_broken")
        (tmp_path / "forms").mkdir(exist_ok=True)
        (tmp_path / "forms" / "vendors.yaml").write_text("[")
        answer = await client.get("/api/v1/import-vendors")
        assert problem(answer)[0] == 422
        assert "vendors.yaml" in answer.json()["detail"]


@pytest.mark.parametrize("mint", [None, "001311"])
async def test_of_a_file_without_the_forms_headings_there_is_no_workbook(
    tmp_path: Path, mint: str | None
) -> None:
    """Its first camera would be the headings, and nothing says where its passwords are."""
    word = "S3cret-word"
    cameras = [f"cam {n},rtsp://ops:{word}@192.0.2.{n}/s1,ops,{word}" for n in ("one", "two")]
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        params = {} if mint is None else {"mint": mint}
        refused = await send(client, "\n".join(cameras), **params)
        assert (refused["state"], refused["code"]) == ("refused", "column_missing")
        answer = await client.get(f"/api/v1/imports/{refused['id']}/workbook")
        assert problem(answer) == (409, "headings_unfit")
        assert "Correct your own file" in answer.json()["detail"]
        assert word not in answer.text + str(refused)
        assert "import_workbook" not in [
            row["act"] for row in (await client.get("/api/v1/audit")).json()["items"]
        ]


async def test_a_form_that_requires_nothing_fits_no_file_without_headings_either(
    tmp_path: Path,
) -> None:
    (tmp_path / "forms").mkdir()
    form = "title: {en: Loose}\ncolumns: [{field: name}, {field: password}]\n"
    (tmp_path / "forms" / "loose.yaml").write_text(form)
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        for file, status in (
            ("cam one,S3cret\ncam two,S3cret", 409),
            ("设备名称,设备口令\nx,y", 200),
        ):
            job = await send(client, file, template="loose")
            answer = await client.get(f"/api/v1/imports/{job['id']}/workbook")
            assert answer.status_code == status, answer.text


async def test_whoever_manages_a_part_exports_and_checks_that_part(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        async with running.as_("warden") as client:
            answer = await client.get("/api/v1/channel-export", params={"kind": "json"})
            assert len(answer.json()) == 3
            assert "ch_l1" not in answer.text
            lint = (await client.get("/api/v1/channel-lint")).json()
            assert lint["looked_at"] == 3
            assert (await client.get("/api/v1/imports")).json()["items"] == []
        [row] = await running.audit_rows("channels_export")
        assert (row["subject_name"], row["detail"]["channels"]) == ("warden", 3)


async def test_lint_says_what_the_import_would_say(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        facts = {"record_days": "7", "other.颜色": "红"}
        await client.patch("/api/v1/channels/ch_y1", json={"facts": facts})
        found = (await client.get("/api/v1/channel-lint")).json()
        [mine] = [each for each in found["items"] if each["id"] == "ch_y1"]
        assert "below_wanted" in [finding["code"] for finding in mine["findings"]]
        assert "address_shared" not in str(found)  # channels of one device


async def test_lint_names_the_camera_that_may_be_the_same(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        one = {"main_url": "rtsp://192.0.2.77/main", "facts": {"mac": "00:00:5e:00:53:01"}}
        two = {
            "main_url": "rtsp://192.0.2.78/main",
            "facts": {**one["facts"], "ipv4": "192.0.2.77"},
        }
        names = {}
        for channel, changes in (("ch_y1", one), ("ch_y2", two)):
            answer = await client.patch(f"/api/v1/channels/{channel}", json=changes)
            names[channel] = f"The camera {answer.json()['name']} ({answer.json()['code']})"
        found = (await client.get("/api/v1/channel-lint")).json()["items"]
        said = [
            (each["id"], finding["code"], finding["sentence"].partition(" has ")[0])
            for each in found
            for finding in each["findings"]
            if finding["code"] in ("address_shared", "duplicate_mac")
        ]
        assert said == [
            ("ch_y2", "duplicate_mac", names["ch_y1"]),
            ("ch_y2", "address_shared", names["ch_y1"]),
        ]


async def test_versions_are_listed_and_the_newest_undone(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        await client.patch("/api/v1/channels/ch_y1", json={"name": "东门"})
        [version] = (await client.get("/api/v1/channels/ch_y1/versions")).json()["items"]
        assert (version["by"], version["act"]) == ("admin", "channel_update")
        assert version["changes"] == [{"field": "name", "before": "路口1", "after": "东门"}]
        undone = await client.post(f"/api/v1/channel-versions/{version['version']}/undo")
        assert undone.json()["act"] == "channel_undo"
        assert (await client.get("/api/v1/channels/ch_y1")).json()["name"] == "路口1"
        again = await client.post(f"/api/v1/channel-versions/{version['version']}/undo")
        assert problem(again) == (409, "changed_since")


async def test_nobody_is_given_a_code_twice(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        body = {"division": "110112", "industry": "00", "type": "132", "network": "1", "count": 20}
        answers = await asyncio.gather(
            *(client.post("/api/v1/codes", json=body) for _ in range(10))
        )
        codes = [code for answer in answers for code in answer.json()["codes"]]
        assert len(set(codes)) == 200
        assert min(codes) == "11011200001321000001"
        bad = await client.post("/api/v1/codes", json={**body, "industry": "99"})
        assert problem(bad)[0] == 422


async def test_the_fields_come_with_their_words_and_codes(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        async with running.as_("warden") as client:
            answer = (await client.get("/api/v1/channel-fields")).json()
            by_key = {each["key"]: each for each in answer["items"]}
            assert list(by_key) == list(fields())
            sections = [each["key"] for each in answer["sections"]]
            order = list(dict.fromkeys(each["section"] for each in answer["items"]))
            assert order == sections
            assert by_key["direction"]["choices"][0] == {"code": "1", "zh": "东", "en": "East"}
            assert (by_key["address"]["section"], by_key["address"]["choices"]) == ("place", [])
            assert (by_key["password"]["kind"], by_key["password"]["of"]) == ("secret", "device")
            vendors = (await client.get("/api/v1/import-vendors")).json()
            assert {"name": "hikvision", "zh": "海康威视", "en": "Hikvision"} in vendors
            # No address is made of it, so an import can't be told to take it.
            assert "xiongmai" not in [each["name"] for each in vendors]
        async with running.as_("yongshun") as client:
            for path in ("/api/v1/channel-fields", "/api/v1/import-vendors"):
                assert problem(await client.get(path))[0] == 403


async def test_facts_are_cleaned_as_an_import_cleans_them(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        given = {"manufacturer": "海康威视", "mac": "AA-BB-CC-00-11-22", "installed_on": "2024.1.2"}
        answer = await client.patch("/api/v1/channels/ch_y1", json={"facts": given})
        assert answer.json()["facts"] == {
            "manufacturer": "1",
            "mac": "aa:bb:cc:00:11:22",
            "installed_on": "2024-01-02",
        }
        answer = await client.patch("/api/v1/channels/ch_y1", json={"facts": {"mac": None}})
        assert "mac" not in answer.json()["facts"]
        hidden = (
            {"remark": "rtsp://a:w0rd@h/"},
            {"other.密码": "w0rd"},
            {"other.x": "a:b@10.0.0.1"},
        )
        for facts in ({"mac": "x"}, {"nonsense": "1"}, *hidden):
            answer = await client.patch("/api/v1/channels/ch_y1", json={"facts": facts})
            assert problem(answer)[0] == 422


async def test_a_file_too_large_is_refused_and_a_small_door_stays_small(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        answer = await client.post(
            "/api/v1/imports",
            params={"name": "x", "template": "full"},
            content=b"x",
            headers={"Content-Length": str(1 << 30)},
        )
        assert answer.status_code == 413
        answer = await client.post("/api/v1/codes", content=b" " * (300 * 1024))
        assert answer.status_code == 413
        refused = await send(client, "a,b\n1,2\n")
        assert refused["state"] == "refused"
        assert "设备编码" in refused["sentence"]

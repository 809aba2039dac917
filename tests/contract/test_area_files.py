"""Areas and their boundaries out of files: by the command, and by HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.http_kit import a_service, problem

from .test_cli_rights import Command

RING = [[116.6, 39.8], [116.7, 39.8], [116.7, 39.9], [116.6, 39.9], [116.6, 39.8]]


def geojson(**codes: list[list[float]]) -> bytes:
    features = [
        {
            "type": "Feature",
            "properties": {"code": code.strip("_")},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }
        for code, ring in codes.items()
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path / "data")


def test_a_tree_and_its_boundaries_come_out_of_files(command: Command, tmp_path: Path) -> None:
    table = tmp_path / "areas.csv"
    rows = "编码,名称\n110112001,永顺镇\n110112001001,一社区\n110112,通州区\n"
    table.write_bytes(rows.encode("gb18030"))
    plan = command.json("area", "load", str(table))
    assert [(each["code"], each["kind"], each["is"]) for each in plan] == [
        ("110112", "district", "new"),
        ("110112001", "street", "new"),
        ("110112001001", "community", "new"),
    ]
    assert command.json("area", "list") == []
    command.ok("area", "load", str(table), "--apply")
    assert "0 added, 3 are there" in command.ok("area", "load", str(table), "--apply")
    table.write_text("code,name\n110112002,东关\n220000,别处\n110112002,又来\n")
    told = command.refused("area", "load", str(table), "--apply")
    assert "2 of the rows can't be taken; nothing was added" in str(told)
    assert len(command.json("area", "list")) == 3

    lines = tmp_path / "areas.geojson"
    lines.write_bytes(geojson(_110112=RING, _999=RING))
    look = command.ok("area", "boundaries", str(lines))
    assert "There is no area with the code 999" in look
    assert "1 can be taken, 1 not" in look
    assert all(each["boundary_points"] == 0 for each in command.json("area", "list"))
    assert "1 given" in command.ok("area", "boundaries", str(lines), "--apply", "--drawing")
    [district, *_] = command.json("area", "list")
    assert (district["boundary_points"], district["schematic"]) == (4, True)

    lines.write_bytes(json.dumps({"type": "Polygon", "coordinates": [RING]}).encode())
    command.ok("area", "boundaries", str(lines), "--area", "永顺镇", "--apply")
    assert "no_such.geojson can't be read" in str(
        command.refused("area", "boundaries", str(tmp_path / "no_such.geojson"))
    )
    assert command.json("area", "edit", "永顺镇", "--name", "永顺地区")["name"] == "永顺地区"
    command.ok("area", "remove", "一社区")
    assert [each["code"] for each in command.json("area", "list")] == ["110112", "110112001"]


async def test_boundaries_are_for_whoever_manages_the_district(tmp_path: Path) -> None:
    path = "/api/v1/area-boundaries"
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        before = (await admin.get("/api/v1/areas")).json()["items"]
        code = before[0]["code"]
        content = geojson(**{code: RING})
        look = await admin.post(path, content=content)
        assert look.json()["applied"] is False
        assert (await admin.get("/api/v1/areas")).json()["items"] == before
        done: dict[str, Any] = (await admin.post(f"{path}?apply=true", content=content)).json()
        assert (done["applied"], done["items"][0]["points"]) == (True, 4)
        assert (await admin.post(path, content=content)).json()["items"][0]["had"] == 4
        listed = (await admin.get("/api/v1/areas")).json()["items"][0]
        assert (listed["boundary_points"], listed["schematic"]) == (4, False)
        assert "boundary" not in listed
        after = (await admin.get(f"/api/v1/areas/{listed['id']}")).json()
        assert after == {**listed, "boundary": RING[:-1]}
        acts = (await admin.get("/api/v1/audit", params={"act": "area_update"})).json()["items"]
        assert acts[0]["detail"]["changed"] == ["boundary", "schematic"]
        renamed = await admin.patch(f"/api/v1/areas/{listed['id']}", json={"name": "新名"})
        assert renamed.json() == {**after, "name": "新名"}
        assert problem(await admin.post(path)) == (422, "file_empty")
        assert problem(await admin.post(path, content=b"x")) == (422, "not_geojson")
        nowhere = await admin.post(f"{path}?area_id=ar_x", content=content)
        assert problem(nowhere) == (422, "unknown_area")
        large = await admin.post(path, content=b"x" * ((2 << 20) + 1))
        assert problem(large)[0] == 413

"""Rows that repeat each other: the first is taken, each later one names it once."""

from __future__ import annotations

from datetime import date

from camera_registry.domain import Area, AreaKind
from camera_registry.importers import templates
from camera_registry.importers.context import context
from camera_registry.importers.rows import CameraRow, Finding
from camera_registry.importers.rules import validate

FULL = templates.shipped("full")
WHERE = context(Area("ar_1", None, AreaKind.DISTRICT, "110112", "通州区"), [], date(2026, 11, 26))


def findings(*rows: dict[str, str]) -> list[Finding]:
    source = (CameraRow(number, values) for number, values in enumerate(rows, 17))
    return [finding for checked in validate(source, WHERE, FULL) for finding in checked.findings]


def told(*rows: dict[str, str]) -> list[tuple[int, str, str]]:
    return [(f.row, f.code, f.severity) for f in findings(*rows)]


def code(serial: int) -> dict[str, str]:
    return {"code": f"11011200001321{serial:06d}"}


def test_the_same_code_names_the_first_row() -> None:
    same = findings(code(1), code(2), code(1), {"code": "１" + code(1)["code"][1:]})
    assert [(f.row, f.code, f.severity) for f in same] == [
        (19, "duplicate_code", "error"),
        (20, "duplicate_code", "error"),
    ]
    assert all("Row 17 has the same code" in f.sentence for f in same)


def test_the_same_address_is_host_port_and_path_whoever_signs_in() -> None:
    one = {"main_url": "rtsp://Cam.example/1?a=b"}
    same = {"main_url": "rtsp://u:p@cam.example:554/1?a=b"}
    assert told(one, same) == [(18, "duplicate_address", "error")]
    assert "p@" not in findings(one, same)[0].sentence
    for other in ("rtsp://cam.example/2?a=b", "rtsp://cam.example/1?a=c", "rtsp://cam.example:1/1"):
        assert told(one, {"main_url": other}) == []


def test_channels_of_one_recorder_share_its_mac_address() -> None:
    mac = {"mac": "00:00:5e:00:53:01"}
    first = {**mac, "main_url": "rtsp://10.0.0.1/1"}
    assert told(first, {**mac, "main_url": "rtsp://10.0.0.1/2"}) == [
        (18, "duplicate_mac", "warning")
    ]
    assert told(first, {**mac, "main_url": "rtsp://10.0.0.2/1"}) == [(18, "duplicate_mac", "error")]
    assert told(mac, {"mac": "00-00-5E-00-53-01"}) == [(18, "duplicate_mac", "error")]


def test_a_row_twice_is_said_once() -> None:
    whole = {**code(1), "main_url": "rtsp://10.0.0.1/1", "mac": "00:00:5e:00:53:01"}
    assert told(whole, whole, whole) == [
        (18, "duplicate_code", "error"),
        (19, "duplicate_code", "error"),
    ]
    other = {**code(2), "main_url": "rtsp://10.0.0.2/1"}
    mixed = {**code(1), "main_url": "rtsp://10.0.0.2/1"}
    assert told(whole, other, mixed) == [
        (19, "duplicate_code", "error"),
        (19, "duplicate_address", "error"),
    ]


def test_fifty_thousand_rows_of_one_code_have_one_finding_each_but_the_first() -> None:
    rows = (CameraRow(number, code(1)) for number in range(2, 50_002))
    counts = [len(checked.findings) for checked in validate(rows, WHERE, FULL)]
    assert counts == [0] + [1] * 49_999

"""Other programs' cameras, and what is chosen beside the file, by `streamhub camera import`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from camera_registry.geo import wgs84_to_gcj02
from support.command import Command

WORD = "s3cret-word"
MINTED = "11011200001321"
CODED = "11011200111310000001"
FOREIGN = ("--template", "foreign", "--area", "110112001", "--mint", "001321")

MEDIAMTX = f"""\
paths:
  east-gate:
    source: rtsp://ops:{WORD}@192.0.2.11:554/Streaming/Channels/101
  drone:
"""
GO2RTC = f"""\
streams:
  yard:
    - rtsp://ops:{WORD}@192.0.2.21/main#backchannel=0
    - rtsp://ops:{WORD}@192.0.2.21/sub
  phone: homekit://192.0.2.22
"""
FRIGATE = f"""\
mqtt: {{host: mqtt.lan, password: {WORD}}}
go2rtc:
  streams:
    front: rtsp://ops:{WORD}@192.0.2.31/main
cameras:
  front:
    friendly_name: 后院
    ffmpeg:
      inputs:
        - {{path: "rtsp://127.0.0.1:8554/front", roles: [record]}}
        - {{path: "rtsp://ops:{WORD}@192.0.2.31/sub", roles: [detect]}}
  file:
    ffmpeg: {{inputs: [{{path: /media/clip.mp4, roles: [detect]}}]}}
"""
WVP = f"""\
CREATE TABLE `wvp_device_channel` (
  `id` int NOT NULL, `device_id` varchar(50), `name` varchar(255), `gb_device_id` varchar(50),
  `gb_name` varchar(255), `data_type` int NOT NULL, `data_device_id` int NOT NULL
);
CREATE TABLE `wvp_stream_proxy` (
  `id` int NOT NULL, `app` varchar(255), `stream` varchar(255), `src_url` varchar(255),
  `enable` bit(1), `name` varchar(255)
);
INSERT INTO `wvp_user` VALUES (1,'admin','{WORD}');
INSERT INTO `wvp_device_channel` VALUES (5,NULL,NULL,'{CODED}','路口立杆',3,21);
INSERT INTO `wvp_stream_proxy` VALUES
 (21,'live','pole','rtsp://ops:{WORD}@192.0.2.51/Streaming/Channels/101',b'1','pole'),
 (23,'live','tv','rtmp://u:{WORD}@192.0.2.53/live/tv',b'1','电视');
"""


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    made = Command(tmp_path_factory.mktemp("foreign") / "data")
    made.ok("area", "add", "110112", "通州区", "--kind", "district")
    made.ok("area", "add", "110112001", "永顺镇", "--kind", "street", "--parent", "110112")
    yield made
    made.end()


def show(command: Command, name: str) -> dict[str, Any]:
    [found] = [each for each in command.json("camera", "list") if each["name"] == name]
    shown: dict[str, Any] = command.json("camera", "show", found["code"])
    return shown


@pytest.mark.parametrize(
    ("text", "name", "code", "main", "sub", "left_out"),
    [
        (MEDIAMTX, "east-gate", MINTED, "192.0.2.11:554/Streaming/Channels/101", None, 1),
        (GO2RTC, "yard", MINTED, "192.0.2.21/main", "192.0.2.21/sub", 1),
        (FRIGATE, "后院", MINTED, "192.0.2.31/main", "192.0.2.31/sub", 1),
        (WVP, "路口立杆", CODED, "192.0.2.51/Streaming/Channels/101", None, 1),
    ],
    ids=["mediamtx", "go2rtc", "frigate", "wvp-dump"],
)
def test_another_programs_cameras_are_looked_at_then_applied_then_undone(
    command: Command,
    tmp_path: Path,
    text: str,
    name: str,
    code: str,
    main: str,
    sub: str | None,
    left_out: int,
) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    words = ("camera", "import", str(file), *FOREIGN)
    tried = command.run(*words, "--dry-run")
    assert tried.returncode == 1  # something is left out
    assert f"1 to add, 0 to change, 0 as they are, {left_out} refused" in tried.stdout
    assert command.json("camera", "list") == []

    applied = command.json(*words, "--apply", "--without-refused")
    assert (applied["state"], applied["counts"]["add"]) == ("applied", 1)
    camera = show(command, name)
    assert camera["code"].startswith(code)
    assert (camera["main_url"], camera["sub_url"]) == (
        f"rtsp://{main}",
        None if sub is None else f"rtsp://{sub}",
    )
    [device] = command.json("device", "list")
    assert (device["username"], device["has_password"]) == ("ops", True)
    assert WORD not in tried.stdout + tried.stderr + str(applied) + str(camera)

    again = command.run(*words, "--dry-run")
    assert f"0 to add, 0 to change, 1 as they are, {left_out} refused" in again.stdout
    command.ok("camera", "undo-import", applied["id"])
    assert command.json("camera", "list") == []


def test_what_is_no_configuration_is_said(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_text("colour: red\n")
    done = command.run("camera", "import", str(file), *FOREIGN, "--apply")
    assert (done.returncode, done.stdout.startswith("refused: ")) == (1, True)


def sheet(*rows: str, headings: str) -> str:
    return "\n".join((headings, *rows, ""))


def test_vendor_makes_addresses_and_datum_moves_positions(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "cameras.csv"
    lon, lat = wgs84_to_gcj02(116.66, 39.9)
    rows = sheet(
        f"{CODED},南门,110112001,192.0.2.61,{lon:.6f},{lat:.6f}",
        headings="设备编码,设备名称,所属区域编码,IPv4地址,经度,纬度",
    )
    file.write_text(rows)
    words = ("camera", "import", str(file))
    without = command.run(*words, "--dry-run")
    assert (without.returncode, "url_missing" in without.stdout) == (1, True)
    applied = command.json(*words, "--vendor", "hikvision", "--datum", "gcj02", "--apply")
    camera = show(command, "南门")
    assert camera["main_url"] == "rtsp://192.0.2.61:554/Streaming/Channels/101"
    assert (camera["lon"], camera["lat"]) == pytest.approx((116.66, 39.9), abs=2e-5)
    command.ok("camera", "undo-import", applied["id"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--vendor", "nobody"), "nobody"),
        (("--datum", "mars"), "wgs84, gcj02, bd09"),
        (("--mint", "12"), "six digits"),
        (("--dry-run", "--apply"), "not both"),
    ],
)
def test_a_wrong_choice_is_said(
    command: Command, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    file = tmp_path / "cameras.csv"
    headings = "设备编码,设备名称,所属区域编码,IPv4地址"
    file.write_text(sheet(f"{CODED},南门,110112001,192.0.2.61", headings=headings))
    done = command.run("camera", "import", str(file), *words)
    assert done.returncode in (1, 2)
    assert says in done.stdout + done.stderr
    assert command.json("camera", "list") == []


def test_an_empty_cell_keeps_unless_it_is_to_clear_and_refused_rows_may_be_left_out(
    command: Command, tmp_path: Path
) -> None:
    file = tmp_path / "cameras.csv"
    headings = "设备编码,设备名称,所属区域编码,主码流地址,安装地址"
    row = f"{CODED},南门,110112001,rtsp://192.0.2.61/main,"
    file.write_text(
        sheet(f"{row}东街", "1234,坏,110112001,rtsp://192.0.2.62/main,", headings=headings)
    )
    words = ("camera", "import", str(file), "--apply")
    held_up = command.run(*words)
    assert (held_up.returncode, command.json("camera", "list")) == (1, [])
    command.ok(*words, "--without-refused")
    assert show(command, "南门")["facts"] == {"address": "东街"}

    file.write_text(sheet(row, headings=headings))
    assert "1 as they are" in command.ok(*words)
    assert show(command, "南门")["facts"] == {"address": "东街"}
    assert "1 to change" in command.ok(*words, "--clear-empty")
    assert show(command, "南门")["facts"] == {}

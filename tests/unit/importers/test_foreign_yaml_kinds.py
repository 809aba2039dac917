"""Cameras out of MediaMTX, go2rtc and Frigate configurations."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from camera_registry.importers import foreign
from camera_registry.importers.rows import CameraRow, FileRefused

MEDIAMTX = """\
logLevel: info
rtspTransports: [tcp]
authInternalUsers:
- user: any
  pass: hunter2
pathDefaults: &defaults
  sourceOnDemand: yes
  rtspTransport: tcp
paths:
  # 东门
  east-gate:
    <<: *defaults
    source: rtsp://admin:ab%2F1@192.0.2.11:554/Streaming/Channels/101
  "市场 北口":
    source: rtsp://192.0.2.12/cam/realmonitor?channel=1&subtype=0
    sourceOnDemandCloseAfter: 30s
  drone:
  '~^gate(\\d+)$':
    source: rtsp://192.0.2.20/ch/$G1
  all_others:
  wall:
    source: redirect
    sourceRedirect: /east-gate
  abroad:
    source: rtsps://viewer:hunter2@198.51.100.4/live
  chosen:
    source: rtsp://192.0.2.13/play?$MTX_QUERY
"""

GO2RTC = """\
api: {listen: ":1984", username: root, password: hunter2}
streams:
  gate:
    - rtsp://ops:p%40ss@192.0.2.21:554/h264Preview_01_main#backchannel=0#timeout=30
    - rtsp://ops:p%40ss@192.0.2.21:554/h264Preview_01_sub
    - ffmpeg:gate#audio=opus
  yard: rtsp://${CAM_USER:root}:${CAM_PASSWORD}@192.0.2.22/stream1
  stairs: ffmpeg:rtsp://u:p@192.0.2.23/live#video=copy#audio=aac
  gate-small: ffmpeg:gate#video=h264#width=640
  door: onvif://admin:hunter2@192.0.2.24
  bell: ["homekit://192.0.2.25:5000?pin=hunter2", "exec:cat /etc/passwd"]
  none:
"""

FRIGATE = """\
mqtt: {host: mqtt.lan, password: hunter2}
go2rtc:
  streams:
    front:
      - rtsp://admin:{FRIGATE_RTSP_PASSWORD}@192.0.2.31:554/Streaming/Channels/101
      - ffmpeg:front#audio=opus
    front_sub: rtsp://admin:{FRIGATE_RTSP_PASSWORD}@192.0.2.31:554/Streaming/Channels/102
    loop: ffmpeg:pool
    pool: ffmpeg:loop
cameras:
  front:
    ffmpeg:
      inputs:
        - path: rtsp://127.0.0.1:8554/front_sub
          input_args: preset-rtsp-restream
          roles: [detect]
        - path: rtsp://127.0.0.1:8554/front?video=copy&audio=aac
          roles:
            - record
    detect: {width: 640, height: 360}
  back_yard:
    friendly_name: 后院
    enabled: false
    ffmpeg:
      inputs:
        - path: rtsp://u:p@192.0.2.32/sub
          roles: [detect, audio]
        - path: rtsp://u:p@192.0.2.32/main
          roles: [record]
  gone:
    ffmpeg: {inputs: [{path: "rtsp://localhost:8554/nowhere", roles: [detect]}]}
  turning:
    ffmpeg: {inputs: [{path: "rtsp://127.0.0.1:8554/loop", roles: [detect]}]}
  file:
    ffmpeg: {inputs: [{path: /media/clip.mp4, roles: [detect]}]}
"""


def read(text: str, kind: str | None = None) -> foreign.ForeignConfig:
    return foreign.read(text.encode(), "/etc/x/config.yml", kind)


def values(row: CameraRow) -> dict[str, str]:
    assert set(row.columns) == set(row.values)
    return row.values


def codes(config: foreign.ForeignConfig) -> dict[str, tuple[str, str]]:
    return {f.column: (f.code, f.severity) for f in config.skipped}


def test_mediamtx_paths_that_pull_are_cameras() -> None:
    config = read(MEDIAMTX)
    assert config.kind == "mediamtx"
    assert [(row.number, values(row)) for row in config.cameras] == [
        (
            11,
            {
                "name": "east-gate",
                "main_url": "rtsp://192.0.2.11:554/Streaming/Channels/101",
                "username": "admin",
                "password": "ab/1",
            },
        ),
        (
            14,
            {
                "name": "市场 北口",
                "main_url": "rtsp://192.0.2.12/cam/realmonitor?channel=1&subtype=0",
            },
        ),
    ]
    assert config.cameras[0].columns["main_url"] == "paths.east-gate.source"
    assert codes(config) == {
        "paths.drone.source": ("published", "warning"),
        "paths.~^gate(\\d+)$.source": ("many_paths", "error"),
        "paths.all_others.source": ("many_paths", "warning"),
        "paths.wall.source": ("redirect", "warning"),
        "paths.abroad.source": ("not_rtsp", "error"),
        "paths.chosen.source": ("placeholder", "error"),
    }


def test_mediamtx_paths_without_a_source_take_the_default_one() -> None:
    config = read(
        "pathDefaults: {source: 'rtsp://192.0.2.9/x'}\npaths: {a: , b: {source: publisher}}"
    )
    assert [row.values["main_url"] for row in config.cameras] == ["rtsp://192.0.2.9/x"]
    assert codes(config) == {"paths.b.source": ("published", "warning")}


def test_go2rtc_streams_with_two_addresses_are_one_camera() -> None:
    config = read(GO2RTC)
    assert config.kind == "go2rtc"
    assert [(row.number, values(row)) for row in config.cameras] == [
        (
            3,
            {
                "name": "gate",
                "main_url": "rtsp://192.0.2.21:554/h264Preview_01_main",
                "sub_url": "rtsp://192.0.2.21:554/h264Preview_01_sub",
                "username": "ops",
                "password": "p@ss",
            },
        ),
        (7, {"name": "yard", "main_url": "rtsp://192.0.2.22/stream1"}),
        (
            8,
            {
                "name": "stairs",
                "main_url": "rtsp://192.0.2.23/live",
                "username": "u",
                "password": "p",
            },
        ),
    ]
    [fault] = config.cameras[1].faults
    assert (fault.code, fault.severity, fault.row) == ("placeholder", "warning", 7)
    assert "CAM_USER" in fault.sentence
    assert codes(config) == {
        "streams.gate-small": ("made_of_another", "warning"),
        "streams.door": ("not_rtsp", "error"),
        "streams.bell": ("not_rtsp", "error"),
        "streams.none": ("empty", "warning"),
    }


def test_frigate_records_main_and_detects_on_sub_and_its_restream_leads_to_the_camera() -> None:
    config = read(FRIGATE)
    assert config.kind == "frigate"
    assert [(row.number, values(row)) for row in config.cameras] == [
        (
            11,
            {
                "name": "front",
                "main_url": "rtsp://192.0.2.31:554/Streaming/Channels/101",
                "sub_url": "rtsp://192.0.2.31:554/Streaming/Channels/102",
            },
        ),
        (
            21,
            {
                "name": "后院",
                "enabled": "false",
                "main_url": "rtsp://192.0.2.32/main",
                "sub_url": "rtsp://192.0.2.32/sub",
                "username": "u",
                "password": "p",
            },
        ),
    ]
    [fault] = config.cameras[0].faults
    assert fault.code == "placeholder"
    assert "FRIGATE_RTSP_PASSWORD" in fault.sentence
    assert codes(config) == {
        "cameras.gone": ("unknown_stream", "error"),
        "cameras.turning": ("unknown_stream", "error"),
        "cameras.file.ffmpeg.inputs.0": ("not_rtsp", "error"),
    }


@pytest.mark.parametrize("text", [MEDIAMTX, GO2RTC, FRIGATE])
def test_no_secret_of_the_file_is_in_what_is_said_about_it(text: str) -> None:
    config = read(text)
    said = repr(config.skipped) + repr([(r.faults, r.columns, r.unknown) for r in config.cameras])
    for secret in ("hunter2", "ab/1", "p@ss", "p%40ss", "ab%2F1"):
        assert secret not in said
    for row in config.cameras:
        assert "@" not in row.values["main_url"] + row.values.get("sub_url", "")
        assert "hunter2" not in repr(row)


def test_a_name_that_is_a_url_shows_no_password() -> None:
    config = read(
        'streams: {"rtsp://u:hunter2@h/1": "rtsps://x", "rtsp://u:hunter2@h": "rtsp://h/2"}'
    )
    assert "hunter2" not in repr(config)
    assert [row.values for row in config.cameras] == [{"main_url": "rtsp://h/2"}]


def test_entries_on_one_line_have_numbers_of_their_own() -> None:
    config = read("streams: {a: 'rtsp://h/1', b: 'rtsp://h/2', c: 'rtsp://h/3'}\n")
    assert [row.number for row in config.cameras] == [1, 2, 3]


def test_go2rtc_by_json_is_read_too() -> None:
    config = read(json.dumps({"streams": {"a": ["rtsp://h/1"]}}))
    assert [row.values for row in config.cameras] == [{"name": "a", "main_url": "rtsp://h/1"}]


@pytest.mark.parametrize(
    ("data", "kind", "code"),
    [
        (b"a: 1", None, "kind_unknown"),
        (b"", None, "kind_unknown"),
        (b"just words", None, "kind_unknown"),
        (b"streams: {}", "frigate", "kind_mismatch"),
        (b"paths: {}", "zip", "unknown_kind"),
        (b"paths: [", None, "not_yaml"),
        (b"paths: {}", None, "nothing_found"),
        (b"\xff\xff\xff", None, "encoding_unknown"),
        (b"\x1f\x8b\x08\x00", None, "no_text"),
        (b"PGDMP\x01", "wvp-dump", "no_text"),
        (b"#" * (9 << 20), "mediamtx", "file_too_big"),
    ],
)
def test_what_is_no_such_file_is_refused(data: bytes, kind: str | None, code: str) -> None:
    with pytest.raises(FileRefused) as caught:
        foreign.read(data, "c:\\site\\hub.yml", kind)
    assert caught.value.code == code
    assert str(caught.value).endswith(".")
    assert "site" not in str(caught.value)


def test_too_many_entries_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("camera_registry.importers.foreign.config.MAX_ROWS", 3)
    with pytest.raises(FileRefused) as caught:
        read("streams: {a: 'rtsp://h', b: , c: , d: }")
    assert caught.value.code == "too_many_rows"


URLS = st.sampled_from(
    [
        "rtsp://u:SeCrEt@192.0.2.1/1",
        "rtsp://u:SeCrEt@192.0.2.1/2",
        "rtsps://u:SeCrEt@h/1",
        "rtsp://u:a/SeCrEt@h/1",
        "rtsp://u:1/SeCrEt@h/1",
        "rtsp://{FRIGATE_P}@h/1",
        "rtsp://127.0.0.1:8554/a",
        "ffmpeg:a#video=copy",
        "ffmpeg:b",
        "publisher",
        "onvif://u:SeCrEt@h",
        "",
    ]
)
NAMES = st.sampled_from(
    ["a", "b", "~a", "all", "path", "roles", "source", "<<", "rtsp://u:SeCrEt@h"]
)
LEAF = URLS | st.none() | st.integers() | st.booleans() | NAMES


def tree(keys: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        LEAF,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(keys | NAMES, inner, max_size=4)
        ),
        max_leaves=15,
    )


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "paths": tree(st.just("source")),
            "pathDefaults": tree(st.just("source")),
            "streams": tree(NAMES),
            "cameras": st.dictionaries(
                NAMES,
                st.fixed_dictionaries(
                    {"ffmpeg": st.fixed_dictionaries({"inputs": tree(st.just("path"))})}
                )
                | tree(st.sampled_from(["ffmpeg", "inputs", "enabled"])),
                max_size=3,
            ),
            "go2rtc": st.fixed_dictionaries({"streams": tree(NAMES)}),
        },
    ),
    st.sampled_from([None, "mediamtx", "go2rtc", "frigate"]),
)
def test_whatever_the_shape_every_row_is_clean_and_no_password_is_told(
    content: object, kind: str | None
) -> None:
    try:
        config = foreign.read(yaml.safe_dump(content).encode(), "x", kind)
    except FileRefused:
        return
    assert "SeCrEt" not in repr(config.skipped)
    for row in config.cameras:
        assert row.values["main_url"].startswith("rtsp://")
        assert "SeCrEt" not in row.values["main_url"] + row.values.get("sub_url", "")
        assert "SeCrEt" not in repr((row.faults, row.columns, row.unknown, row.values.get("name")))
        assert set(row.columns) == set(row.values)
    numbers = [row.number for row in config.cameras]
    assert numbers == sorted(set(numbers))


@given(st.binary(max_size=300), st.sampled_from([None, *foreign.KINDS]))
def test_any_bytes_are_a_config_or_a_refusal(data: bytes, kind: str | None) -> None:
    try:
        config = foreign.read(data, "x", kind)
    except FileRefused:
        return
    assert config.kind in foreign.KINDS


def test_the_examples_of_the_documents_are_read_as_they_say() -> None:
    text = (Path(__file__).parents[3] / "docs" / "import-foreign.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    configs = [read(block) for block in blocks]
    assert [config.kind for config in configs] == ["mediamtx", "go2rtc", "frigate"]
    assert [[row.number for row in config.cameras] for config in configs] == [[2], [2], [5]]
    assert [len(config.skipped) for config in configs] == [1, 0, 0]
    for config in configs[1:]:
        assert "sub_url" in config.cameras[0].values

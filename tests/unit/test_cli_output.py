"""Tables on terminals of some widths, and into a pipe."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest
from rich.cells import cell_len

from streamhub.cli import audit, output

ID, CODE = "ch_0k3v8w2m6q1x", "11011200111310000001"
CAMERA: dict[str, Any] = {
    "id": ID,
    "code": CODE,
    "name": "北关大道与新华大街路口[高点]监控一号",
    "device_class": "high_altitude",
    "area_path": ["通州区", "永顺镇", "北关社区"],
    "filing": "reviewed",
}
ROW: dict[str, Any] = {
    "seq": 12,
    "at": "2026-11-24T03:43:34.123456+00:00",
    "act": "view_start",
    "outcome": "ok",
    "subject_name": "local operator",
    "remote": "127.0.0.1",
    "channel_name": "永顺镇路口高点监控一号",
    "detail": {"profile": "main", "kind": "webrtc", "steps": [["permit", 0], ["dial", 9]]},
}


@pytest.fixture
def terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> pytest.MonkeyPatch:
    """Of 100 columns, whose output `capsys` has."""
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    return monkeypatch


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Without what makes headings bold."""
    lines = capsys.readouterr().out.splitlines()
    return [re.sub(r"\x1b\[\d*m", "", line).rstrip() for line in lines]


@pytest.mark.usefixtures("terminal")
def test_on_a_terminal_texts_are_folded_and_what_is_copied_is_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.show_rows([CAMERA], list(CAMERA), as_json=False)
    heading, first, *more = printed(capsys)
    assert heading.split() == list(CAMERA)
    assert first.startswith(f"{ID} {CODE} 北关大道")
    assert first.endswith("reviewed")
    assert more
    assert max(map(cell_len, (heading, first, *more))) <= 100
    assert "[高点]" in "".join(line.split()[0] for line in (first.split(CODE)[1], *more))


@pytest.mark.usefixtures("terminal")
def test_the_log_tells_whole_seconds_and_leaves_the_steps_of_views_to_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    audit._show_log([{**ROW, "detail": dict(ROW["detail"])}], as_json=False)
    first = printed(capsys)[1]
    assert first.startswith("12  2026-11-24T03:43:34Z view_start ok")
    assert "permit" not in first
    audit._show_log([ROW], as_json=True)
    assert '"at": "2026-11-24T03:43:34.123456+00:00"' in (told := capsys.readouterr().out)
    assert '"permit"' in told


def test_where_texts_can_give_no_more_a_row_is_one_line(
    terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.setenv("TERM", "dumb")  # 80 columns, says rich, whatever it is told
    output.show_rows([CAMERA], list(CAMERA), as_json=False)
    heading, row = printed(capsys)
    assert heading.split() == list(CAMERA)
    assert CAMERA["name"] in row


def test_a_thing_is_told_field_by_field(
    terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.setenv("COLUMNS", "30")
    output.show_object({"note": "many words " * 5, "code": CODE}, as_json=False)
    lines = printed(capsys)
    assert lines[0] == "note many words many words"
    assert lines[-1] == f"code {CODE}"


def test_into_a_pipe_nothing_is_folded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    output.show_rows(
        [{**CAMERA, "says": "many words " * 40 + "end"}], ("id", "says"), as_json=False
    )
    assert [line.split()[-1] for line in printed(capsys)] == ["says", "end"]
    output.show_object({"id": ID, "says": "many words " * 40 + "end"}, as_json=False)
    assert [line.split()[-1] for line in printed(capsys)] == [ID, "end"]

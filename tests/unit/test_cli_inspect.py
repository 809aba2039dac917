"""What `streamhub camera inspect` shows of its cards."""

from __future__ import annotations

from typing import Any

import pytest

from camera_registry.inspection.card import Facts
from streamhub.cli.camera_inspect import MAX_WHOLE_CARDS, _tell

GOOD = Facts(
    codec="H264",
    profile="Main",
    width=1920,
    height=1080,
    fps_measured=25.0,
    bit_rate_bps=4_000_000,
    gop_ms=2000,
    audio="PCMA",
    clock_skew_ms=-7300,
    first_keyframe_ms=420,
)
FINDING = {"code": "clock_off", "severity": "warning", "zh": "请校时。", "en": "Set its clock."}


def card(number: int, facts: Facts = GOOD, *findings: dict[str, str]) -> dict[str, Any]:
    return {
        "code": f"{number:020d}",
        "name": f"N{number}",
        "profile": "main",
        "verdict": "fails" if facts.failed_step else "limited" if findings else "plays",
        "findings": list(findings),
        "facts": facts.values(),
    }


def told(capsys: pytest.CaptureFixture[str], *cards: dict[str, Any]) -> list[str]:
    _tell({"done": len(cards), "total": len(cards), "counts": {"plays": 1}}, cards, "en")
    return capsys.readouterr().out.splitlines()


def test_a_few_cards_are_shown_whole_those_that_play_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lost = Facts(failed_step="describe", failure="not_found")
    assert told(capsys, card(1), card(2, GOOD, FINDING), card(3, lost)) == [
        f"{3:020d}  N3  main  fails",
        "  stopped   at describe: not_found",
        "",
        f"{1:020d}  N1  main  plays",
        "  video     H264 Main 1920x1080 25 fps 4.0 Mbit/s, GOP 2.0 s",
        "  audio     PCMA",
        "  clock     7.3 s behind",
        "  keyframe  after 420 ms",
        "",
        f"{2:020d}  N2  main  limited",
        "  video     H264 Main 1920x1080 25 fps 4.0 Mbit/s, GOP 2.0 s",
        "  audio     PCMA",
        "  clock     7.3 s behind",
        "  keyframe  after 420 ms",
        "  clock_off (warning): Set its clock.",
        "",
        "3 of 3 inspected: 1 play.",
    ]


def test_many_cards_are_a_line_each_and_each_advice_is_given_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    many = [card(n, GOOD, *[FINDING] * (n > 5)) for n in range(MAX_WHOLE_CARDS + 1)]
    lines = told(capsys, *many)
    rows = [line for line in lines if "H264 Main 1920x1080" in line]
    assert len(rows) == MAX_WHOLE_CARDS + 1
    for words in ("plays", "PCMA", "7.3 s behind", "after 420 ms"):
        assert words in rows[0]
    assert lines.count("clock_off (warning): Set its clock.") == 1

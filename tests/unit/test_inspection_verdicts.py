"""The table of rules: what each fact comes to, and that every code has its sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_registry.inspection.card import Facts, Verdict
from camera_registry.inspection.verdicts import judged, rules
from gateways.rtsp.check import NEXT_STEP

GOOD = Facts(
    connected=True,
    authenticated=True,
    transport="tcp",
    codec="H264",
    profile="Main",
    width=1920,
    height=1080,
    chroma="4:2:0",
    bit_depth=8,
    interlaced=False,
    fps_declared=25.0,
    fps_measured=25.0,
    bit_rate_bps=4_000_000,
    gop_ms=2000,
    gop_at_least_ms=2000,
    b_frames=False,
    audio="PCMA",
    clock_skew_ms=200,
    clock_source="rtcp_sender_report",
    first_keyframe_ms=300,
    packets=2000,
    picture="kept",
)


def having(**changes: Any) -> Facts:
    return Facts.of({**GOOD.values(), **changes})


def test_a_good_camera_plays() -> None:
    assert judged(GOOD, "main") == (Verdict.PLAYS, ())


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"b_frames": True}, ("b_frames",)),
        ({"bit_depth": 10}, ("profile_unsupported",)),
        ({"chroma": "4:2:2"}, ("profile_unsupported",)),
        ({"picture": "undecodable"}, ("picture_undecodable",)),
        ({"failure": "auth_failed", "failed_step": "describe"}, ("auth_failed",)),
        ({"failure": "something_new"}, ("refused",)),
        ({"codec": "H265"}, ("h265",)),
        ({"gop_varies": True}, ("smart_codec",)),
        ({"gop_ms": None, "gop_at_least_ms": 11_000}, ("smart_codec", "gop_long")),
        ({"gop_ms": 10_000, "gop_at_least_ms": 10_000}, ("gop_long",)),
        ({"interlaced": True}, ("interlaced",)),
        ({"width": 5120, "height": 2880}, ("size_large",)),
        ({"bit_rate_bps": 12_000_000}, ("bit_rate_high",)),
        ({"fps_measured": 12.5}, ("fps_low",)),
        ({"packets_lost": 10}, ("packets_lost",)),
        ({"transport": "udp"}, ("by_udp",)),
        ({"first_keyframe_ms": 4_000}, ("first_keyframe_slow",)),
        ({"clock_skew_ms": -3_600_000}, ("clock_off",)),
        ({"audio": "MPEG4-GENERIC"}, ("audio_unplayable",)),
        ({"audio": None}, ()),
        ({"codec": "H265", "b_frames": True}, ("b_frames", "h265")),
    ],
)
def test_each_rule_has_its_fact(changes: dict[str, Any], codes: tuple[str, ...]) -> None:
    verdict, found = judged(having(**changes), "main")
    assert found == codes
    fails = any(rules()[code].severity == "error" for code in codes)
    expected = Verdict.FAILS if fails else Verdict.LIMITED if codes else Verdict.PLAYS
    assert verdict is expected


def test_h265_weighs_more_on_the_sub_stream() -> None:
    assert judged(having(codec="H265"), "sub")[1] == ("sub_h265",)


def test_every_way_a_dialogue_stops_has_a_rule() -> None:
    assert NEXT_STEP.keys() <= rules().keys()
    assert all(rules()[code].severity == "error" for code in NEXT_STEP)


def test_every_rule_speaks_chinese_and_english() -> None:
    for rule in rules().values():
        assert rule.severity in ("error", "warning")
        assert rule.zh.endswith("。")
        assert any("\u4e00" <= character <= "\u9fff" for character in rule.zh)
        assert rule.en.endswith(".")


def test_every_rule_of_our_own_is_documented() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "inspect.md").read_text()
    assert {code for code in rules().keys() - NEXT_STEP.keys() if f"`{code}`" not in page} == set()


@given(st.dictionaries(st.sampled_from(sorted(GOOD.values())), st.none()))
def test_facts_that_are_missing_are_never_held_against_a_camera(nothing: dict[str, None]) -> None:
    left_out = {"gop_varies", "watched_ms", "packets", "packets_lost", "connected"}
    facts = having(**{key: None for key in nothing if key not in left_out})
    assert judged(facts, "main")[0] is Verdict.PLAYS


def test_facts_survive_as_json_values_and_what_is_unknown_is_left_out() -> None:
    assert Facts.of({**GOOD.values(), "of_tomorrow": 1}) == GOOD

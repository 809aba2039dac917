"""Only the guard makes a permit; a refusal tells an outsider nothing."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from camera_registry.domain import Area, AreaKind, Grant
from streamhub.access.errors import Forbidden, NotVisible, Unauthenticated
from streamhub.access.facts import Facts, StaticFacts
from streamhub.access.guard import Guard, Refusal
from streamhub.access.permit import Mint, Permit
from streamhub.access.policy import Decision, decide
from streamhub.access.principal import DISTRICT, Action, Principal, area, channel
from support.http_kit import START, areas, channels, grants, subjects

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]


def some_facts(*, without_grant: str | None = None) -> Facts:
    return Facts.build(
        areas=areas(),
        channels=channels(),
        subjects=subjects(),
        grants=[row for row in grants() if row.id != without_grant],
    )


def who(name: str) -> Principal:
    return Principal(f"su_{name}", name, "192.0.2.7", "cookie", 1)


def a_guard(refusals: list[Refusal] | None = None) -> tuple[Guard, StaticFacts]:
    facts = StaticFacts(some_facts())
    on_refusal = None if refusals is None else refusals.append
    return Guard(facts, now=lambda: NOW, on_refusal=on_refusal), facts


def test_a_permit_says_what_it_is_for() -> None:
    guard, _ = a_guard()
    permit = guard.require(who("yongshun"), Action.LIVE, channel("ch_y1"))
    assert (permit.subject_id, permit.action, permit.channel_id) == (
        "su_yongshun",
        Action.LIVE,
        "ch_y1",
    )
    assert permit.grounds() == {"grant_ids": ["gr_yongshun"]}
    assert permit.decided_at == NOW
    of_the_district = guard.require(who("admin"), Action.MANAGE, DISTRICT)
    with pytest.raises(ValueError, match="not for a channel"):
        _ = of_the_district.channel_id


def test_nobody_else_makes_one() -> None:
    guard, _ = a_guard()
    permit = guard.require(who("yongshun"), Action.LIVE, channel("ch_y1"))
    with pytest.raises(TypeError, match="guard only"):
        Mint()
    with pytest.raises(TypeError, match="guard only"):
        Permit(
            object.__new__(Mint),
            principal=who("stranger"),
            action=Action.LIVE,
            resource=channel("ch_y1"),
            decision=Decision(True, True, "granted"),
            decided_at=NOW,
        )
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            attempt(permit)
    with pytest.raises(AttributeError):
        permit.action = Action.MANAGE
    with pytest.raises(AttributeError):
        del permit.until


def test_a_door_without_a_permit_does_not_type_check(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from streamhub.access.permit import Permit\n"
        "from streamhub.media.contract import MediaCore\n"
        "def forged(core: MediaCore) -> None:\n"
        "    Permit()\n"
        "    core.open_viewer(viewer_id='v', stream_id='c/sub', channel_id='c', subject_id='s',"
        " offer_sdp='', until=0.0)\n"
    )
    mypy = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(wrong)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert mypy.returncode == 1, mypy.stdout + mypy.stderr
    assert "wrong.py:4: error" in mypy.stdout
    assert 'Missing named argument "permit"' in mypy.stdout


def test_an_outsider_and_an_insider_hear_different_things() -> None:
    refusals: list[Refusal] = []
    guard, _ = a_guard(refusals)
    with pytest.raises(NotVisible) as unseen:
        guard.require(who("yongshun"), Action.LIVE, channel("ch_l1"))
    with pytest.raises(NotVisible) as absent:
        guard.require(who("yongshun"), Action.LIVE, channel("ch_nowhere"))
    assert str(unseen.value) == str(absent.value)
    assert unseen.value.code == absent.value.code == "not_found"
    with pytest.raises(Forbidden):
        guard.require(who("lister"), Action.LIVE, channel("ch_y1"))
    with pytest.raises(Forbidden) as off:
        guard.require(who("admin"), Action.LIVE, channel("ch_off"))
    assert off.value.code == "channel_disabled"
    assert [each.reason for each in refusals] == [
        "no_grant",
        "not_there",
        "no_grant",
        "channel_disabled",
    ]


def test_a_recheck_follows_the_facts() -> None:
    guard, facts = a_guard()
    permit = guard.require(who("yongshun"), Action.LIVE, channel("ch_y1"))
    assert guard.recheck(permit) is not None
    facts.set(some_facts(without_grant="gr_yongshun"))
    assert guard.recheck(permit) is None


def test_a_sign_in_that_no_longer_holds_is_no_sign_in() -> None:
    guard, _ = a_guard()
    with pytest.raises(Unauthenticated):
        guard.require(replace(who("admin"), version=7), Action.LIVE, channel("ch_y1"))
    assert not guard.allows(replace(who("admin"), version=7), Action.LIVE, channel("ch_y1"))


def test_what_a_list_asks_is_the_decision_without_a_look_for_what_is_visible() -> None:
    guard, facts = a_guard()
    places = [DISTRICT, *map(area, ("ar_district", "ar_yongshun", "ar_village", "ar_none"))]
    for name in ("admin", "warden", "lister", "stranger"):
        for action in (Action.LIST, Action.MANAGE):
            for place in places:
                expected = decide(who(name), action, place, some_facts(), NOW).allowed
                assert guard.allows(who(name), action, place) == expected
    assert facts.current.scopes == {}, "of each area, it would be a walk over all grants"


def test_a_purpose_that_one_is_asked_for_in_some_district_is_passed_on_for_all() -> None:
    other = Area("ar_other", None, AreaKind.DISTRICT, "110113", "Other")
    live = frozenset({"live"})
    own = [
        Grant("gr_1", "su_stranger", live, "ar_district", None, START, None, START),
        Grant("gr_2", "su_stranger", live, "ar_other", None, START, None, START),
    ]
    for asked in ((True, True), (True, False), (False, True), (False, False)):
        rows = [replace(row, purpose_required=why) for row, why in zip(own, asked, strict=True)]
        facts = Facts.build(
            areas=[*areas(), other], channels=channels(), subjects=subjects(), grants=rows
        )
        guard = Guard(StaticFacts(facts), now=lambda: NOW)
        assert guard.asks_why(who("stranger"), Action.LIVE, DISTRICT) == any(asked), asked
        passing_on = partial(guard.require_passing_on, who("stranger"), Action.LIVE, DISTRICT)
        passing_on(asked_why=True)
        if any(asked):
            with pytest.raises(Forbidden, match="purpose"):
                passing_on(asked_why=False)
        else:
            passing_on(asked_why=False)

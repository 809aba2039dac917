"""Thousands of generated worlds: the decision, lists and times against the model in support."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from camera_registry.domain import Channel, Stated, WeeklyWindow
from camera_registry.weekly import Week
from streamhub.access.explain import explain
from streamhub.access.facts import Facts
from streamhub.access.hours import LOOKED_AHEAD
from streamhub.access.policy import Scope, actions_on, decide, scope
from streamhub.access.principal import Action, Principal, channel
from streamhub.api.channels import registry_scope
from support import rights_model as model
from support.rights_model import World
from support.rights_worlds import (
    ACTIONS,
    MOMENTS,
    NOW,
    SUBJECTS,
    WINDOWS,
    WORLDS,
)

MANY = settings(max_examples=1000, deadline=None)
STATED = st.sampled_from(
    [None, None, Stated("duty"), Stated("nosy"), Stated("other"), Stated("other", "案件17")]
)


def who(subject_id: str) -> Principal:
    return Principal(subject_id, subject_id, "192.0.2.7", "bearer", 1)


@MANY
@given(world=WORLDS, now=MOMENTS, stated=STATED)
def test_the_decision_is_the_model_s(world: World, now: datetime, stated: Stated | None) -> None:
    facts = world.facts()
    for subject_id in SUBJECTS:
        for action in ACTIONS:
            for row in world.channels:
                said = decide(who(subject_id), Action(action), channel(row.id), facts, now, stated)
                expected = model.allowed(world, subject_id, action, row, now, stated)
                assert said.allowed == expected, said
                assert said.visible == model.visible(world, subject_id, row, now), said


@MANY
@given(world=WORLDS, now=MOMENTS)
def test_lists_show_what_the_decision_allows(world: World, now: datetime) -> None:
    """The scope asked of a channel, and the sets that the store filters by, say the same."""
    facts = world.facts()
    for subject_id in SUBJECTS:
        for action in ACTIONS:
            seen = scope(who(subject_id), Action(action), facts, now)
            for row in world.channels:
                expected = model.listed(world, subject_id, action, row, now)
                assert seen.shows(row) == expected
                assert _in_sets(seen, row) == expected


def _in_sets(seen: Scope, row: Channel) -> bool:
    asked = registry_scope(seen)
    if asked is None:
        return True
    if not asked.has(row, asked.area_ids):
        return False
    unfiled = asked.unfiled
    return row.is_filed or unfiled is None or unfiled.has(row, unfiled.area_ids)


@MANY
@given(
    world=WORLDS, now=MOMENTS, share=st.floats(0, 1), stated=st.sampled_from([None, Stated("duty")])
)
def test_it_holds_until_it_says_and_no_longer(
    world: World, now: datetime, share: float, stated: Stated | None
) -> None:
    facts = world.facts()
    edges = _edges(world, now)
    for subject_id in SUBJECTS:
        for row in world.channels:
            said = decide(who(subject_id), Action.LIVE, channel(row.id), facts, now, stated)
            if not said.allowed:
                continue
            end = said.until
            ahead = timedelta(days=9) if end is None else end - now
            moments = [now + ahead * min(share, 0.999999), *(e for e in edges if now < e)]
            for moment in moments:
                if end is None or moment < end:
                    assert model.allowed(world, subject_id, "live", row, moment, stated), moment
            if end is not None:
                assert end > now
                if ahead < LOOKED_AHEAD:
                    assert not model.allowed(world, subject_id, "live", row, end, stated)


def _edges(world: World, now: datetime) -> list[datetime]:
    """Where something may turn: the ends of grants, and their hours in the days around."""
    found = []
    midnight = now.astimezone(model.SHANGHAI).replace(hour=0, minute=0, second=0, microsecond=0)
    for grant in world.grants:
        found += [each for each in (grant.valid_from, grant.valid_until) if each is not None]
        for window in grant.windows:
            for day in range(-1, 3):
                for minutes in (window.start_min, window.end_min):
                    found.append(midnight + timedelta(days=day, minutes=minutes))
    return found


@MANY
@given(windows=WINDOWS, now=MOMENTS, share=st.floats(0, 1))
def test_a_week_turns_when_it_says(
    windows: list[WeeklyWindow], now: datetime, share: float
) -> None:
    week = Week(windows)
    is_open = any(model.in_window(window, now) for window in windows)
    assert week.is_open(now) == is_open
    turn = week.next_change(now)
    last = now + timedelta(days=8) if turn is None else turn - timedelta(microseconds=1)
    between = now + (last - now) * share
    assert any(model.in_window(window, between) for window in windows) == is_open
    if turn is not None:
        assert now < turn <= now + timedelta(days=7)
        assert any(model.in_window(window, turn) for window in windows) != is_open


@MANY
@given(world=WORLDS, after=WORLDS, changed=st.sets(st.integers(0, 4)))
def test_what_is_known_of_rules_follows_the_channels(
    world: World, after: World, changed: set[int]
) -> None:
    """A snapshot that takes over what the one before had looked up, and one made anew."""
    before = world.facts()
    rules = {grant.conditions for grant in world.grants if grant.conditions}
    for rule in rules:
        before.matches(rule)
    rows = [
        after.channels[number] if number in changed else row
        for number, row in enumerate(world.channels)
    ]
    if 0 in changed:
        rows = rows[1:]  # gone
    following = Facts.build(areas=world.areas, channels=rows)
    following.take_matches(before, [f"ch{number}" for number in changed])
    anew = Facts.build(areas=world.areas, channels=rows)
    for rule in rules:
        assert rule in following._matches
        assert following.matches(rule) == anew.matches(rule)


def test_worlds_are_not_all_alike() -> None:
    """The generator makes what the comparison is for: allowed and refused, for many reasons."""
    reasons: set[str] = set()
    turning = 0

    @settings(max_examples=400, deadline=None, database=None, derandomize=True)
    @given(world=WORLDS)
    def look(world: World) -> None:
        nonlocal turning
        facts = world.facts()
        for row in world.channels:
            for subject_id in SUBJECTS:
                said = decide(who(subject_id), Action.LIVE, channel(row.id), facts, NOW)
                reasons.add(said.reason)
                turning += said.allowed and said.until is not None

    look()
    assert reasons == {
        "granted",
        "no_grant",
        "denied",
        "not_filed",
        "channel_disabled",
        "purpose_required",
    }
    assert turning > 20


@MANY
@given(world=WORLDS, now=MOMENTS)
def test_all_at_once_and_explained_are_the_decision(world: World, now: datetime) -> None:
    """Lists of what one may do, and explanations, say what the decision says."""
    facts = world.facts()
    for subject in world.subjects:
        for row in world.channels:
            together = actions_on(who(subject.id), row, facts, now)
            for action in (Action.LIST, Action.LIVE, Action.MANAGE):
                free = decide(who(subject.id), action, channel(row.id), facts, now)
                named = decide(who(subject.id), action, channel(row.id), facts, now, Stated("duty"))
                assert (action in together) == named.allowed
                assert together.get(action, False) == (free.reason == "purpose_required")
            told = explain(subject, Action.LIVE, row, facts, now)
            assert told.decision == decide(
                who(subject.id), Action.LIVE, channel(row.id), facts, now
            )
            says = {line.grant.id for line in told.lines if line.decides}
            if told.decision.reason in ("granted", "denied"):
                assert says.issuperset(told.decision.grant_ids)
            if told.decision.reason == "no_grant":
                assert says == set()
            if told.opens_at is not None:
                before = told.opens_at - timedelta(microseconds=1)
                assert model.allowed(world, subject.id, "live", row, told.opens_at, Stated("duty"))
                assert not model.allowed(world, subject.id, "live", row, before, Stated("duty"))

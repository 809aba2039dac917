"""Thousands of generated worlds: the decision, lists and times against the model in support."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from camera_registry.domain import Channel, Stated, WeeklyWindow
from camera_registry.weekly import Week
from streamhub.access.errors import Forbidden, NotVisible, Unauthenticated
from streamhub.access.explain import explain
from streamhub.access.facts import Facts, StaticFacts
from streamhub.access.guard import Guard
from streamhub.access.policy import Scope, actions_on, decide, scope
from streamhub.access.principal import DISTRICT, Action, Principal, Resource, area, channel
from streamhub.api.channels import registry_scope
from support.rights_model import SHANGHAI, Asked, Who, World, in_window
from support.rights_worlds import AREAS, MOMENTS, NOW, WINDOWS, WORLDS, principal

MANY = settings(max_examples=1000, deadline=None)
ONE_OF_TWO = st.integers(0, 1)
ANY_ACTION = st.sampled_from(Action)
STATED = st.sampled_from(
    [None, None, Stated("duty"), Stated("nosy"), Stated("other"), Stated("other", "案件17")]
)


@settings(MANY, max_examples=2000)
@given(world=WORLDS, now=MOMENTS, stated=STATED, by=ONE_OF_TWO, seen_by=ANY_ACTION)
def test_the_decision_is_the_model_s(
    world: World, now: datetime, stated: Stated | None, by: int, seen_by: Action
) -> None:
    """On cameras, areas and the district, all actions; and whether one may know of it, which of an
    area is dear to ask: by one action."""
    facts = world.facts()
    who = world.askers[by]
    for where, (allowed, visible) in _expected(Asked(world, who, now), stated).items():
        for action in Action:
            asks_less = where.kind == "area" and action is not seen_by
            said = decide(principal(who), action, where, facts, now, stated, allowed_only=asks_less)
            assert said.allowed == (action in allowed), (who, action, where, said)
            assert asks_less or said.visible == visible, (who, action, where, said)


def _expected(model: Asked, stated: Stated | None) -> dict[Resource, tuple[set[str], bool]]:
    """By resource: what is allowed, and whether one may know of it."""
    world, known = model.world, model.known_areas()
    found = {
        channel(row.id): (model.allowed(row, stated), model.visible(row)) for row in world.channels
    }
    for each in world.areas:
        found[area(each.id)] = (model.allowed_on_area(each.id), each.id in known)
    for nothing in (channel("ch_gone"), area("ar_gone")):
        found[nothing] = (set(), model.is_due())
    found[DISTRICT] = (model.allowed_on_district(), model.knows_district())
    return found


@MANY
@given(world=WORLDS, now=MOMENTS)
def test_lists_show_what_the_decision_allows(world: World, now: datetime) -> None:
    """The scope asked of a channel, and the sets that the store filters by, say the same."""
    facts = world.facts()
    for who in world.askers:
        model = Asked(world, who, now)
        listed = {row.id: model.listed(row) for row in world.channels}
        for action in Action:
            seen = scope(principal(who), action, facts, now)
            for row in world.channels:
                assert seen.shows(row) == (action in listed[row.id])
                assert _in_sets(seen, row) == (action in listed[row.id])


def _in_sets(seen: Scope, row: Channel) -> bool:
    asked = registry_scope(seen)
    if asked is None:
        return True
    if not asked.has(row, asked.area_ids):
        return False
    unfiled = asked.unfiled
    return row.is_filed or unfiled is None or unfiled.has(row, unfiled.area_ids)


@MANY
@given(world=WORLDS, now=MOMENTS, share=st.floats(0, 1), action=ANY_ACTION, stated=STATED)
def test_it_holds_until_it_says_and_no_longer(
    world: World, now: datetime, share: float, action: Action, stated: Stated | None
) -> None:
    facts = world.facts()
    edges = [each for each in _edges(world, now) if each > now]
    for who in world.askers:
        at: dict[datetime, Asked] = {}
        for where in _everywhere(world):
            said = decide(principal(who), action, where, facts, now, stated)
            if not said.allowed:
                continue
            end = said.until
            ahead = timedelta(days=9) if end is None else end - now
            for moment in (now + ahead * min(share, 0.999999), *edges):
                if end is None or moment < end:
                    later = at.setdefault(moment, Asked(world, who, moment))
                    assert action in _allowed(later, where, stated), (where, moment)
            if end is not None:
                assert end > now
                allowed = _allowed(Asked(world, who, end), where, stated)
                assert (action in allowed) is said.until_is_least, (where, end)


def _everywhere(world: World) -> list[Resource]:
    return [
        *(channel(row.id) for row in world.channels),
        *(area(each.id) for each in world.areas),
        DISTRICT,
    ]


def _allowed(model: Asked, where: Resource, stated: Stated | None) -> set[str]:
    if where.kind == "district":
        return model.allowed_on_district()
    if where.kind == "area":
        return model.allowed_on_area(where.id)
    [row] = (row for row in model.world.channels if row.id == where.id)
    return model.allowed(row, stated)


def _edges(world: World, now: datetime) -> list[datetime]:
    """Where something may turn: the ends of grants, and their hours in the days around."""
    found = []
    midnight = now.astimezone(SHANGHAI).replace(hour=0, minute=0, second=0, microsecond=0)
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
    is_open = any(in_window(window, now) for window in windows)
    assert week.is_open(now) == is_open
    turn = week.next_change(now)
    last = now + timedelta(days=8) if turn is None else turn - timedelta(microseconds=1)
    between = now + (last - now) * share
    assert any(in_window(window, between) for window in windows) == is_open
    if turn is not None:
        assert now < turn <= now + timedelta(days=7)
        assert any(in_window(window, turn) for window in windows) != is_open


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
    """The generator makes what the comparison is for: allowed and refused, for many reasons, on
    everything; keys that are for less than their subject, and loans that allow."""
    reasons: dict[str, set[str]] = {"channel": set(), "area": set(), "district": set()}
    turning = lent = narrowed = 0

    @settings(max_examples=400, deadline=None, database=None, derandomize=True)
    @given(world=WORLDS)
    def look(world: World) -> None:
        nonlocal turning, lent, narrowed
        facts = world.facts()
        loans = {each.id for each in world.grants if each.lent_by}
        for who in world.askers:
            subject = facts.subjects[who.subject_id]
            for where in _everywhere(world):
                said = decide(principal(who), Action.LIVE, where, facts, NOW)
                reasons[where.kind].add(said.reason)
                turning += said.allowed and said.until is not None
                lent += bool(said.allowed and loans.issuperset(said.grant_ids))
                if who.key is not None and not said.allowed:
                    own = Principal(subject.id, subject.username, "", "bearer", subject.version)
                    narrowed += decide(own, Action.LIVE, where, facts, NOW).allowed

    look()
    nobody = {
        "subject_disabled",
        "sign_in_outdated",
        "key_ended",
        "password_change_due",
        "second_factor_due",
    }
    said = {"granted", "no_grant", "denied"}
    of_cameras = {"not_filed", "channel_disabled", "purpose_required"}
    assert reasons == {
        "channel": nobody | said | of_cameras,
        "area": nobody | said,
        "district": nobody | said,
    }
    assert min(turning, lent, narrowed) > 20, (turning, lent, narrowed)


@MANY
@given(world=WORLDS, now=MOMENTS, asked=ANY_ACTION, by=ONE_OF_TWO)
def test_all_at_once_and_explained_are_the_decision(
    world: World, now: datetime, asked: Action, by: int
) -> None:
    """Lists of what one may do, and explanations, say what the decision says."""
    facts = world.facts()
    one = principal(world.askers[by])
    for row in world.channels:
        together = actions_on(one, row, facts, now)
        for action in Action:
            free = decide(one, action, channel(row.id), facts, now)
            named = decide(one, action, channel(row.id), facts, now, Stated("duty"))
            assert (action in together) == named.allowed
            assert together.get(action, False) == (free.reason == "purpose_required")
    for subject in world.subjects:
        who = Who(subject.id, subject.version)
        for row in world.channels:
            told = explain(subject, asked, row, facts, now)
            assert told.decision == decide(principal(who), asked, channel(row.id), facts, now)
            says = {line.grant.id for line in told.lines if line.decides}
            if told.decision.reason in ("granted", "denied"):
                assert says.issuperset(told.decision.grant_ids)
            if told.decision.reason == "no_grant":
                assert says == set()
            if told.opens_at is not None:
                before = told.opens_at - timedelta(microseconds=1)
                assert asked in Asked(world, who, told.opens_at).allowed(row, Stated("duty"))
                assert asked not in Asked(world, who, before).allowed(row, Stated("duty"))


@MANY
@given(
    world=WORLDS,
    now=MOMENTS,
    action=ANY_ACTION,
    by=ONE_OF_TWO,
    in_area=st.sampled_from([each for each, _ in AREAS]),
    asking=st.booleans(),
)
def test_what_may_be_passed_on_is_the_model_s(
    world: World, now: datetime, action: Action, by: int, in_area: str, asking: bool
) -> None:
    """One's own altogether, and not what is on loan: of cameras, areas and the district."""
    guard = Guard(StaticFacts(world.facts()), now=lambda: now)
    who = world.askers[by]
    model = Asked(world, who, now)
    expected = {channel(row.id): model.passes_on(row, asking=asking) for row in world.channels}
    expected[area(in_area)] = model.passes_on_in(in_area, asking=asking)
    expected[DISTRICT] = model.passes_on_in(None, asking=asking)
    for where, actions in expected.items():
        for each in Action if where.kind == "channel" else (action,):
            try:
                guard.require_passing_on(principal(who), each, where, asked_why=asking)
                passed = True
            except (Unauthenticated, NotVisible, Forbidden):
                passed = False
            assert passed == (each in actions), (who, each, where)

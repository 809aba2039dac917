"""The one decision: default deny, areas inherit, windows end, outsiders see nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_registry.domain import Area, AreaKind, Grant
from streamhub.access.facts import Facts
from streamhub.access.policy import decide, scope
from streamhub.access.principal import DISTRICT, Action, Principal, area, channel
from support.http_kit import EVERYTHING, START, areas, channels, grants, subjects

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def facts_with(*extra: Grant, drop: str | None = None) -> Facts:
    rows = [row for row in grants() if row.id != drop]
    return Facts.build(
        areas=areas(), channels=channels(), subjects=subjects(), grants=[*rows, *extra]
    )


FACTS = facts_with()


def who(name: str, version: int = 1) -> Principal:
    return Principal(f"su_{name}", name, "192.0.2.7", "bearer", version)


def a_grant(name: str, actions: set[str], **fields: object) -> Grant:
    row = Grant("gr_extra", f"su_{name}", frozenset(actions), None, None, START, None, START)
    return replace(row, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "action", "target", "allowed", "visible"),
    [
        ("yongshun", Action.LIVE, channel("ch_y1"), True, True),
        ("yongshun", Action.LIVE, channel("ch_y2"), True, True),  # a village below
        ("yongshun", Action.LIVE, channel("ch_l1"), False, False),  # the neighbour's
        ("yongshun", Action.MANAGE, channel("ch_y1"), False, True),
        ("yongshun", Action.LIVE, channel("ch_nowhere"), False, False),
        ("lister", Action.LIVE, channel("ch_y1"), False, True),
        ("stranger", Action.LIST, channel("ch_y1"), False, False),
        ("stranger", Action.LIST, area("ar_district"), False, False),
        ("yongshun", Action.LIST, area("ar_yongshun"), True, True),
        ("yongshun", Action.LIST, area("ar_village"), True, True),
        ("yongshun", Action.LIST, area("ar_district"), False, True),  # known as the parent
        ("yongshun", Action.LIST, area("ar_liyuan"), False, False),
        ("admin", Action.MANAGE, DISTRICT, True, True),
        ("warden", Action.MANAGE, DISTRICT, False, True),
        ("stranger", Action.MANAGE, DISTRICT, False, False),
        ("auditor", Action.AUDIT, area("ar_yongshun"), True, True),
        ("auditor", Action.LIVE, channel("ch_y1"), False, True),
    ],
)
def test_the_table(name: str, action: Action, target: object, allowed: bool, visible: bool) -> None:
    decision = decide(who(name), action, target, FACTS, NOW)  # type: ignore[arg-type]
    assert (decision.allowed, decision.visible) == (allowed, visible), decision


def test_a_channel_that_is_switched_off_gives_no_pictures_and_stands_still() -> None:
    facts = facts_with(a_grant("admin", set(Action), channel_id="ch_off"))
    off = {Action.LIVE, Action.SNAPSHOT, Action.TALK, Action.PTZ}
    for action in Action:
        decision = decide(who("admin"), action, channel("ch_off"), facts, NOW)
        said = "channel_disabled" if action in off else "granted"
        assert (decision.allowed, decision.reason) == (action not in off, said), action


def test_a_grant_on_one_channel_is_for_that_channel() -> None:
    facts = facts_with(a_grant("stranger", {"list", "live"}, channel_id="ch_y2"))
    assert decide(who("stranger"), Action.LIVE, channel("ch_y2"), facts, NOW).allowed
    assert not decide(who("stranger"), Action.LIVE, channel("ch_y1"), facts, NOW).visible
    assert decide(who("stranger"), Action.LIST, area("ar_yongshun"), facts, NOW).visible
    seen = scope(who("stranger"), Action.LIST, facts, NOW)
    assert seen.channel_ids == {"ch_y2"}
    assert not seen.area_ids


def test_a_window_opens_and_ends_on_the_instant() -> None:
    until = NOW + timedelta(hours=1)
    facts = facts_with(
        a_grant("stranger", {"live"}, area_id="ar_liyuan", valid_from=NOW, valid_until=until)
    )

    def allowed_at(when: datetime) -> bool:
        return decide(who("stranger"), Action.LIVE, channel("ch_l1"), facts, when).allowed

    tick = timedelta(microseconds=1)
    assert [allowed_at(NOW - tick), allowed_at(NOW), allowed_at(until - tick)] == [
        False,
        True,
        True,
    ]
    assert not allowed_at(until)
    decision = decide(who("stranger"), Action.LIVE, channel("ch_l1"), facts, NOW)
    assert decision.until == until


def test_until_is_the_latest_end_of_those_that_allow() -> None:
    early, late = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
    first = a_grant("stranger", {"live"}, area_id="ar_liyuan", valid_until=early)
    second = replace(first, id="gr_2", valid_until=late)
    target = channel("ch_l1")
    both = decide(who("stranger"), Action.LIVE, target, facts_with(first, second), NOW)
    assert (both.until, set(both.grant_ids)) == (late, {"gr_extra", "gr_2"})
    open_ended = replace(first, id="gr_3", valid_until=None)
    facts = facts_with(first, open_ended)
    assert decide(who("stranger"), Action.LIVE, target, facts, NOW).until is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"enabled": False}, "subject_disabled"),
        ({"version": 2}, "sign_in_outdated"),
        ({"id": "su_other"}, "unknown_subject"),
    ],
)
def test_a_subject_that_changed_is_refused(change: dict[str, object], reason: str) -> None:
    rows = [
        replace(row, **change) if row.id == "su_admin" else row  # type: ignore[arg-type]
        for row in subjects()
    ]
    facts = Facts.build(areas=areas(), channels=channels(), subjects=rows, grants=grants())
    decision = decide(who("admin"), Action.LIVE, channel("ch_y1"), facts, NOW)
    assert (decision.allowed, decision.visible, decision.reason) == (False, False, reason)
    assert scope(who("admin"), Action.LIST, facts, NOW).is_empty


def test_the_district_is_all_its_roots() -> None:
    other = Area("ar_other", None, AreaKind.DISTRICT, "110105", "朝阳区")
    facts = Facts.build(
        areas=[*areas(), other], channels=channels(), subjects=subjects(), grants=grants()
    )
    assert not decide(who("admin"), Action.MANAGE, DISTRICT, facts, NOW).allowed
    assert not scope(who("admin"), Action.LIST, facts, NOW).everything
    empty = Facts.build(subjects=subjects(), grants=grants())
    assert not decide(who("admin"), Action.MANAGE, DISTRICT, empty, NOW).allowed


def test_the_local_operator_may_do_everything_that_is_there() -> None:
    local = Principal.local("root")
    assert decide(local, Action.LIVE, channel("ch_l1"), FACTS, NOW).allowed
    assert decide(local, Action.MANAGE, DISTRICT, Facts.build(), NOW).allowed
    assert not decide(local, Action.LIVE, channel("ch_nowhere"), FACTS, NOW).allowed
    assert scope(local, Action.LIST, FACTS, NOW).everything


GRANT = st.builds(
    Grant,
    id=st.uuids().map(str),
    subject_id=st.sampled_from([row.id for row in subjects()]),
    actions=st.frozensets(st.sampled_from(sorted(EVERYTHING)), min_size=1),
    area_id=st.sampled_from([None, *(row.id for row in areas())]),
    channel_id=st.sampled_from([None, *(row.id for row in channels())]),
    valid_from=st.sampled_from([START, NOW, NOW + timedelta(days=1)]),
    valid_until=st.sampled_from([None, NOW, NOW + timedelta(days=2)]),
    created_at=st.just(START),
    revoked_at=st.sampled_from([None, START]),
)


@given(
    rows=st.lists(GRANT, max_size=6),
    name=st.sampled_from([row.username for row in subjects()]),
    action=st.sampled_from(list(Action)),
)
def test_nothing_is_allowed_without_a_grant_that_says_so(
    rows: list[Grant], name: str, action: Action
) -> None:
    """Against the rule written down a second time, the slow way."""
    facts = Facts.build(areas=areas(), channels=channels(), subjects=subjects(), grants=rows)
    seen = scope(who(name), action, facts, NOW)
    for row in channels():
        chain = {"ar_village": ["ar_village", "ar_yongshun"]}.get(row.area_id, [row.area_id])
        expected = any(
            each.subject_id == f"su_{name}"
            and action in each.actions
            and each.active_at(NOW)
            and (each.channel_id == row.id or each.area_id in [*chain, "ar_district"])
            for each in rows
        )
        assert seen.has(row) == expected
        if row.enabled:
            assert decide(who(name), action, channel(row.id), facts, NOW).allowed == expected

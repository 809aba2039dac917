"""Only filed channels reach whoever does not manage them; the others are not there for them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_registry.domain import Filing, Grant
from streamhub.access.facts import Facts
from streamhub.access.guard import Guard
from streamhub.access.policy import decide, scope
from streamhub.access.principal import Action, Principal, area, channel
from support.http_kit import areas, channels, grants, subjects

from .test_policy_decide import GRANT, NOW, a_grant, who


def facts_of(states: dict[str, Filing], rows: list[Grant] | None = None) -> Facts:
    cameras = [replace(row, filing=states.get(row.id, Filing.FILED)) for row in channels()]
    return Facts.build(
        areas=areas(),
        channels=cameras,
        subjects=subjects(),
        grants=grants() if rows is None else rows,
    )


@pytest.mark.parametrize("state", [Filing.DRAFT, Filing.REVIEWED])
def test_what_is_not_filed_is_not_there_for_an_operator(state: Filing) -> None:
    facts = facts_of({"ch_y1": state})
    for name in ("yongshun", "lister", "auditor"):
        for action in Action:
            decision = decide(who(name), action, channel("ch_y1"), facts, NOW)
            assert (decision.allowed, decision.visible, decision.reason) == (
                False,
                False,
                "not_filed",
            )
    assert decide(who("yongshun"), Action.LIVE, channel("ch_y2"), facts, NOW).allowed


def test_whoever_manages_it_sees_and_watches_a_draft() -> None:
    facts = facts_of({"ch_y1": Filing.DRAFT})
    for name in ("admin", "warden"):
        for action in (Action.LIST, Action.LIVE, Action.MANAGE):
            assert decide(who(name), action, channel("ch_y1"), facts, NOW).allowed
    assert not decide(who("warden"), Action.SNAPSHOT, channel("ch_y1"), facts, NOW).allowed
    assert decide(Principal.local("root"), Action.LIVE, channel("ch_y1"), facts, NOW).allowed


def test_a_grant_on_a_draft_alone_tells_nothing_of_its_area() -> None:
    mine = a_grant("stranger", {"list", "live"}, channel_id="ch_l1")
    drafts = facts_of({"ch_l1": Filing.DRAFT}, [mine])
    assert not decide(who("stranger"), Action.LIST, area("ar_liyuan"), drafts, NOW).visible
    filed = facts_of({}, [mine])
    assert decide(who("stranger"), Action.LIST, area("ar_liyuan"), filed, NOW).visible


def test_managing_one_channel_shows_that_draft_and_no_other() -> None:
    rows = [
        a_grant("stranger", {"list"}, area_id="ar_liyuan"),
        replace(a_grant("stranger", {"manage"}, channel_id="ch_l1"), id="gr_2"),
    ]
    facts = facts_of({"ch_l1": Filing.DRAFT, "ch_l2": Filing.DRAFT}, rows)
    seen = scope(who("stranger"), Action.LIST, facts, NOW)
    assert [row.id for row in facts.channels.values() if seen.shows(row)] == ["ch_l1"]
    assert not seen.shows_all


@given(
    rows=st.lists(GRANT, max_size=6),
    name=st.sampled_from([row.username for row in subjects()]),
    action=st.sampled_from(list(Action)),
    states=st.dictionaries(
        st.sampled_from([row.id for row in channels()]), st.sampled_from(list(Filing))
    ),
)
def test_a_list_shows_what_the_decision_allows(
    rows: list[Grant], name: str, action: Action, states: dict[str, Filing]
) -> None:
    facts = facts_of(states, rows)
    seen = scope(who(name), action, facts, NOW)
    for row in facts.channels.values():
        decision = decide(who(name), action, channel(row.id), facts, NOW)
        allowed = decision.allowed or decision.reason == "channel_disabled"
        assert seen.shows(row) == allowed
        manages = decide(who(name), Action.MANAGE, channel(row.id), facts, NOW).allowed
        if not row.is_filed and not manages:
            assert not decision.visible


def test_a_permit_does_not_outlive_the_filing() -> None:
    class Turning:
        current = facts_of({})

    source = Turning()
    guard = Guard(source, now=lambda: NOW)
    operator = guard.require(who("yongshun"), Action.LIVE, channel("ch_y1"))
    manager = guard.require(who("warden"), Action.LIVE, channel("ch_y1"))
    source.current = facts_of({"ch_y1": Filing.DRAFT})
    assert guard.recheck(operator) is None
    assert guard.recheck(manager) is not None

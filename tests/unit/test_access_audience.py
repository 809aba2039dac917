"""Who would see more or less: held against the decision over the facts as they would be."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from camera_registry.domain import Filing, Grant
from streamhub.access.audience import SEEING, audience
from streamhub.access.facts import Facts
from streamhub.access.policy import decide
from streamhub.access.principal import channel
from support.http_kit import areas, channels, grants, subjects

from .test_policy_decide import GRANT, NOW, who


def facts_with(rows: list[Grant], cameras: dict[str, tuple[str, Filing]]) -> Facts:
    changed = [
        replace(row, area_id=cameras[row.id][0], filing=cameras[row.id][1])
        if row.id in cameras
        else row
        for row in channels()
    ]
    return Facts.build(areas=areas(), channels=changed, subjects=subjects(), grants=rows)


def test_a_move_is_told_for_both_sides() -> None:
    facts = facts_with(grants(), {})
    moved = [replace(row, area_id="ar_liyuan") for row in channels() if row.id == "ch_y1"]
    told = {
        each.subject.username: ([c.id for c in each.gained], [c.id for c in each.lost])
        for each in audience(facts, moved, NOW)
    }
    assert told == {
        "lister": ([], ["ch_y1"]),
        "warden": ([], ["ch_y1"]),
        "yongshun": ([], ["ch_y1"]),
    }


def test_who_may_not_sign_in_sees_nothing_of_it() -> None:
    people = [replace(row, enabled=row.username != "yongshun") for row in subjects()]
    facts = Facts.build(areas=areas(), channels=channels(), subjects=people, grants=grants())
    moved = [replace(row, area_id="ar_yongshun") for row in channels() if row.id == "ch_l1"]
    unknown = replace(moved[0], id="ch_unknown")
    told = audience(facts, [*moved, unknown], NOW)
    assert [each.subject.username for each in told] == ["lister", "warden"]
    assert {tuple(c.id for c in each.gained) for each in told} == {("ch_l1",)}


STATE = st.tuples(
    st.sampled_from([row.id for row in areas()]), st.sampled_from([Filing.DRAFT, Filing.FILED])
)
STATES = st.dictionaries(st.sampled_from([row.id for row in channels()]), STATE)


@given(rows=st.lists(GRANT, max_size=6), before=STATES, after=STATES)
def test_it_says_what_the_decision_will_say(
    rows: list[Grant],
    before: dict[str, tuple[str, Filing]],
    after: dict[str, tuple[str, Filing]],
) -> None:
    now, then = facts_with(rows, before), facts_with(rows, before | after)
    told = {
        each.subject.username: ({c.id for c in each.gained}, {c.id for c in each.lost})
        for each in audience(now, [then.channels[each] for each in after], NOW)
    }

    def sees(name: str, channel_id: str, facts: Facts) -> bool:
        decisions = [
            decide(who(name), action, channel(channel_id), facts, NOW) for action in SEEING
        ]
        return any(d.allowed or d.reason == "channel_disabled" for d in decisions)

    for subject in subjects():
        name = subject.username
        gained, lost = told.get(name, (set(), set()))
        for row in channels():
            saw, will = sees(name, row.id, now), sees(name, row.id, then)
            assert (row.id in gained) == (will and not saw)
            assert (row.id in lost) == (saw and not will)


def test_who_has_a_password_to_change_first_will_see_it_all_the_same() -> None:
    due = [replace(row, must_change_password=row.username == "yongshun") for row in subjects()]
    facts = Facts.build(areas=areas(), channels=channels(), subjects=due, grants=grants())
    moved = [replace(row, area_id="ar_liyuan") for row in channels() if row.id == "ch_y1"]
    assert "yongshun" in {each.subject.username for each in audience(facts, moved, NOW)}

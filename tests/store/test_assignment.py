"""Assignment in the registry: rules are kept, a plan is looked at, then carried out as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from camera_registry.assignment import MAX_RULES, Assignees, Assignment
from camera_registry.domain import Actor, Area, Channel, Filing
from camera_registry.drafts import AreaChanges, GrantDraft, SubjectDraft
from camera_registry.errors import Conflict, NotFound, ValidationFailed
from camera_registry.feed import ChangeFeed
from camera_registry.filing import Filings, Selection
from camera_registry.people import People
from camera_registry.service import Registry
from camera_registry.store import SqlStore

from .test_registry_cameras import acts, areas, draft

ALL = Assignees()
WEST = ((116.0, 39.0), (116.5, 39.0), (116.5, 40.0), (116.0, 40.0))
EAST = ((116.5, 39.0), (117.0, 39.0), (117.0, 40.0), (116.5, 40.0))


@pytest.fixture
async def assignment(store: SqlStore, feed: ChangeFeed) -> Assignment:
    return Assignment(store, feed)


async def district(registry: Registry, by: Actor) -> list[Area]:
    """District, west, east (with boundaries), and a community in the west."""
    found = await areas(registry, by)
    for area, boundary in ((found[1], WEST), (found[2], EAST)):
        await registry.update_area(area.id, AreaChanges(boundary=boundary), by)
    return found


async def cameras(registry: Registry, area: Area, by: Actor) -> list[Channel]:
    """In the district itself: one lies in the west, one in the east, one nowhere."""
    return [
        await registry.create_channel(draft(area, n, lon=lon, lat=lat, **more), by)  # type: ignore[arg-type]
        for n, (lon, lat, more) in enumerate(
            [
                (116.2, 39.5, {}),
                (116.7, 39.5, {"facts": {"address": "东关街1号"}}),
                (None, None, {}),
            ],
            start=1,
        )
    ]


async def test_a_plan_is_looked_at_and_carried_out_as_one(
    registry: Registry, assignment: Assignment, by: Actor, store: SqlStore
) -> None:
    [top, west, east, _] = await district(registry, by)
    made = await cameras(registry, top, by)
    plan = await assignment.plan(ALL)
    assert [(m.before.id, m.after.area_id) for m in plan.moves] == [
        (made[0].id, west.id),
        (made[1].id, east.id),
    ]
    assert (plan.looked_at, plan.unplaced, plan.beyond, plan.schematic) == (3, 1, 0, 0)
    assert [await registry.get_channel(each.id) for each in made] == made

    assert await assignment.apply(ALL, plan.id, by) == plan
    moved = await registry.get_channel(made[0].id)
    assert moved == replace(made[0], area_id=west.id)
    [version, _] = (await registry.list_versions(made[0].id)).items
    assert (version.act, version.before, version.after) == ("area_assign", made[0], moved)
    assert (await acts(store))[-1] == "area_assign"
    assert (await assignment.plan(ALL)).moves == ()
    await registry.undo_version(version.seq, by)
    assert await registry.get_channel(made[0].id) == made[0]


@pytest.mark.parametrize("how", ["channel", "area", "grant", "everything", "rule", "applied"])
async def test_what_was_not_looked_at_is_not_carried_out(
    registry: Registry, assignment: Assignment, people: People, by: Actor, store: SqlStore, how: str
) -> None:
    [top, west, east, _] = await district(registry, by)
    made = await cameras(registry, top, by)
    subject = await people.create_subject(SubjectDraft("op", "Op"), by)
    plan = await assignment.plan(ALL)
    if how == "channel":
        await registry.update_channel(made[2].id, {"name": "x"}, by)
    elif how == "area":
        await registry.update_area(east.id, {"schematic": True}, by)
    elif how == "grant":  # it would be seen by somebody more than was said
        await people.create_grant(GrantDraft(subject.id, {"list"}, area_id=west.id), by)
    elif how == "everything":
        async with store.write() as tx:
            await tx.bulk_update(channels=[])
    elif how == "rule":
        await assignment.add_rule(kind="address_prefix", area_id=west.id, text="东关街", by=by)
    else:
        await assignment.apply(ALL, plan.id, by)
    before = (await registry.list_channels()).items
    with pytest.raises(Conflict, match="look at what assigning would do now") as refused:
        await assignment.apply(ALL, plan.id, by)
    assert refused.value.code == "registry_changed"
    assert (await registry.list_channels()).items == before


async def test_an_older_plan_of_facts_is_older(
    registry: Registry, assignment: Assignment, by: Actor
) -> None:
    """Who sees what was said from facts that did not have the last change yet."""
    [top, *_] = await district(registry, by)
    made = await cameras(registry, top, by)
    seq = int((await assignment.plan(ALL)).id.partition("-")[0])
    await registry.update_channel(made[2].id, {"name": "x"}, by)
    plan = await assignment.plan(ALL, known_seq=seq)
    with pytest.raises(Conflict):
        await assignment.apply(ALL, plan.id, by)
    for unknown in ("", "x-1", "9" * 40, "-1-00"):
        with pytest.raises(ValidationFailed, match="that a preview named"):
            await assignment.apply(ALL, unknown, by)


async def test_only_what_was_chosen_and_only_where_one_manages(
    registry: Registry, assignment: Assignment, by: Actor
) -> None:
    [top, west, east, within] = await district(registry, by)
    made = await cameras(registry, top, by)
    one = Assignees(Selection(frozenset({made[1].id})))
    assert [m.after.area_id for m in (await assignment.plan(one)).moves] == [east.id]
    only_west = Assignees(into=frozenset({west.id, within.id}))
    plan = await assignment.plan(only_west)
    assert ([m.before.id for m in plan.moves], plan.beyond) == ([made[0].id], 1)
    await assignment.apply(only_west, plan.id, by)
    in_west = Assignees(Selection(area_id=west.id))
    assert (await assignment.plan(in_west)).looked_at == 1
    assert (await assignment.plan(Assignees(boundaries=False))).unplaced == 3
    with pytest.raises(NotFound):
        await assignment.plan(Assignees(Selection(area_id="ar_none")))


async def test_rules_are_kept_in_order_and_go_with_their_area(
    registry: Registry, assignment: Assignment, by: Actor, store: SqlStore
) -> None:
    [top, west, _, within] = await district(registry, by)
    made = await cameras(registry, top, by)
    low = await assignment.add_rule(
        kind="fact", area_id=within.id, field="manufacturer", text="海康威视", priority=50, by=by
    )
    high = await assignment.add_rule(
        kind="address_prefix", area_id=west.id, text=" 东关街 ", priority=5, by=by
    )
    assert low.text == "1"  # as an import keeps it
    assert high.text == "东关街"
    assert await assignment.rules() == [high, low]
    plan = await assignment.plan(ALL)
    assert {m.before.id: m.placement.rule_id for m in plan.moves} == {
        made[0].id: None,
        made[1].id: high.id,
    }
    await assignment.remove_rule(high.id, by)
    with pytest.raises(NotFound):
        await assignment.remove_rule(high.id, by)
    await registry.delete_area(within.id, by)
    assert await assignment.rules() == []
    assert (await acts(store))[-4:] == [
        "assignment_rule_add", "assignment_rule_add", "assignment_rule_remove", "area_delete",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"kind": "colour"}, "unknown_value"),
        ({"kind": "polygon", "text": "x"}, "rule_text"),
        ({"kind": "polygon", "field": "address"}, "rule_field"),
        ({"kind": "fact", "text": "x"}, "rule_field"),
        ({"kind": "fact", "field": "shoe_size", "text": "x"}, "unknown_fact"),
        ({"kind": "fact", "field": "mac", "text": "x"}, "mac_malformed"),
        ({"kind": "fact", "field": "other.\ud800", "text": "x"}, "text_unprintable"),
        ({"kind": "fact", "field": f"other.{'x' * 60}", "text": "x"}, "text_too_long"),
        ({"kind": "fact", "field": "address", "text": ""}, "text_empty"),
        ({"kind": "name_prefix", "text": " "}, "text_empty"),
        ({"kind": "name_prefix", "text": "a\nb"}, "text_unprintable"),
        ({"kind": "name_prefix"}, "text_empty"),
        ({"kind": "name_prefix", "text": "x", "priority": -1}, "out_of_range"),
        ({"kind": "name_prefix", "text": "x", "area_id": "ar_none"}, "unknown_area"),
    ],
)
async def test_a_rule_that_is_none_is_said(
    registry: Registry, assignment: Assignment, by: Actor, fields: dict[str, str], code: str
) -> None:
    [top, *_] = await areas(registry, by)
    with pytest.raises(ValidationFailed) as refused:
        await assignment.add_rule(**{"area_id": top.id, "by": by, **fields})  # type: ignore[arg-type]
    assert refused.value.code == code


async def test_rules_are_bounded(
    registry: Registry, assignment: Assignment, by: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_RULES == 500
    monkeypatch.setattr("camera_registry.assignment.MAX_RULES", 1)
    [top, *_] = await areas(registry, by)
    await assignment.add_rule(kind="polygon", area_id=top.id, by=by)
    with pytest.raises(Conflict) as refused:
        await assignment.add_rule(kind="polygon", area_id=top.id, by=by)
    assert refused.value.code == "too_many_rules"


async def test_where_every_change_is_reviewed_a_moved_camera_is_a_draft_again(
    registry: Registry, assignment: Assignment, by: Actor, store: SqlStore
) -> None:
    [top, *_] = await district(registry, by)
    made = await cameras(registry, top, by)
    await Filings(store).choose(by, by_hand="draft")
    plan = await assignment.plan(ALL)
    assert {move.after.filing for move in plan.moves} == {Filing.DRAFT}
    await assignment.apply(ALL, plan.id, by)
    assert (await registry.get_channel(made[0].id)).filing is Filing.DRAFT
    assert (await registry.get_channel(made[2].id)).is_filed

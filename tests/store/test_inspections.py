"""Inspections in the store: a run begun, interrupted, gone on with, ended; and its cards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from camera_registry.domain import Actor, Area, Filing, Scope
from camera_registry.errors import Conflict, NotFound, ValidationFailed
from camera_registry.inspection.card import (
    MAX_PICTURE_BYTES,
    Card,
    Facts,
    RunState,
    Target,
    Verdict,
)
from camera_registry.inspection.cases import InspectionCases, Result
from camera_registry.service import Registry
from camera_registry.store import SqlStore, open_store

from .conftest import Place
from .test_registry_cameras import acts, areas, draft

AT = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture
def inspections(store: SqlStore) -> InspectionCases:
    return InspectionCases(store)


def card(target: Target, verdict: Verdict = Verdict.PLAYS, **facts: object) -> Card:
    codes = ("b_frames",) if verdict is Verdict.FAILS else ()
    return Card(target.channel_id, target.profile, AT, "in_x", verdict, codes, Facts.of(facts))


async def district(registry: Registry, by: Actor) -> list[Area]:
    found = await areas(registry, by)
    for number, area in ((1, found[1]), (2, found[1]), (3, found[2])):
        await registry.create_channel(draft(area, number), by)
    return found


async def test_a_run_goes_from_its_targets_to_its_cards(
    inspections: InspectionCases, registry: Registry, by: Actor, store: SqlStore
) -> None:
    await district(registry, by)
    run = await inspections.begin(by, profiles=["main", "sub", "main"])
    assert (run.state, run.profiles, run.scope) == (
        RunState.RUNNING,
        ("main", "sub"),
        {"all": True},
    )
    targets, gone = await inspections.left(run.id)
    assert run.total == len(targets)
    assert gone == []
    assert [each.number for each in targets] == list(range(1, run.total + 1))
    first, second, *_ = targets
    assert (first.host, first.max_dials) == ("192.0.2.10", 4)

    facts = {"codec": "H264", "fps_measured": 24.97, "gop_ms": 2000}
    results = [
        Result(first.number, card(first, **facts), b"\xff\xd8jpeg"),
        Result(second.number, card(second, Verdict.FAILS, failure="connect_timeout")),
    ]
    run = await inspections.record(run.id, results)
    assert (run.done, run.counts) == (2, {"plays": 1, "fails": 1})
    kept = await inspections.card(first.channel_id, first.profile)
    assert kept.facts == Facts(codec="H264", fps_measured=24.97, gop_ms=2000)
    assert kept.has_picture
    assert await inspections.picture(first.channel_id, first.profile) == b"\xff\xd8jpeg"
    assert not (await inspections.card(second.channel_id, second.profile)).has_picture
    assert [each.number for each in (await inspections.left(run.id))[0]] == [
        each.number for each in targets[2:]
    ]
    run = await inspections.finish(run.id, by)
    assert (run.state, (await inspections.left(run.id))[0]) == (RunState.DONE, [])
    assert await inspections.finish(run.id, by, stopped=True) == run
    assert [act for act in await acts(store) if act.startswith("inspection")] == [
        "inspection_begin",
        "inspection_end",
    ]


async def test_a_run_is_there_after_a_restart_with_what_is_left(
    inspections: InspectionCases, registry: Registry, by: Actor, place: Place
) -> None:
    await district(registry, by)
    run = await inspections.begin(by)
    [first, *_], _ = await inspections.left(run.id)
    await inspections.record(run.id, [Result(first.number, card(first))])
    again = await open_store(place.at)
    try:
        cases = InspectionCases(again)
        found = await cases.running()
        assert found is not None
        assert (found.id, found.done) == (run.id, 1)
        assert first not in (await cases.left(run.id))[0]
    finally:
        await again.close()


async def test_only_one_run_at_a_time(
    inspections: InspectionCases, registry: Registry, by: Actor
) -> None:
    await district(registry, by)
    run = await inspections.begin(by)
    with pytest.raises(Conflict, match=f"{run.id} is under way, 0 of 3 done") as refused:
        await inspections.begin(by)
    assert refused.value.code == "inspection_under_way"
    await inspections.finish(run.id, by, stopped=True)
    assert (await inspections.begin(by)).id != run.id


async def test_what_is_inspected_is_what_was_asked_for(
    inspections: InspectionCases, registry: Registry, by: Actor
) -> None:
    found = await district(registry, by)
    run = await inspections.begin(by, area_id=found[1].id)
    assert run.total == 2
    await inspections.finish(run.id, by)
    [channel, *_] = (await registry.list_channels()).items
    run = await inspections.begin(by, channel_ids=[channel.id])
    assert [each.channel_id for each in (await inspections.left(run.id))[0]] == [channel.id]
    await inspections.finish(run.id, by)
    for wrong in ({"area_id": "ar_no"}, {"channel_ids": ["ch_no"]}):
        with pytest.raises(NotFound):
            await inspections.begin(by, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValidationFailed, match="not both"):
        await inspections.begin(by, area_id=found[1].id, channel_ids=[])
    with pytest.raises(ValidationFailed, match="no profile"):
        await inspections.begin(by, profiles=["third"])
    with pytest.raises(ValidationFailed, match="nothing to inspect"):
        await inspections.begin(by, channel_ids=[])


async def test_a_channel_that_went_meanwhile_is_counted_and_takes_its_card_along(
    inspections: InspectionCases, registry: Registry, by: Actor
) -> None:
    await district(registry, by)
    run = await inspections.begin(by)
    [first, second, third], _ = await inspections.left(run.id)
    await inspections.record(run.id, [Result(first.number, card(first), b"jpeg")])
    await registry.delete_channel(first.channel_id, by)
    with pytest.raises(NotFound):
        await inspections.picture(first.channel_id)
    await registry.delete_channel(second.channel_id, by)
    targets, gone = await inspections.left(run.id)
    assert ([each.number for each in targets], gone) == ([third.number], [second.number])
    run = await inspections.record(
        run.id, [Result(second.number, card(second)), Result(third.number, card(third))]
    )
    assert run.counts == {"plays": 2, "gone": 1}


async def test_the_newest_card_takes_the_place_of_the_older_one(
    inspections: InspectionCases, registry: Registry, by: Actor
) -> None:
    await district(registry, by)
    run = await inspections.begin(by)
    [first, *_], _ = await inspections.left(run.id)
    run = await inspections.record(run.id, [Result(first.number, card(first), b"one")])
    again = await inspections.record(run.id, [Result(first.number, card(first, Verdict.FAILS))])
    assert again.counts == run.counts == {"plays": 1}  # the same target twice
    assert (await inspections.card(first.channel_id)).verdict is Verdict.PLAYS
    await inspections.finish(run.id, by, stopped=True)
    run = await inspections.begin(by)
    [first, second, *_], _ = await inspections.left(run.id)
    await inspections.record(run.id, [Result(first.number, card(first, Verdict.FAILS))])
    kept = await inspections.card(first.channel_id)
    assert (kept.verdict, kept.has_picture) == (Verdict.FAILS, False)
    too_much = Result(second.number, card(second), b"x" * (MAX_PICTURE_BYTES + 1))
    with pytest.raises(ValueError, match="is not kept"):
        await inspections.record(run.id, [too_much])


async def test_cards_are_listed_by_verdict_area_and_scope(
    inspections: InspectionCases, registry: Registry, by: Actor
) -> None:
    found = await district(registry, by)
    run = await inspections.begin(by)
    targets, _ = await inspections.left(run.id)
    verdicts = (Verdict.PLAYS, Verdict.FAILS, Verdict.FAILS)
    await inspections.record(
        run.id, [Result(t.number, card(t, v)) for t, v in zip(targets, verdicts, strict=True)]
    )
    assert (await inspections.cards()).total == 3
    failing = await inspections.cards(verdict=Verdict.FAILS)
    assert {each.channel_id for each in failing.items} == {t.channel_id for t in targets[1:]}
    assert (await inspections.cards(verdict=Verdict.FAILS, area_id=found[1].id)).total == 1
    scope = Scope(channel_ids=frozenset({targets[2].channel_id}))
    assert [each.channel_id for each in (await inspections.cards(scope=scope)).items] == [
        targets[2].channel_id
    ]
    assert (await inspections.cards(scope=Scope())).total == 0
    # More than either database takes as parameters of one statement.
    many = frozenset(f"ch_{number}" for number in range(70_000))
    wide = Scope(frozenset(f"ar_{number}" for number in range(70_000)), many | scope.channel_ids)
    assert (await inspections.cards(scope=wide)).total == 1
    named = await inspections.cards(channel_ids=[targets[0].channel_id, "ch_none"], scope=scope)
    assert named.total == 0
    named = await inspections.cards(channel_ids=[targets[0].channel_id, "ch_none"])
    assert [each.channel_id for each in named.items] == [targets[0].channel_id]
    assert (await inspections.cards(channel_ids=[])).total == 0
    assert (await inspections.cards(filing=Filing.FILED)).total == 3
    assert (await inspections.cards(filing=Filing.DRAFT)).total == 0
    page = await inspections.cards(limit=2)
    rest = await inspections.cards(limit=2, cursor=page.next_cursor)
    ids = [each.channel_id for each in (*page.items, *rest.items)]
    assert ids == sorted(t.channel_id for t in targets)
    assert rest.next_cursor is None


async def test_runs_are_listed_newest_first_and_old_ones_go(
    inspections: InspectionCases, registry: Registry, by: Actor, store: SqlStore
) -> None:
    await district(registry, by)
    first = await inspections.begin(by)
    await inspections.finish(first.id, by)
    second = await inspections.begin(by)
    assert [each.id for each in (await inspections.runs()).items] == [second.id, first.id]
    async with store.write() as tx:
        await tx.inspections.delete_runs_before(datetime.now(UTC) + timedelta(days=1))
    assert [each.id for each in (await inspections.runs()).items] == [second.id]


async def test_the_step_goes_down_and_up_again(store: SqlStore) -> None:
    await store.migrate_down("0002")
    assert await store.schema_revision() == "0002"
    await store.migrate()
    assert await InspectionCases(store).running() is None

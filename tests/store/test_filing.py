"""Filing in the registry: two persons, in bulk, each step a version and in the audit."""

from __future__ import annotations

import json

import pytest

from camera_registry.domain import Actor, Area, Channel, Filing
from camera_registry.errors import Conflict, NotFound, ValidationFailed
from camera_registry.feed import ChangeFeed
from camera_registry.filing import MAX_CHOSEN, MAX_WRITTEN_EACH, Filings, Selection
from camera_registry.filing_rules import FilingStep
from camera_registry.imports import Imports
from camera_registry.jobs import JobState
from camera_registry.service import Registry
from camera_registry.store import SqlStore

from .conftest import Place
from .import_kit import csv, plan, row
from .test_registry_cameras import acts, areas, draft

ANNA, BO = Actor("su_anna", "anna", "192.0.2.1"), Actor("su_bo", "bo", "192.0.2.2")


@pytest.fixture
async def filings(store: SqlStore, feed: ChangeFeed) -> Filings:
    return Filings(store, feed)


def these(*channels: Channel) -> Selection:
    return Selection(channel_ids=frozenset(channel.id for channel in channels))


async def drafts(registry: Registry, area: Area, count: int, by: Actor) -> list[Channel]:
    return [
        await registry.create_channel(draft(area, number, filing="draft"), by)
        for number in range(1, count + 1)
    ]


async def states(registry: Registry) -> list[str]:
    return [each.filing.value for each in (await registry.list_channels(limit=500)).items]


async def test_from_draft_to_filed_by_two_persons(
    registry: Registry, filings: Filings, store: SqlStore
) -> None:
    [_, one, *_] = await areas(registry, ANNA)
    [camera] = await drafts(registry, one, 1, ANNA)
    with pytest.raises(Conflict, match="last to change 1 of these") as own:
        await filings.take(FilingStep.REVIEW, these(camera), ANNA)
    assert own.value.code == "second_person_wanted"
    with pytest.raises(Conflict) as early:
        await filings.take(FilingStep.FILE, these(camera), BO)
    assert early.value.code == "wrong_filing_state"
    assert await states(registry) == ["draft"]

    assert (await filings.take(FilingStep.REVIEW, these(camera), BO)).changed == 1
    assert (await filings.take(FilingStep.FILE, these(camera), ANNA)).changed == 1
    assert await states(registry) == ["filed"]
    versions = (await registry.list_versions(camera.id)).items
    assert [(v.act, v.subject_name, v.channel.filing) for v in versions] == [
        ("channel_file", "anna", "filed"),
        ("channel_review", "bo", "reviewed"),
        ("channel_create", "anna", "draft"),
    ]
    assert (await acts(store))[-2:] == ["channel_review", "channel_file"]


async def test_a_refused_one_returns_with_the_reason_and_comes_again(
    registry: Registry, filings: Filings
) -> None:
    [_, one, *_] = await areas(registry, ANNA)
    [camera] = await drafts(registry, one, 1, ANNA)
    await filings.take(FilingStep.REFUSE, these(camera), BO, reason="不在这条街")
    refused = await registry.get_channel(camera.id)
    assert (refused.filing, refused.filing_note) == (Filing.DRAFT, "不在这条街")
    await registry.update_channel(camera.id, {"name": "东街"}, ANNA)
    with pytest.raises(Conflict):
        await filings.take(FilingStep.REVIEW, these(camera), ANNA)
    await filings.take(FilingStep.REVIEW, these(camera), BO)
    again = await registry.get_channel(camera.id)
    assert (again.filing, again.filing_note) == (Filing.REVIEWED, None)


async def test_who_corrects_a_draft_is_the_one_who_may_not_review_it(
    registry: Registry, filings: Filings
) -> None:
    [_, one, *_] = await areas(registry, ANNA)
    [camera] = await drafts(registry, one, 1, ANNA)
    await registry.update_channel(camera.id, {"name": "东街"}, BO)
    with pytest.raises(Conflict):
        await filings.take(FilingStep.REVIEW, these(camera), BO)
    assert (await filings.take(FilingStep.REVIEW, these(camera), ANNA)).changed == 1


async def test_a_site_may_do_without_a_second_person_and_that_is_audited(
    registry: Registry, filings: Filings, store: SqlStore
) -> None:
    [_, one, *_] = await areas(registry, ANNA)
    [camera] = await drafts(registry, one, 1, ANNA)
    chosen = await filings.choose(ANNA, second_person=False)
    assert (chosen.second_person, chosen.by_hand) == (False, Filing.FILED)
    assert await filings.settings() == chosen
    assert (await acts(store))[-1] == "filing_settings"
    assert (await filings.take(FilingStep.REVIEW, these(camera), ANNA)).changed == 1
    await filings.choose(ANNA, by_hand="draft")
    kept = await filings.settings()
    assert (kept.second_person, kept.by_hand) == (False, Filing.DRAFT)
    with pytest.raises(ValidationFailed, match="begins as draft or filed"):
        await filings.choose(ANNA, by_hand="reviewed")


async def test_all_of_the_named_ones_or_none(registry: Registry, filings: Filings) -> None:
    [_, one, *_] = await areas(registry, ANNA)
    cameras = await drafts(registry, one, 3, ANNA)
    await filings.take(FilingStep.REVIEW, these(cameras[0]), BO)
    with pytest.raises(Conflict, match="is reviewed"):
        await filings.take(FilingStep.REVIEW, these(*cameras), BO)
    assert await states(registry) == ["reviewed", "draft", "draft"]
    with pytest.raises(NotFound):
        await filings.take(FilingStep.REVIEW, Selection(frozenset({"ch_none"})), BO)
    for bad in (
        Selection(),
        Selection(frozenset({"ch_1"}), one.id),
        Selection(frozenset()),
        Selection(frozenset(f"ch_{n}" for n in range(MAX_CHOSEN + 1))),
    ):
        with pytest.raises(ValidationFailed):
            await filings.take(FilingStep.REVIEW, bad, BO)


async def test_an_area_at_once_takes_what_is_ready_for_the_step(
    registry: Registry, filings: Filings, store: SqlStore
) -> None:
    [_, one, two, within] = await areas(registry, ANNA)
    count = MAX_WRITTEN_EACH + 2  # written in bulk
    [*_] = await drafts(registry, within, count, ANNA)
    elsewhere = await registry.create_channel(draft(two, 90, filing="draft"), ANNA)
    mine = await registry.create_channel(draft(one, 91, filing="draft"), BO)
    with pytest.raises(Conflict, match="last to change 1 of these"):
        await filings.take(FilingStep.REVIEW, Selection(area_id=one.id), BO)
    outcome = await filings.take(FilingStep.REVIEW, Selection(area_id=one.id), BO, without_own=True)
    assert (outcome.changed, outcome.left_out) == (count, 1)
    await filings.take(FilingStep.FILE, Selection(area_id=one.id), ANNA)
    left = [c.id for c in (await registry.list_channels(filing="draft")).items]
    assert left == [elsewhere.id, mine.id]
    assert (await acts(store)).count("channel_file") == 1
    with pytest.raises(NotFound):
        await filings.take(FilingStep.FILE, Selection(area_id="ar_none"), ANNA)


async def test_what_an_import_brings_is_reviewed_as_one(
    registry: Registry, filings: Filings, imports: Imports
) -> None:
    await areas(registry, ANNA)
    job, _ = await plan(imports, ANNA, csv(row(1), row(2)))
    await imports.apply(job.id, ANNA)
    assert await states(registry) == ["draft", "draft"]
    with pytest.raises(Conflict):
        await filings.take(FilingStep.REVIEW, Selection(job_id=job.id), ANNA)
    for step in (FilingStep.REVIEW, FilingStep.FILE):
        assert (await filings.take(step, Selection(job_id=job.id), BO)).changed == 2
    with pytest.raises(NotFound):
        await filings.take(FilingStep.FILE, Selection(job_id="im_none"), BO)

    # The same cameras come again: one with another address, one with another name.
    again, rows = await plan(imports, ANNA, csv(row(1, host="192.0.2.77"), row(2, name="西街")))
    assert ["filing", "filed", "draft"] in rows[0].payload["changes"]
    assert [change[0] for change in rows[1].payload["changes"]] == ["name"]
    await imports.apply(again.id, ANNA)
    assert await states(registry) == ["draft", "filed"]
    await imports.undo(again.id, ANNA)
    assert await states(registry) == ["filed", "filed"]


async def test_an_import_files_by_itself_only_where_one_person_is_enough(
    registry: Registry, filings: Filings, imports: Imports
) -> None:
    await areas(registry, ANNA)
    with pytest.raises(Conflict, match="a second person reviews"):
        await imports.create(csv(row(1)), "c.csv", {"template": "full", "filing": "filed"}, ANNA)
    with pytest.raises(ValidationFailed):
        await imports.create(csv(row(1)), "c.csv", {"template": "full", "filing": "done"}, ANNA)
    await filings.choose(ANNA, second_person=False)
    job, _ = await plan(imports, ANNA, csv(row(1)), filing="filed")
    other, _ = await plan(imports, ANNA, csv(row(2)), filing="filed")
    await imports.apply(job.id, ANNA)
    assert await states(registry) == ["filed"]
    await filings.choose(ANNA, second_person=True)  # between the check and the applying
    with pytest.raises(Conflict) as refused:
        await imports.apply(other.id, ANNA)
    assert refused.value.code == "second_person_wanted"
    assert (await imports.get(other.id)).state is JobState.CHECKED


async def test_where_the_site_says_so_what_is_changed_by_hand_waits_too(
    registry: Registry, filings: Filings
) -> None:
    [_, one, two, _] = await areas(registry, ANNA)
    camera = await registry.create_channel(draft(one, 1), ANNA)
    assert camera.is_filed
    moved = await registry.update_channel(camera.id, {"area_id": two.id}, ANNA)
    assert moved.is_filed
    await filings.choose(ANNA, by_hand="draft")
    back = await registry.update_channel(camera.id, {"name": "东街"}, ANNA)
    assert back.is_filed
    back = await registry.update_channel(camera.id, {"area_id": one.id}, ANNA)
    assert back.filing is Filing.DRAFT
    added = await registry.create_channel(draft(one, 2), ANNA)
    assert added.filing is Filing.DRAFT
    with pytest.raises(Conflict):
        await registry.create_channel(draft(one, 3, filing="filed"), ANNA)


async def test_a_step_is_undone_as_any_version(registry: Registry, filings: Filings) -> None:
    [_, one, *_] = await areas(registry, ANNA)
    [camera] = await drafts(registry, one, 1, ANNA)
    await filings.take(FilingStep.REVIEW, these(camera), BO)
    [newest, *_] = (await registry.list_versions(camera.id)).items
    await registry.undo_version(newest.seq, BO)
    assert await registry.get_channel(camera.id) == camera


async def test_what_was_there_before_there_were_states_is_filed(
    registry: Registry, filings: Filings, store: SqlStore, place: Place
) -> None:
    [_, one, *_] = await areas(registry, ANNA)
    made = await registry.create_channel(draft(one, 1), ANNA)
    await registry.update_channel(made.id, {"name": "东街"}, ANNA)
    await store.migrate_down("0002")
    with pytest.raises(Exception, match="filing"):
        place.execute("SELECT filing FROM channels")
    for seq, *sides in place.execute("SELECT seq, before, after FROM channel_versions"):
        texts = [None if text is None else json.loads(text) for text in sides]
        for values in filter(None, texts):
            del values["filing"], values["filing_note"]
        place.execute(
            "UPDATE channel_versions SET before = ?, after = ? WHERE seq = ?",
            *(None if each is None else json.dumps(each) for each in texts),
            seq,
        )
    await store.migrate()
    assert (await registry.get_channel(made.id)).is_filed
    [newest, _] = (await registry.list_versions(made.id)).items
    assert newest.before == made
    assert await registry.undo_version(newest.seq, BO) == made

"""What `bench kill` looks for after a kill, it finds: a judge that has seen each fault."""

from __future__ import annotations

from datetime import timedelta

import pytest

from camera_registry.domain import Actor
from camera_registry.drafts import AreaDraft, GrantDraft, SubjectDraft
from camera_registry.people import People
from camera_registry.service import Registry
from camera_registry.store import SqlStore
from streamhub.bench.kill import _Before, _Found
from streamhub.bench.kill_work import BASE, Change, Work

from .conftest import Place

END = BASE + timedelta(minutes=7)


class Run:
    """One change that was answered: three grants made. What is added to `work` is claimed."""

    def __init__(self, place: Place, work: Work, before: _Before, ids: list[str]) -> None:
        self.place = place
        self.work = work
        self.ids = ids
        self._before = before

    async def found(self) -> _Found:
        return await _Found.read(self.place.at, self._before, self.work)


@pytest.fixture
async def run(place: Place, store: SqlStore, registry: Registry, people: People, by: Actor) -> Run:
    area = await registry.create_area(AreaDraft(None, "district", "110112", "通州"), by)
    ada = await people.create_subject(SubjectDraft("ada", "Ada"), by)
    draft = GrantDraft(ada.id, ["list"], area.id, valid_until=END)
    old = await people.create_grant(GrantDraft(ada.id, ["list"], area.id), by)
    before = await _Before.read(place.at)
    made = await people.change_grants([draft, draft, draft, old.id], by)
    ids = [each.id for each in made[:3]]
    change = Change(END.isoformat(), 3, [old.id], answered=True, ids=ids)
    return Run(place, Work([change]), before, ids)


async def test_a_run_in_which_all_is_well_has_no_fault(run: Run) -> None:
    unanswered = Change((END + timedelta(minutes=1)).isoformat(), 5, [])
    run.work.changes.append(unanswered)
    found = await run.found()
    assert found.wrong == []
    figures = found.figures()
    assert (figures["changes_answered"], figures["changes_unanswered"]) == (1, 1)
    assert (figures["grants_made"], figures["grants_revoked"]) == (3, 1)
    assert (figures["unanswered_done"], figures["audit_rows"]) == (0, 4)


async def test_what_was_answered_and_is_not_there_is_lost(run: Run) -> None:
    mark = (END + timedelta(minutes=1)).isoformat()
    run.work.changes.append(Change(mark, 1, [], answered=True, ids=["gr_lost"]))
    assert (await run.found()).wrong == ["An answered change is lost: 0 of 1 made."]


async def test_a_change_that_is_half_there_is_seen_also_if_nobody_was_answered(run: Run) -> None:
    run.work.changes[0] = Change(END.isoformat(), 4, run.work.changes[0].revoked)
    assert (await run.found()).wrong == ["Half a change: 3 of 4 made, 1 revoked."]


async def test_a_whole_change_without_its_answer_is_counted(run: Run) -> None:
    run.work.changes[0].answered = False
    found = await run.found()
    assert (found.wrong, found.figures()["unanswered_done"]) == ([], 1)


async def test_what_nobody_asked_for_is_seen(run: Run) -> None:
    run.work.changes.clear()
    assert (await run.found()).wrong == ["Grants are there that nobody asked for."]


async def test_a_grant_that_has_gone_behind_its_rows_is_seen(run: Run) -> None:
    gone = [*run.work.changes[0].revoked, run.ids[0]]
    for grant_id in gone:
        run.place.execute("DELETE FROM grants WHERE id = ?", grant_id)
    assert (await run.found()).wrong == [
        "There are grants without an audit row, or rows without their grant.",
        "A grant has an audit row and is not there.",
    ]


async def test_a_revocation_without_its_row_or_its_effect_is_seen(run: Run) -> None:
    [old] = run.work.changes[0].revoked
    run.place.execute("UPDATE grants SET revoked_at = created_at WHERE id = ?", run.ids[0])
    run.place.execute("UPDATE grants SET revoked_at = NULL WHERE id = ?", old)
    assert (await run.found()).wrong == [
        f"{old} has 1 rows of a revocation.",
        "A grant is revoked without an audit row.",
    ]


async def test_a_change_that_followers_are_not_told_of_is_seen(run: Run) -> None:
    run.place.execute("DELETE FROM changes WHERE object_id = ?", run.ids[0])
    assert (await run.found()).wrong == ["The feed does not tell of the grants that were changed."]


async def test_a_view_without_its_row_and_what_was_refused_are_seen(run: Run) -> None:
    run.work.views.update(rtsp=2, whep=3)
    run.work.refused.append("A change was answered 500: ")
    assert (await run.found()).wrong == [
        "A change was answered 500: ",
        "2 views by rtsp played, 0 are written down.",
        "3 views by whep played, 0 are written down.",
    ]

"""Exports that two people make, as they are stored: who decides, until when, what is written."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from camera_registry import export_cases
from camera_registry.domain import Actor, Stated
from camera_registry.errors import Conflict, NotFound, ValidationFailed
from camera_registry.export_cases import KEPT_FOR, MAX_PENDING, ExportRequests
from camera_registry.export_requests import APPROVED_FOR, PENDING_FOR, ExportRequest, RequestState
from camera_registry.store import AuditQuery, SqlStore

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
WHY = Stated("inquiry", "案件 2026-17")
ASKED = {"subject": "wang", "acts": ["view_end"], "until": START.isoformat()}
A = Actor("su_a", "a", "192.0.2.1")
B = Actor("su_b", "b", "192.0.2.2")
BY_KEY = Actor("su_a", "a", "192.0.2.3", as_role="key ak_1")
HERE = Actor(None, "local:root")


class Desk:
    """The use cases, with a clock that the test moves."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.now = START
        self.cases = ExportRequests(store, clock=lambda: self.now)

    async def ask(self, by: Actor = A) -> ExportRequest:
        return await self.cases.ask(ASKED, "csv", WHY, by)

    async def refusal(self, request: ExportRequest, by: Actor, *, fetch: bool = False) -> str:
        """The code of what is answered to who decides, or fetches."""
        cases = self.cases
        work = (
            cases.fetch(request.id, by, grounds={})
            if fetch
            else cases.decide(request.id, by, approve=True)
        )
        with pytest.raises(Conflict) as caught:
            await work
        return caught.value.code

    async def rows(self) -> list[tuple[str, str | None]]:
        """Acts and actors, oldest first."""
        async with self.store.read() as tx:
            page = await tx.audit.page(AuditQuery(), limit=100, cursor=None)
        return [(row.act, row.subject_name) for row in reversed(page.items)]


@pytest.fixture
def desk(store: SqlStore) -> Desk:
    return Desk(store)


async def test_one_asks_another_approves_and_the_first_fetches(desk: Desk) -> None:
    asked = await desk.ask()
    assert await desk.cases.get(asked.id) == asked
    assert (asked.state, asked.ends_at) == (RequestState.PENDING, START + PENDING_FOR)
    assert asked.up_to_seq == 0
    assert (await desk.ask(B)).up_to_seq == 1  # the row of the first question
    assert await desk.refusal(asked, A, fetch=True) == "export_not_approved"
    approved = await desk.cases.decide(asked.id, B, approve=True, covers="ab" * 32)
    assert (await desk.cases.get(asked.id)).covers == approved.covers == "ab" * 32
    assert (approved.decided_by, approved.ends_at) == ("b", START + APPROVED_FOR)
    assert await desk.refusal(asked, B, fetch=True) == "export_not_yours"
    assert await desk.refusal(asked, B) == "export_decided"
    for _ in range(2):  # a download may break off
        await desk.cases.fetch(asked.id, A, grounds={"grant_ids": ["gr_1"]})
    assert (await desk.cases.get(asked.id)).fetched_at == START
    assert await desk.rows() == [
        ("export_ask", "a"),
        ("export_ask", "b"),
        ("export_approve", "b"),
        ("audit_export", "a"),
        ("audit_export", "a"),
    ]
    async with desk.store.read() as tx:
        for part in ("案件", "INQUIRY"):
            page = await tx.audit.page(AuditQuery(purpose=part), limit=9, cursor=None)
            assert len(page.items) == 5
    assert page.items[0].detail["approved_by"] == "b"
    desk.now += APPROVED_FOR
    assert await desk.refusal(asked, A, fetch=True) == "export_lapsed"
    assert (await desk.store.verify_audit()).ok


@pytest.mark.parametrize(
    ("asker", "decider", "same"),
    [
        (A, A, True),
        (A, BY_KEY, True),
        (BY_KEY, A, True),
        (HERE, Actor(None, "local:root", as_role="local_operator"), True),
        (HERE, Actor(None, "local:admin"), False),
        (A, Actor(None, "a"), False),
        (A, B, False),
    ],
)
async def test_a_person_is_an_account(desk: Desk, asker: Actor, decider: Actor, same: bool) -> None:
    asked = await desk.ask(asker)
    if same:
        assert await desk.refusal(asked, decider) == "export_own"
    else:
        await desk.cases.decide(asked.id, decider, approve=True)


async def test_who_refuses_says_why_and_a_question_runs_out(desk: Desk) -> None:
    asked = await desk.ask()
    for nothing in (None, " "):
        with pytest.raises(ValidationFailed):
            await desk.cases.decide(asked.id, B, approve=False, reason=nothing)
    refused = await desk.cases.decide(asked.id, B, approve=False, reason="没有立案")
    assert (refused.state, refused.reason) == (RequestState.REFUSED, "没有立案")
    assert await desk.refusal(asked, A, fetch=True) == "export_not_approved"
    late = await desk.ask()
    desk.now += PENDING_FOR
    assert await desk.refusal(late, B) == "export_lapsed"
    with pytest.raises(NotFound):
        await desk.cases.decide("ex_none", B, approve=True)


async def test_an_approval_is_taken_back_while_it_holds(desk: Desk) -> None:
    asked, late = await desk.ask(), await desk.ask()
    for each in (asked, late):
        await desk.cases.decide(each.id, B, approve=True)
    with pytest.raises(Conflict) as caught:
        await desk.cases.decide(asked.id, A, approve=False, reason="x")
    assert caught.value.code == "export_own"
    back = await desk.cases.decide(asked.id, HERE, approve=False, reason="结案了")
    assert (back.state, back.decided_by) == (RequestState.REFUSED, "local:root")
    assert await desk.refusal(asked, A, fetch=True) == "export_not_approved"
    assert await desk.refusal(asked, B) == "export_decided"
    async with desk.store.read() as tx:
        page = await tx.audit.page(
            AuditQuery(acts=frozenset({"export_refuse"})), limit=9, cursor=None
        )
    assert [row.detail["approved_by"] for row in page.items] == ["b"]
    desk.now += APPROVED_FOR
    with pytest.raises(Conflict) as caught:
        await desk.cases.decide(late.id, B, approve=False, reason="x")
    assert caught.value.code == "export_decided"


async def test_what_waits_and_what_is_kept_is_bounded(desk: Desk) -> None:
    first = await desk.ask()
    for _ in range(MAX_PENDING - 1):
        desk.now += timedelta(seconds=1)
        await desk.ask()
    with pytest.raises(Conflict) as caught:
        await desk.ask()
    assert caught.value.code == "too_many_exports_asked"
    for by, number in (
        (A, MAX_PENDING),
        (replace(A, subject_name="renamed"), MAX_PENDING),
        (replace(B, subject_name="a"), 0),
        (Actor(None, "a"), 0),
    ):
        async with desk.store.read() as tx:
            theirs = await tx.export_requests.of_person(by.subject_id, by.subject_name)
        assert len(theirs) == number
    await desk.ask(HERE)
    await desk.cases.decide(first.id, B, approve=True)
    desk.now += timedelta(seconds=1)
    newest = await desk.ask()
    listed = await desk.cases.kept()
    assert (listed[0].id, listed[-1].id, len(listed)) == (newest.id, first.id, MAX_PENDING + 2)
    desk.now += PENDING_FOR + KEPT_FOR
    last = await desk.ask()
    assert [each.id for each in await desk.cases.kept()][:1] == [last.id]
    assert first.id not in {each.id for each in await desk.cases.kept()}


async def test_of_one_person_the_oldest_that_are_over_go(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_cases, "MAX_KEPT", 5)
    approved, waiting, of_b = await desk.ask(), await desk.ask(), await desk.ask(B)
    await desk.cases.decide(approved.id, B, approve=True)
    over = []
    for _ in range(6):
        desk.now += timedelta(seconds=1)
        over.append(await desk.ask())
        await desk.cases.decide(over[-1].id, B, approve=False, reason="x")
    kept = [each.id for each in await desk.cases.kept()]
    assert kept[:3] == [each.id for each in reversed(over[3:])]
    assert set(kept[3:]) == {approved.id, waiting.id, of_b.id}


async def test_the_site_chooses_and_it_is_written(desk: Desk) -> None:
    assert await desk.cases.wants_second_person()
    await desk.cases.choose(HERE, second_person=False)
    assert not await desk.cases.wants_second_person()
    assert await desk.rows() == [("export_settings", "local:root")]


async def test_what_a_ticket_was_asked_for_goes_with_it(desk: Desk) -> None:
    async with desk.store.write() as tx:
        repo = tx.ticket_purposes
        await repo.add("aaaabbbb", "ch_1", WHY, START)
        await repo.add("ccccdddd", "ch_1", Stated("duty"), START + timedelta(seconds=1))
        assert await repo.get("aaaabbbb", "ch_1") == WHY
        assert await repo.get("aaaabbbb", "ch_2") is None
        assert await repo.delete_expired(START) == 1
        assert await repo.get("aaaabbbb", "ch_1") is None
        assert await repo.get("ccccdddd", "ch_1") == Stated("duty")

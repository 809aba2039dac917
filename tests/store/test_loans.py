"""Loans as they are stored, and against time: a picture is there exactly while one runs."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from camera_registry import loan_cases
from camera_registry.domain import Actor, ChangeKind, Channel, Device, Grant
from camera_registry.errors import Conflict, NotFound, ValidationFailed
from camera_registry.feed import ChangeFeed
from camera_registry.loan_cases import MAX_LOANS_OF_SUBJECT, LoanDraft, Loans
from camera_registry.loans import Loan, LoanState
from camera_registry.people import People
from camera_registry.store import AuditQuery, SqlStore, open_store
from streamhub.access.facts import Facts
from streamhub.access.policy import decide
from streamhub.access.principal import Action, Principal, channel
from support.http_kit import areas, channels, subjects

from .conftest import Place

START = datetime(2026, 6, 7, 12, 0, tzinfo=UTC)
CODE = "11011200111310000001"
ASKER = Actor("su_stranger", "stranger")
LENDER = Actor("su_warden", "warden")
TICK = timedelta(microseconds=1)
ACTS = ("ask",) * 4 + ("allow",) * 4 + ("refuse", "end", "revoke", "wait", "edge", "edge")


class At:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def a_question(asked: str = CODE, minutes: int = 60, *actions: str) -> LoanDraft:
    return LoanDraft("su_stranger", asked, actions or ("live",), " 查看路口积水 ", minutes)


def the_camera(number: int = 0) -> Channel:
    return channels()[number]


@pytest.fixture
def at() -> At:
    return At()


@pytest.fixture
async def loans(store: SqlStore, feed: ChangeFeed, at: At) -> Loans:
    async with store.write() as tx:
        await tx.bulk_add(
            areas=areas(),
            devices=[(Device("de_1", "farm", "127.0.0.1", 8554), None)],
            channels=channels(),
            subjects=[(each, None) for each in subjects()],
        )
    return Loans(store, feed, max_hours=24, open_hours=2, clock=at)


async def acts(store: SqlStore, *names: str) -> list[tuple[str, str | None, str | None]]:
    async with store.read() as tx:
        query = AuditQuery(acts=frozenset(names))
        page = await tx.audit.page(query, limit=50, cursor=None)
    return [(row.act, row.subject_name, row.channel_id) for row in reversed(page.items)]


async def test_a_question_its_answer_and_its_end(store: SqlStore, loans: Loans, at: At) -> None:
    asked = await loans.ask(a_question(CODE, 60, "live", "snapshot"), ASKER)
    assert (asked.reason, asked.state_at(at.now)) == ("查看路口积水", LoanState.OPEN)
    assert await loans.unfinished() == [asked] == (await loans.of_subject("su_stranger")).items
    assert await loans.channels_of([asked]) == {asked.id: the_camera()}

    at.now += timedelta(minutes=10)
    before = await store.latest_change_seq()
    lent = await loans.allow(asked.id, the_camera(), LENDER, actions=["live"], minutes=30)
    assert await loans.get(asked.id) == lent
    assert lent.state_at(at.now) is LoanState.RUNNING
    assert (lent.answered_by, lent.until) == ("warden", at.now + timedelta(minutes=30))
    assert (lent.channel_id, lent.lent) == ("ch_y1", {"list", "live"})
    [change] = await store.changes_since(before)
    assert (change.kind, change.object_id) == (ChangeKind.GRANT, lent.grant_id)
    async with store.read() as tx:
        [grant] = await tx.grants.all_unrevoked()
    assert (grant.id, grant.lent_by, grant.valid_until) == (lent.grant_id, "warden", lent.until)
    assert grant.loan_id == lent.id

    for answer in (
        loans.allow(asked.id, the_camera(), LENDER, actions=["live"]),
        loans.refuse(asked.id, "x", None, LENDER),
    ):
        with pytest.raises(Conflict) as caught:
            await answer
        assert caught.value.code == "loan_answered"
    at.now += timedelta(minutes=1)
    ended = await loans.end(asked.id, ASKER)
    assert (ended.state_at(at.now), ended.ended_at) == (LoanState.ENDED, at.now)
    with pytest.raises(Conflict) as caught:
        await loans.end(asked.id, ASKER)
    assert caught.value.code == "loan_over"
    assert await loans.unfinished() == []
    assert await acts(
        store, "loan_ask", "loan_allow", "loan_end", "grant_create", "grant_revoke"
    ) == [
        ("loan_ask", "stranger", None),  # whoever asked reads it
        ("grant_create", "warden", "ch_y1"),
        ("loan_allow", "warden", "ch_y1"),
        ("grant_revoke", "stranger", "ch_y1"),
        ("loan_end", "stranger", "ch_y1"),
    ]
    async with store.read() as tx:
        query = AuditQuery(acts=frozenset({"loan_allow", "loan_end"}))
        page = await tx.audit.page(query, limit=9, cursor=None)
    # Where the camera was then: its auditor reads both, also once it is somewhere else.
    assert [row.area_id for row in page.items] == [the_camera().area_id] * 2


async def test_a_refusal_a_withdrawal_and_a_question_nobody_answers(
    store: SqlStore, loans: Loans, at: At
) -> None:
    unknown = "11011200111310099999"
    first, second, third = [
        await loans.ask(a_question(each), ASKER) for each in (CODE, unknown, "ch_l1")
    ]
    assert {
        id_: row.id for id_, row in (await loans.channels_of([first, second, third])).items()
    } == {
        first.id: "ch_y1",
        third.id: "ch_l1",
    }
    refused = await loans.refuse(first.id, " 正在检修 ", the_camera(), LENDER)
    assert (refused.refusal, refused.state_at(at.now)) == ("正在检修", LoanState.REFUSED)
    back = await loans.end(second.id, ASKER)
    assert back.state_at(at.now) is LoanState.WITHDRAWN
    again = await loans.ask(a_question(unknown), ASKER)  # it was taken back
    at.now += timedelta(hours=2) - TICK
    assert await loans.unfinished() == sorted(
        (third, again), key=lambda each: (each.created_at, each.id)
    )
    at.now += TICK
    assert await loans.unfinished() == []
    assert (await loans.get(third.id)).state_at(at.now) is LoanState.LAPSED
    with pytest.raises(Conflict):
        await loans.allow(third.id, the_camera(3), LENDER, actions=["live"])
    async with store.read() as tx:
        assert await tx.grants.all_unrevoked() == []
    assert await acts(store, "loan_refuse", "loan_withdraw") == [
        ("loan_refuse", "warden", "ch_y1"),
        ("loan_withdraw", "stranger", None),
    ]
    with pytest.raises(NotFound):
        await loans.end("lo_none", ASKER)


async def test_what_is_refused_of_a_question(loans: Loans) -> None:
    await loans.ask(a_question(), ASKER)
    base = a_question("ch_l1")
    for draft, code in (
        (a_question(), "loan_asked"),
        (replace(base, asked="1101120011131000000"), "loan_channel"),
        (replace(base, asked="ch_l1' OR 1"), "loan_channel"),
        (replace(base, actions=()), "loan_actions"),
        (replace(base, actions=("live", "manage")), "loan_actions"),
        (replace(base, reason=" "), "text_empty"),
        (replace(base, reason="x" * 501), "text_too_long"),
        (replace(base, minutes=0), "out_of_range"),
        (replace(base, minutes=24 * 60 + 1), "out_of_range"),
        (replace(base, subject_id="su_none"), "unknown_subject"),
    ):
        with pytest.raises((ValidationFailed, Conflict)) as caught:
            await loans.ask(draft, ASKER)
        assert caught.value.code == code, draft
    asked = await loans.ask(base, ASKER)
    gone = replace(the_camera(3), id="ch_gone")
    for camera, action, minutes, code in (
        (the_camera(3), "live", 61, "out_of_range"),
        (the_camera(3), "live", 0, "out_of_range"),
        (the_camera(3), "snapshot", None, "loan_actions"),
        (gone, "live", None, "unknown_channel"),
    ):
        with pytest.raises(ValidationFailed) as failed:
            await loans.allow(asked.id, camera, LENDER, actions=[action], minutes=minutes)
        assert failed.value.code == code
    assert (await loans.get(asked.id)).grant_id is None


async def test_of_one_subject_a_bounded_number_is_kept(
    loans: Loans, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_most = MAX_LOANS_OF_SUBJECT + 5
    monkeypatch.setattr(loan_cases, "MAX_KEPT_OF_SUBJECT", kept_most)
    first = await loans.ask(a_question(), ASKER)
    at.now += TICK
    for number in range(MAX_LOANS_OF_SUBJECT - 1):
        await loans.ask(a_question(f"ch_{number}"), ASKER)
    with pytest.raises(Conflict) as caught:
        await loans.ask(a_question("ch_more"), ASKER)
    assert caught.value.code == "too_many_loans"
    await loans.allow(first.id, the_camera(), LENDER, actions=["live"])
    with pytest.raises(Conflict):  # what runs counts too
        await loans.ask(a_question("ch_more"), ASKER)
    at.now += timedelta(hours=3)
    for _ in range(kept_most + 1 - MAX_LOANS_OF_SUBJECT):
        await loans.end((await loans.ask(a_question("ch_more"), ASKER)).id, ASKER)
        at.now += TICK
    page = await loans.of_subject("su_stranger", limit=15)
    rest = await loans.of_subject("su_stranger", limit=15, cursor=page.next_cursor)
    kept = [*page.items, *rest.items]
    assert len(kept) == page.total == kept_most
    assert kept == sorted(kept, key=lambda each: (each.created_at, each.id), reverse=True)
    with pytest.raises(NotFound):
        await loans.get(first.id)


async def test_it_ends_with_its_grant_and_its_camera_and_goes_with_its_subject(
    store: SqlStore, loans: Loans, feed: ChangeFeed, at: At
) -> None:
    people = People(store, feed, clock=at)
    by_grant, by_camera = [await loans.ask(a_question(each), ASKER) for each in (CODE, "ch_l1")]
    by_grant = await loans.allow(by_grant.id, the_camera(), LENDER, actions=["live"])
    by_camera = await loans.allow(by_camera.id, the_camera(3), LENDER, actions=["live"])
    async with store.write() as tx:
        await tx.channels.update(replace(the_camera(), code="11011200111310000077"))
    renamed = await loans.ask(a_question(), ASKER)  # nothing has that code any more
    found = await loans.channels_of([by_grant, by_camera, renamed])
    assert {id_: row.id for id_, row in found.items()} == {
        by_grant.id: "ch_y1",
        by_camera.id: "ch_l1",
    }
    await people.revoke_grant(by_grant.grant_id or "", LENDER)
    assert (await loans.get(by_grant.id)).state_at(at.now) is LoanState.ENDED
    async with store.write() as tx:
        await tx.channels.delete("ch_l1")
    gone = await loans.get(by_camera.id)
    assert (gone.state_at(at.now), gone.grant_id) == (LoanState.ENDED, None)
    await people.delete_subject("su_stranger", LENDER)
    with pytest.raises(NotFound):
        await loans.get(by_grant.id)


@pytest.mark.parametrize("seed", range(3))
async def test_the_picture_is_there_exactly_while_a_loan_runs(
    store: SqlStore, loans: Loans, feed: ChangeFeed, at: At, seed: int
) -> None:
    """Questions, answers and ends in any order, looked at at each moment at which something could
    turn; the lists agree with what each loan says of itself."""
    draw = random.Random(seed)
    people = People(store, feed, clock=at)
    known: list[Loan] = []
    seen = dict.fromkeys(LoanState, 0)

    async def look() -> None:
        async with store.read() as tx:
            rows = [each for id_ in known if (each := await tx.loans.get(id_.id))]
            facts = Facts.build(
                areas=areas(),
                channels=channels(),
                subjects=subjects(),
                grants=await tx.grants.all_unrevoked(),
            )
        who = Principal("su_stranger", "stranger", "", "bearer", 1)
        running = [each for each in rows if each.state_at(at.now) is LoanState.RUNNING]
        decision = decide(who, Action.LIVE, channel("ch_y1"), facts, at.now)
        assert decision.allowed is bool(running)
        assert decide(who, Action.LIST, channel("ch_y1"), facts, at.now).allowed is bool(running)
        assert not decide(who, Action.PTZ, channel("ch_y1"), facts, at.now).allowed
        if running:
            assert decision.until == max(each.until for each in running if each.until)
            assert set(decision.grant_ids) == {each.grant_id for each in running}
        states = {each.id: each.state_at(at.now) for each in rows}
        live = {id_ for id_, state in states.items() if state in ("open", "running")}
        assert {each.id for each in await loans.unfinished()} == live
        for state in states.values():
            seen[state] += 1

    for _ in range(50):
        act = draw.choice(ACTS)
        with suppress(Conflict):
            if act == "ask":
                # By id and by code: one camera, and two questions at once.
                asked = draw.choice((CODE, "ch_y1"))
                known.append(await loans.ask(a_question(asked, draw.randint(1, 90)), ASKER))
            elif act == "wait":
                at.now += timedelta(minutes=draw.randint(1, 50), microseconds=draw.randint(0, 2))
            elif act == "edge":
                rows = [await loans.get(each.id) for each in known]
                ends = [end for each in rows for end in (each.until, each.lapses_at) if end]
                ahead = [end for end in ends if end > at.now + TICK]
                if ahead:
                    at.now = min(ahead) - TICK
                    await look()
                    at.now += TICK
            elif known:
                one = draw.choice([*await loans.unfinished(), await loans.get(known[-1].id)])
                if act == "allow":
                    await loans.allow(one.id, the_camera(), LENDER, actions=["live"])
                elif act == "refuse":
                    await loans.refuse(one.id, "x", the_camera(), LENDER)
                elif act == "end":
                    await loans.end(one.id, draw.choice((ASKER, LENDER)))
                elif one.grant_id is not None:
                    await people.revoke_grant(one.grant_id, LENDER)
        await look()
    assert seen[LoanState.RUNNING] > 0
    assert seen[LoanState.ENDED] > 0


async def test_what_is_lent_ends_by_itself_in_an_older_program_too(bare: Place) -> None:
    store = await open_store(bare.at)
    grant = Grant(
        "gr_a", "su_admin", frozenset({"list", "live"}), "ar_district", None,
        START, START + timedelta(hours=1), START, lent_by="warden",
    )  # fmt: skip
    async with store.write() as tx:
        people = [(each, None) for each in subjects()]
        await tx.bulk_add(areas=areas(), subjects=people, grants=[grant])
    await store.migrate_down("0012")
    [(until,)] = bare.execute("SELECT valid_until FROM grants")
    assert datetime.fromisoformat(until) == grant.valid_until
    await store.migrate()
    async with store.read() as tx:
        assert await tx.grants.all_unrevoked() == [replace(grant, lent_by=None)]
    await store.close()

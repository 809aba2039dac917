"""Loans: a camera is asked for, for a while; whoever manages it lends it or refuses.

Asking says nothing of what there is: a code that no camera has is taken like any other, and never
lent. What is lent is an ordinary grant with an end, of no more than the lender's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query
from pydantic import BaseModel, Field

from camera_registry.domain import Channel
from camera_registry.errors import NotFound
from camera_registry.loan_cases import LoanDraft
from camera_registry.loans import Loan, LoanState
from streamhub.access.errors import Forbidden, NotVisible
from streamhub.access.policy import Scope
from streamhub.access.principal import DISTRICT, Action, Principal, channel

from .newest import ByNewestRights
from .paging import DEFAULT_LIMIT, Cursor, Limit, page_in_memory
from .problems import Problem
from .rights import (
    Who,
    declares,
    in_person,
    in_person_with_nothing_due,
    must_be_in_person,
    requires_somewhere,
)
from .services import Provided, Services
from .times import Time

router = APIRouter(prefix="/api/v1/loans", tags=["loans"], route_class=ByNewestRights)

Lendable = Literal["live", "snapshot", "playback"]
Actions = Annotated[list[Lendable], Field(min_length=1, max_length=3)]


class LoanOut(BaseModel):
    id: str
    subject_id: str
    username: str
    display_name: str
    asked: str = Field(description="The code or id as it was given.")
    channel_id: str | None = Field(description="With its name, for whom there is one.")
    channel_name: str | None
    area_path: list[str] | None
    actions: list[str] = Field(description="That were asked for.")
    reason: str
    minutes: int = Field(description="For how long it was asked.")
    state: LoanState
    created_at: Time
    lapses_at: Time = Field(description="When the question lapses, without an answer.")
    answered_at: Time | None
    answered_by: str | None
    refusal: str | None
    grant_id: str | None = Field(description="What lends it.")
    lent: list[str] = Field(description="Actions that were lent, `list` with them.")
    until: Time | None = Field(description="When the loan ends by itself.")
    ended_at: Time | None = Field(description="When it was ended before.")


class LoanList(BaseModel):
    items: list[LoanOut]
    next_cursor: str | None
    total: int


class LoanAsk(BaseModel):
    channel: Annotated[str, Field(max_length=64)] = Field(description="20-digit code, or id.")
    actions: Actions
    reason: Annotated[str, Field(max_length=2000)]
    minutes: int = Field(description="At most `[loans] max_hours`; they begin with the answer.")
    subject_id: str | None = Field(
        default=None, description="For somebody else, by whoever manages the district."
    )


class LoanAllow(BaseModel):
    actions: Actions | None = Field(default=None, description="Left out: as asked.")
    minutes: int | None = Field(default=None, description="Left out: as asked, at most so many.")


class LoanRefuse(BaseModel):
    reason: Annotated[str, Field(max_length=2000)]


@dataclass(frozen=True, slots=True)
class Asked:
    """A loan, what it is about (None: there is no such channel), and who answers."""

    loan: Loan
    row: Channel | None
    who: Principal


@declares("manage on what was asked for, not by a key")
async def _for_lender(services: Provided, who: Who, loan_id: str) -> Asked:
    asked = await _asked(services, must_be_in_person(who), loan_id)
    if not _may_answer(services, asked):
        raise _unseen(services, who, loan_id)
    if asked.loan.subject_id == who.subject_id:
        raise Forbidden("Nobody answers their own question; another one has to.", code="own_loan")
    return asked


@declares("one's own loan, or manage on what was asked for, not by a key")
async def _for_either(services: Provided, who: Who, loan_id: str) -> Asked:
    asked = await _asked(services, must_be_in_person(who), loan_id)
    if asked.loan.subject_id != who.subject_id and not _may_answer(services, asked):
        raise _unseen(services, who, loan_id)
    return asked


@router.get("/mine")
async def list_own_loans(
    services: Provided,
    who: Annotated[Principal, in_person()],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> LoanList:
    """What one asked for, newest first; what is long over is in the log alone."""
    page = await services.loans.of_subject(who.subject_id, limit=limit, cursor=cursor)
    rows = await services.loans.channels_of(page.items)
    items = [_out(services, who, each, rows.get(each.id)) for each in page.items]
    return LoanList(items=items, next_cursor=page.next_cursor, total=page.total)


@router.get("")
async def list_loans(
    services: Provided,
    who: Who,
    scope: Annotated[Scope, requires_somewhere(Action.MANAGE)],
    state: Annotated[Literal["open", "running"] | None, Query()] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> LoanList:
    """Of the cameras that one manages: what waits for an answer, and what is lent. To whoever
    manages the district also what no camera is. One's own are `mine`: another one answers them."""
    now = services.now()
    loans = await services.loans.unfinished()
    loans = [each for each in loans if state is None or each.state_at(now) == state]
    rows = await services.loans.channels_of(loans)
    whole = services.guard.allows(who, Action.MANAGE, DISTRICT)

    def answers(loan: Loan) -> bool:
        if loan.subject_id == who.subject_id:
            return False
        row = rows.get(loan.id)
        return whole if row is None else scope.shows(row)

    found = [each for each in loans if answers(each)]
    page, next_cursor = page_in_memory(found, _order, limit=limit, cursor=cursor)
    items = [_out(services, who, each, rows.get(each.id)) for each in page]
    return LoanList(items=items, next_cursor=next_cursor, total=len(found))


@router.post("", status_code=201)
async def ask_for_loan(
    services: Provided,
    who: Annotated[Principal, in_person_with_nothing_due()],
    body: LoanAsk,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> LoanOut:
    """Takes the question, whether there is such a camera or not."""
    if body.subject_id is None and who.is_local:
        raise Problem(
            422, "unknown_subject", "Say for whom; choose one.", extra={"field": "subject_id"}
        )
    if body.subject_id not in (None, who.subject_id):
        services.guard.require(who, Action.MANAGE, DISTRICT)
    draft = LoanDraft(
        subject_id=body.subject_id or who.subject_id,
        asked=body.channel,
        actions=body.actions,
        reason=body.reason,
        minutes=body.minutes,
    )

    async def create() -> LoanOut:
        return await _told(services, who, await services.loans.ask(draft, who.actor()))

    return await services.idempotency.once(
        idempotency_key, subject_id=who.subject_id, route="loans", body=body, create=create
    )


@router.post("/{loan_id}/allow")
async def allow_loan(
    services: Provided, asked: Annotated[Asked, Depends(_for_lender)], body: LoanAllow
) -> LoanOut:
    """Lends it, or less: what one holds there oneself, altogether. Whoever is asked for a purpose
    lends so that the other is asked, too."""
    loan, row, who = asked.loan, asked.row, asked.who
    if row is None:
        raise Problem(409, "loan_no_channel", "No camera has this code or id; refuse the question.")
    actions = sorted(body.actions or loan.actions)
    target, guard = channel(row.id), services.guard

    asks_why = any(guard.asks_why(who, Action(each), target) for each in actions)
    for each in (Action.LIST, *map(Action, actions)):
        guard.require_passing_on(who, each, target, asked_why=asks_why)
    lent = await services.loans.allow(
        loan.id,
        row,
        who.actor(),
        actions=actions,
        minutes=body.minutes,
        purpose_required=asks_why,
    )
    return await _told(services, who, lent)


@router.post("/{loan_id}/refuse")
async def refuse_loan(
    services: Provided, asked: Annotated[Asked, Depends(_for_lender)], body: LoanRefuse
) -> LoanOut:
    by = asked.who.actor()
    refused = await services.loans.refuse(asked.loan.id, body.reason, asked.row, by)
    return await _told(services, asked.who, refused)


@router.post("/{loan_id}/end")
async def end_loan(services: Provided, asked: Annotated[Asked, Depends(_for_either)]) -> LoanOut:
    """Takes one's own question back, or ends a loan early: when this answers, its views have been
    told to end."""
    loan, who = asked.loan, asked.who
    if loan.subject_id != who.subject_id and loan.state_at(services.now()) is LoanState.OPEN:
        raise Problem(409, "loan_open", "It waits for an answer; refuse it, with the reason.")
    return await _told(services, who, await services.loans.end(loan.id, who.actor()))


async def _asked(services: Services, who: Principal, loan_id: str) -> Asked:
    try:
        loan = await services.loans.get(loan_id)
    except NotFound:
        raise _unseen(services, who, loan_id) from None
    return Asked(loan, (await services.loans.channels_of([loan])).get(loan.id), who)


def _may_answer(services: Services, asked: Asked) -> bool:
    target = DISTRICT if asked.row is None else channel(asked.row.id)
    return services.guard.allows(asked.who, Action.MANAGE, target)


def _unseen(services: Services, who: Principal, loan_id: str) -> NotVisible:
    """The refusal, noted under the loan's id: the channel's would tell, in the log that everybody
    reads of their own, that there is one."""
    services.guard.require(who, Action.MANAGE, channel(loan_id))
    return NotVisible("There is no such thing, or it is not yours to see.")


def _order(loan: Loan) -> str:
    return f"{loan.created_at.isoformat(timespec='microseconds')} {loan.id}"


async def _told(services: Services, who: Principal, loan: Loan) -> LoanOut:
    rows = await services.loans.channels_of([loan])
    return _out(services, who, loan, rows.get(loan.id))


def _out(services: Services, who: Principal, loan: Loan, row: Channel | None) -> LoanOut:
    facts = services.facts.current
    subject = facts.subject(loan.subject_id)
    shown = row if row is not None and services.guard.actions_on(who, row) else None
    return LoanOut(
        id=loan.id,
        subject_id=loan.subject_id,
        username=loan.subject_id if subject is None else subject.username,
        display_name=loan.subject_id if subject is None else subject.display_name,
        asked=loan.asked,
        channel_id=None if shown is None else shown.id,
        channel_name=None if shown is None else shown.name,
        area_path=None if shown is None else list(facts.area_path(shown.area_id)),
        actions=sorted(loan.actions),
        reason=loan.reason,
        minutes=loan.minutes,
        state=loan.state_at(services.now()),
        created_at=loan.created_at,
        lapses_at=loan.lapses_at,
        answered_at=loan.answered_at,
        answered_by=loan.answered_by,
        refusal=loan.refusal,
        grant_id=loan.grant_id,
        lent=sorted(loan.lent),
        until=loan.until,
        ended_at=loan.ended_at,
    )

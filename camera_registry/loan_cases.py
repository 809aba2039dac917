"""Use cases about loans: asking for a camera for a while, answering, and ending it early.

Whether the caller may do them is decided before, in `streamhub.access`. Asking never looks whether
there is such a camera: nobody learns from the answer which codes exist.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from . import validation as check
from .domain import Actor, Channel, Page, Subject, new_id
from .drafts import GrantDraft
from .errors import Conflict, NotFound, ValidationFailed
from .feed import ChangeFeed
from .gb_code import DIGITS
from .grant_batch import GrantBatch
from .loans import LENDABLE, MAX_HOURS, MAX_OPEN_HOURS, Loan, LoanState
from .store.contract import Store, WriteTx
from .units import Clock, Units, utc_now

# An operator's incidents of one shift; approvers of a district read them all.
MAX_LOANS_OF_SUBJECT: Final = 20  # open or running at once
MAX_KEPT_OF_SUBJECT: Final = 200  # then the oldest that are over go; the audit log keeps them
MAX_WORDS_CHARS: Final = 500
_CODE = re.compile(rf"[0-9]{{{DIGITS}}}")
_ID = re.compile(r"ch_[a-z0-9_]{1,28}")


@dataclass(frozen=True, slots=True)
class LoanDraft:
    """`asked`: a 20-digit code or a channel's id."""

    subject_id: str
    asked: str
    actions: Collection[str]
    reason: str
    minutes: int


class Loans:
    def __init__(
        self,
        store: Store,
        feed: ChangeFeed | None = None,
        *,
        max_hours: float = MAX_HOURS,
        open_hours: float = MAX_OPEN_HOURS,
        clock: Clock = utc_now,
    ) -> None:
        """`max_hours`: for how long at most a camera is lent; `open_hours`: for how long a
        question waits for its answer."""
        self._store = store
        self._units = Units(store, feed)
        self._max_minutes = int(max_hours * 60)
        self._open_for = timedelta(hours=open_hours)
        self._clock = clock

    async def get(self, loan_id: str) -> Loan:
        """Raises NotFound."""
        async with self._store.read() as tx:
            loan = await tx.loans.get(loan_id)
        if loan is None:
            raise NotFound("loan", loan_id)
        return loan

    async def of_subject(
        self, subject_id: str, *, limit: int = 50, cursor: str | None = None
    ) -> Page[Loan]:
        """Newest first, those that are over among them."""
        limit = check.integer("limit", limit, 1, check.MAX_PAGE)
        async with self._store.read() as tx:
            return await tx.loans.page(subject_id, limit=limit, cursor=cursor)

    async def unfinished(self) -> list[Loan]:
        """Everybody's that are open or running, oldest first."""
        async with self._store.read() as tx:
            return await tx.loans.unfinished(self._clock())

    async def channels_of(self, loans: Sequence[Loan]) -> dict[str, Channel]:
        """What was lent, or else asked for, by the loan's id; where there is no such channel,
        nothing."""
        # A camera that is lent may have got another code since.
        named = {loan.id: loan.channel_id or loan.asked for loan in loans}
        asked = set(named.values())
        async with self._store.read() as tx:
            rows = await tx.channels.by_codes([each for each in asked if _CODE.fullmatch(each)])
            rows += await tx.channels.by_ids([each for each in asked if _ID.fullmatch(each)])
        known = {row.code: row for row in rows} | {row.id: row for row in rows}
        return {loan_id: known[name] for loan_id, name in named.items() if name in known}

    async def ask(self, draft: LoanDraft, by: Actor) -> Loan:
        """Raises ValidationFailed: loan_channel, loan_actions, out_of_range, unknown_subject and
        what the reason raises; Conflict: loan_asked, too_many_loans."""
        asked = draft.asked.strip()
        if not (_CODE.fullmatch(asked) or _ID.fullmatch(asked)):
            raise ValidationFailed(
                "channel", "loan_channel", f"Ask by the {DIGITS}-digit code, or by the camera's id."
            )
        now = self._clock()
        loan = Loan(
            id=new_id("lo"),
            subject_id=draft.subject_id,
            asked=asked,
            actions=_lendable(draft.actions),
            reason=check.text("reason", draft.reason, MAX_WORDS_CHARS),
            minutes=check.integer("minutes", draft.minutes, 1, self._max_minutes),
            created_at=now,
            lapses_at=now + self._open_for,
        )
        async with self._units.begin(by) as unit:
            subject = await unit.tx.subjects.get(loan.subject_id)
            if subject is None:
                raise ValidationFailed(
                    "subject_id", "unknown_subject", "There is no such subject; choose one."
                )
            await _make_room(unit.tx, loan)
            await unit.tx.loans.add(loan)
            # Without the channel: whoever asked reads their own rows of the log.
            await unit.record(
                "loan_ask",
                id=loan.id,
                to=subject.username,
                asked=loan.asked,
                actions=sorted(loan.actions),
                minutes=loan.minutes,
                reason=loan.reason,
            )
        return loan

    async def allow(
        self,
        loan_id: str,
        channel: Channel,
        by: Actor,
        *,
        actions: Collection[str],
        minutes: int | None = None,
        purpose_required: bool = False,
    ) -> Loan:
        """Lends what was asked for, or less of it: a grant from now that ends by itself; for as
        long as was asked, without `minutes`. Raises NotFound, ValidationFailed: loan_actions,
        out_of_range, unknown_channel; Conflict("loan_answered")."""
        now = self._clock()
        async with self._units.begin(by) as unit:
            loan, subject = await _open(unit.tx, loan_id, now)
            lent = _lendable(actions)
            if not lent <= loan.actions:
                raise _actions(f"Lend some of what was asked for: {_listed(loan.actions)}.")
            most = min(loan.minutes, self._max_minutes)
            minutes = check.integer("minutes", most if minutes is None else minutes, 1, most)
            draft = GrantDraft(
                subject_id=loan.subject_id,
                actions=lent | {"list"},
                channel_id=channel.id,
                valid_until=now + timedelta(minutes=minutes),
                purpose_required=purpose_required,
                lent_by=by.subject_name,
                loan_id=loan.id,
            )
            grant = await GrantBatch.change(unit, draft, now)
            await unit.tx.loans.update(
                replace(loan, answered_at=now, answered_by=by.subject_name, grant_id=grant.id)
            )
            await unit.record(
                "loan_allow",
                channel_id=channel.id,
                area_id=channel.area_id,
                id=loan.id,
                to=subject.username,
                grant=grant.id,
                actions=sorted(lent),
                minutes=minutes,
                reason=loan.reason,
            )
            return await _again(unit.tx, loan_id)

    async def refuse(self, loan_id: str, reason: str, channel: Channel | None, by: Actor) -> Loan:
        """Raises NotFound, ValidationFailed, Conflict("loan_answered")."""
        reason = check.text("reason", reason, MAX_WORDS_CHARS)
        now = self._clock()
        async with self._units.begin(by) as unit:
            loan, subject = await _open(unit.tx, loan_id, now)
            await unit.tx.loans.update(
                replace(loan, answered_at=now, answered_by=by.subject_name, refusal=reason)
            )
            await unit.record(
                "loan_refuse",
                channel_id=None if channel is None else channel.id,
                area_id=None if channel is None else channel.area_id,
                id=loan.id,
                to=subject.username,
                asked=loan.asked,
                reason=reason,
            )
            return await _again(unit.tx, loan_id)

    async def end(self, loan_id: str, by: Actor) -> Loan:
        """Takes an open question back, or ends a loan before its time, and its views with it.
        Raises NotFound, Conflict("loan_over")."""
        now = self._clock()
        async with self._units.begin(by) as unit:
            loan, subject = await _found(unit.tx, loan_id)
            state = loan.state_at(now)
            if state is LoanState.OPEN:
                await unit.tx.loans.update(replace(loan, withdrawn_at=now))
                await unit.record("loan_withdraw", id=loan.id, to=subject.username)
            elif state is LoanState.RUNNING and loan.grant_id is not None:
                grant = await GrantBatch.change(unit, loan.grant_id, now)
                row = await unit.tx.channels.get(grant.channel_id or "")
                await unit.record(
                    "loan_end",
                    channel_id=grant.channel_id,
                    area_id=None if row is None else row.area_id,
                    id=loan.id,
                    to=subject.username,
                    grant=grant.id,
                )
            else:
                raise Conflict("id", "loan_over", "It is over already; nothing is left to end.")
            return await _again(unit.tx, loan_id)


async def _make_room(tx: WriteTx, loan: Loan) -> None:
    """Raises Conflict when the subject has too many that are not over, or this one."""
    before = await tx.loans.of_subject(loan.subject_id)
    states = {each.id: each.state_at(loan.created_at) for each in before}
    if any(each.asked == loan.asked and states[each.id] is LoanState.OPEN for each in before):
        raise Conflict(
            "channel",
            "loan_asked",
            "It was asked for already; wait for the answer, or take the question back.",
        )
    live = (LoanState.OPEN, LoanState.RUNNING)
    over = [each.id for each in before if states[each.id] not in live]
    if len(before) - len(over) >= MAX_LOANS_OF_SUBJECT:
        raise Conflict(
            "channel",
            "too_many_loans",
            f"At most {MAX_LOANS_OF_SUBJECT} are open or running at once; end one first.",
        )
    surplus = len(before) + 1 - MAX_KEPT_OF_SUBJECT
    if surplus > 0:
        await tx.loans.delete(over[:surplus])


async def _found(tx: WriteTx, loan_id: str) -> tuple[Loan, Subject]:
    loan = await tx.loans.get(loan_id)
    subject = None if loan is None else await tx.subjects.get(loan.subject_id)
    if loan is None or subject is None:
        raise NotFound("loan", loan_id)
    return loan, subject


async def _open(tx: WriteTx, loan_id: str, now: datetime) -> tuple[Loan, Subject]:
    loan, subject = await _found(tx, loan_id)
    if loan.state_at(now) is not LoanState.OPEN:
        raise Conflict(
            "id",
            "loan_answered",
            "It waits for no answer any more: it was answered, taken back, or has lapsed.",
        )
    return loan, subject


async def _again(tx: WriteTx, loan_id: str) -> Loan:
    """As it now is, with what its grant says."""
    return (await _found(tx, loan_id))[0]


def _lendable(actions: Collection[str]) -> frozenset[str]:
    """Raises ValidationFailed("loan_actions")."""
    chosen = frozenset(actions)
    if not chosen or not chosen <= LENDABLE:
        raise _actions(f"Name some of: {_listed(LENDABLE)}.")
    return chosen


def _actions(sentence: str) -> ValidationFailed:
    return ValidationFailed("actions", "loan_actions", sentence)


def _listed(actions: Collection[str]) -> str:
    return ", ".join(sorted(actions))

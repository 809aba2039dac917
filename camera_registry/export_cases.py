"""Use cases about exports that two people make, and what the site chose about it.

Whether the caller may see what is asked for is decided before, in `streamhub.access`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from . import validation as check
from .domain import Actor, Stated, new_id
from .errors import Conflict, NotFound
from .export_requests import APPROVED_FOR, PENDING_FOR, ExportRequest, RequestState
from .feed import ChangeFeed
from .filing_rules import MAX_NOTE_CHARS
from .store.contract import ReadTx, Store, WriteTx
from .store.contract_exports import ExportRequestRepo
from .units import Clock, Units, utc_now

SECOND_PERSON_KEY: Final = "exports.second_person"  # of the store's meta
KEPT_FOR: Final = timedelta(days=30)  # to be looked at; the audit has it for longer
MAX_PENDING: Final = 20  # of one person: more than anybody would look through
MAX_KEPT: Final = 200  # of one person: then the oldest that are over go


class ExportRequests:
    """What was asked for, and what the site chose about it. Every change is audited."""

    def __init__(
        self, store: Store, feed: ChangeFeed | None = None, *, clock: Clock = utc_now
    ) -> None:
        self._store = store
        self._units = Units(store, feed)
        self._clock = clock

    async def wants_second_person(self) -> bool:
        async with self._store.read() as tx:
            return await _wants(tx)

    async def choose(self, by: Actor, *, second_person: bool) -> bool:
        """Change what the site chose; audited in any case."""
        async with self._units.begin(by) as unit:
            before = await _wants(unit.tx)
            await unit.tx.set_meta(SECOND_PERSON_KEY, "on" if second_person else "off")
            await unit.record(
                "export_settings", second_person=second_person, second_person_before=before
            )
        return second_person

    async def get(self, request_id: str) -> ExportRequest:
        async with self._store.read() as tx:
            return await _found(tx, request_id)

    async def kept(self) -> list[ExportRequest]:
        """The newest first, those among them that are over since KEPT_FOR at most."""
        async with self._store.read() as tx:
            return await tx.export_requests.kept(self._clock() - KEPT_FOR)

    async def ask(
        self,
        asked: Mapping[str, Any],
        kind: str,
        stated: Stated,
        by: Actor,
        *,
        channel_id: str | None = None,
        area_id: str | None = None,
    ) -> ExportRequest:
        """`channel_id` and `area_id`: what the audit row is about. Raises
        Conflict("too_many_exports_asked")."""
        now = self._clock()
        async with self._units.begin(by) as unit:
            repo = unit.tx.export_requests
            last_seq, _ = await unit.tx.audit.head()
            request = ExportRequest(
                id=new_id("ex"),
                created_at=now,
                subject_id=by.subject_id,
                subject_name=by.subject_name,
                asked=dict(asked),
                up_to_seq=last_seq,
                format=kind,
                stated=stated,
                state=RequestState.PENDING,
                ends_at=now + PENDING_FOR,
            )
            await repo.delete_ended(now - KEPT_FOR)
            await _make_room(repo, request)
            await repo.add(request)
            await unit.record(
                "export_ask",
                channel_id=channel_id,
                area_id=area_id,
                request_id=request.id,
                asked=dict(asked),
                format=kind,
                **stated.detail(),
            )
        return request

    async def decide(
        self,
        request_id: str,
        by: Actor,
        *,
        approve: bool,
        reason: str | None = None,
        covers: str | None = None,
        channel_id: str | None = None,
        area_id: str | None = None,
    ) -> ExportRequest:
        """Approve, or refuse with a reason, which takes back an approval, too. Raises NotFound;
        ValidationFailed about the reason; what `require_decidable` raises."""
        note = None
        if reason is not None or not approve:
            note = check.text("reason", reason or "", MAX_NOTE_CHARS)
        now = self._clock()
        async with self._units.begin(by) as unit:
            before = await _found(unit.tx, request_id)
            before.require_decidable(by, now, approve=approve)
            request = replace(
                before,
                state=RequestState.APPROVED if approve else RequestState.REFUSED,
                ends_at=now + APPROVED_FOR if approve else now,
                decided_at=now,
                decided_by_id=by.subject_id,
                decided_by=by.subject_name,
                reason=note,
                covers=covers,
            )
            await unit.tx.export_requests.update(request)
            await unit.record(
                "export_approve" if approve else "export_refuse",
                channel_id=channel_id,
                area_id=area_id,
                request_id=request.id,
                asked_by=request.subject_name,
                **({} if note is None else {"reason": note}),
                **({} if before.decided_by is None else {"approved_by": before.decided_by}),
                **request.stated.detail(),
            )
        return request

    async def fetch(
        self,
        request_id: str,
        by: Actor,
        *,
        grounds: Mapping[str, Any],
        channel_id: str | None = None,
        area_id: str | None = None,
    ) -> ExportRequest:
        """The file is handed over now: audited, as often as it is fetched, with the `grounds` that
        they had. Raises NotFound and what `require_fetchable` raises."""
        now = self._clock()
        async with self._units.begin(by) as unit:
            request = await _found(unit.tx, request_id)
            request.require_fetchable(by, now)
            request = replace(request, fetched_at=now)
            await unit.tx.export_requests.update(request)
            await unit.record(
                "audit_export",
                channel_id=channel_id,
                area_id=area_id,
                asked=dict(request.asked),
                format=request.format,
                request_id=request.id,
                approved_by=request.decided_by,
                **request.stated.detail(),
                **grounds,
            )
        return request


async def _make_room(repo: ExportRequestRepo, request: ExportRequest) -> None:
    """Raises Conflict("too_many_exports_asked")."""
    now = request.created_at
    before = await repo.of_person(request.subject_id, request.subject_name)
    if sum(each.waits(now) for each in before) >= MAX_PENDING:
        raise Conflict(
            "export",
            "too_many_exports_asked",
            f"{MAX_PENDING} exports of yours wait; have somebody decide on them first.",
        )
    over = [each.id for each in before if not (each.waits(now) or each.may_be_fetched(now))]
    await repo.delete(over[: max(0, len(before) + 1 - MAX_KEPT)])


async def _found(tx: ReadTx | WriteTx, request_id: str) -> ExportRequest:
    request = await tx.export_requests.get(request_id)
    if request is None:
        raise NotFound("export", request_id)
    return request


async def _wants(tx: ReadTx | WriteTx) -> bool:
    """On until the site chose otherwise: the log is about people."""
    return (await tx.meta(SECOND_PERSON_KEY) or "on") == "on"

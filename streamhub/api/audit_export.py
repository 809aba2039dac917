"""The rows one may see, as a file that proves itself. The export is a row of the log, too."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter
from starlette.responses import StreamingResponse
from starlette.types import Receive, Send
from starlette.types import Scope as ASGIScope

from camera_registry.audit.export import Export, Format, Name
from camera_registry.errors import RootsUnfit
from camera_registry.store.contract_audit import AuditQuery
from streamhub.access.errors import Forbidden
from streamhub.access.facts import Facts
from streamhub.access.policy import Scope
from streamhub.access.principal import Action, Principal

from .audit_filter import Asked, Filter
from .problems import Problem
from .rights import Who, requires_somewhere
from .services import Provided, Services

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])

# Each reads and hashes whole segments: more at once would be felt by those who watch.
MAX_EXPORTS = 2
ZIP = "application/zip"


@router.get("/export", response_class=StreamingResponse, responses={200: {"content": {ZIP: {}}}})
async def export_audit(
    services: Provided,
    who: Who,
    scope: Annotated[Scope, requires_somewhere(Action.AUDIT)],
    asked: Asked,
    format: Format = "csv",
) -> StreamingResponse:
    """A ZIP of the rows that fit (`rows.csv` or `rows.jsonl`) and of the manifest that proves them,
    for `streamhub audit verify-export`. What is not under a signed root yet is sealed first. Where
    a second person approves exports, see `/api/v1/audit/exports`.
    """
    asked.require_somebody(services.facts.current)
    if await services.export_requests.wants_second_person():
        raise Problem(
            409,
            "export_approval_wanted",
            "Here a second person approves an export: ask for it (POST /api/v1/audit/exports, or "
            "`streamhub audit export-ask`), and fetch it when it is approved.",
        )

    async def written() -> Mapping[str, Any]:
        await services.audit.record(
            "audit_export",
            principal=who,
            **asked.about(services.facts.current),
            detail={
                "asked": asked.asked(),
                "format": format,
                **services.guard.grounds(who, Action.AUDIT),
            },
        )
        return {}

    return await handed_over(
        services, who, asked, format, lambda: seen_by(services, who, asked), written
    )


def seen_by(services: Services, who: Principal, asked: Filter) -> AuditQuery:
    """The rows that fit, of those that they may see now. Raises Forbidden where that is none."""
    scope = services.guard.scope(who, Action.AUDIT)
    if scope.is_empty:
        raise Forbidden("You may not read the log any more; ask whoever manages the area.")
    return asked.query(services.facts.current, scope)


async def handed_over(
    services: Services,
    who: Principal,
    asked: Filter,
    kind: Format,
    rows: Callable[[], AuditQuery],
    written: Callable[[], Awaitable[Mapping[str, Any]]],
) -> StreamingResponse:
    """The file, once `written` has written the export's own row; it gives what else the export's
    signed statement says. `rows` is asked before, and again when the file begins: sealing takes its
    time. Raises what it raises, and Problem("over_capacity")."""
    if services.audit_exports >= MAX_EXPORTS:
        raise Problem(
            503,
            "over_capacity",
            f"{MAX_EXPORTS} exports are being made; try again when one is done.",
            headers={"Retry-After": "30"},
        )
    services.audit_exports += 1
    try:
        rows()
        export = await _begun(services, who, asked, kind, rows, await written())
    except BaseException:
        services.audit_exports -= 1
        raise
    name = f"audit-{services.now():%Y%m%dT%H%M%SZ}.zip"
    return _Counted(
        services,
        export.stream(),
        media_type=ZIP,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
        },
    )


class _Counted(StreamingResponse):
    """One of MAX_EXPORTS until it is sent. Counted here, not in the content: of a client that left
    early the content never begins, and what never begins has no `finally`."""

    def __init__(self, services: Services, content: AsyncIterator[bytes], **given: Any) -> None:
        super().__init__(content, **given)
        self._services = services

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._services.audit_exports -= 1


async def _begun(
    services: Services,
    who: Principal,
    asked: Filter,
    kind: Format,
    rows: Callable[[], AuditQuery],
    basis: Mapping[str, Any],
) -> Export:
    keeper = services.audit_keeper
    await keeper.seal(everything=True)
    # The proof does without; the keeper tries again, and says so.
    with contextlib.suppress(OSError, RootsUnfit):
        await keeper.write_roots()
    async with services.store.read() as tx:
        last = await tx.audit.last_segment()
    return Export(
        services.store,
        keeper.key,
        rows(),
        kind=kind,
        asked=asked.asked(),
        by=who.username,
        basis=basis,
        at=services.now(),
        up_to_segment=0 if last is None else last.number,
        names=_names(services.facts.current),
    )


def _names(facts: Facts) -> tuple[Name, Name]:
    def of_channel(channel_id: str | None) -> str | None:
        channel = None if channel_id is None else facts.channel(channel_id)
        return None if channel is None else channel.name

    def of_area(area_id: str | None) -> str | None:
        area = None if area_id is None else facts.area(area_id)
        return None if area is None else area.name

    return of_channel, of_area

"""Bulk import: a file is sent, its plan looked at, then applied; and what was applied undone."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from camera_registry.errors import NotFound
from camera_registry.importers.options import FOREIGN
from camera_registry.importers.payloads import additions
from camera_registry.importers.readers import MAX_FILE_BYTES
from camera_registry.importers.said import Language
from camera_registry.importers.templates import every
from camera_registry.importers.vendors import every as every_vendor
from camera_registry.jobs import ImportJob, ImportRow, JobState, Verdict
from streamhub.access.errors import Forbidden
from streamhub.access.policy import Scope
from streamhub.access.principal import DISTRICT, Action, Principal

from .middleware import IMPORTS_PATH
from .newest import ByNewestRights
from .paging import DEFAULT_LIMIT, Cursor, Limit
from .problems import Problem
from .rights import Who, requires_somewhere
from .services import Provided, Services

router = APIRouter(tags=["imports"], route_class=ByNewestRights)

_LIMITS = frozenset({"into", "without", "keeps_denials"})  # of who imports: not chosen
MAX_NAMES = 100  # that somebody reads
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True, slots=True)
class Importer:
    """Who imports. `into`: the areas that it manages; None is the district. `without`: cameras
    there that are denied to it. `keeps_denials`: it takes nothing from under one, be it somebody
    else's; whoever manages the district may."""

    principal: Principal
    into: frozenset[str] | None
    without: frozenset[str] = frozenset()
    keeps_denials: bool = False

    def limits(self) -> dict[str, Any]:
        """As options of an import."""
        into = None if self.into is None else sorted(self.into)
        return {
            "into": into,
            "without": sorted(self.without),
            "keeps_denials": self.keeps_denials,
        }

    @property
    def own(self) -> str | None:
        """Whose imports are listed; None: everybody's."""
        return None if self.into is None else self.principal.subject_id

    async def job(self, services: Services, import_id: str, *, plan: bool = True) -> ImportJob:
        """An import that it may see, and with `plan` what the check says of each row.

        Raises NotFound, Forbidden("import_beyond").
        """
        job = await services.imports.get(import_id)
        if self.into is not None and job.subject_id != self.principal.subject_id:
            raise NotFound("import", import_id)
        if plan and not self._covers(job):
            raise Forbidden(
                "The import was checked for cameras that you do not manage; check it again.",
                code="import_beyond",
            )
        return job

    def _covers(self, job: ImportJob) -> bool:
        """Whether the plan tells of nothing beyond what it manages now."""
        limited = job.options.get("into")
        if self.into is not None and (limited is None or not self.into.issuperset(limited)):
            return False
        return self.without.issubset(job.options.get("without", ()))


async def importer(
    who: Who, services: Provided, scope: Annotated[Scope, requires_somewhere(Action.MANAGE)]
) -> Importer:
    return importing(services, who)


def importing(services: Services, who: Principal) -> Importer:
    """Whoever manages an area imports into it; devices that have cameras elsewhere are shared,
    and for whoever manages the district (`camera_registry.importers.reach`). Where a class of
    cameras is denied to them, they do not import at all."""
    scope = services.guard.scope(who, Action.MANAGE)
    if scope.everything:
        return Importer(who, None)
    without = scope.listing.except_ids
    if services.guard.allows(who, Action.MANAGE, DISTRICT):
        every_area = services.facts.current.tree.descendants_of_all()
        into = None if every_area <= scope.area_ids else scope.area_ids
        return Importer(who, into, without)
    if not scope.area_ids:
        services.guard.require(who, Action.MANAGE, DISTRICT)
    return Importer(who, scope.area_ids, without, keeps_denials=True)


MayImport = Annotated[Importer, Depends(importer)]


class TemplateOut(BaseModel):
    name: str
    title: str
    title_en: str
    columns: int


class VendorOut(BaseModel):
    name: str
    zh: str
    en: str


class ImportOut(BaseModel):
    id: str
    created_at: datetime
    created_by: str | None
    file_name: str
    sha256: str
    options: dict[str, Any]
    state: JobState
    rows_done: int = Field(description="Rows checked so far.")
    counts: dict[str, int] = Field(description="add, change, same, refused; warnings.")
    code: str | None = Field(description="Why the file as a whole was refused.")
    sentence: str | None = Field(description="The same for people.")
    finished_at: datetime | None


class UndoneOut(ImportOut):
    keep_credentials: int = Field(
        description="Devices that were there before and got credentials by it: they keep those."
    )
    keep_credentials_names: list[str] = Field(
        description=f"Their names, {MAX_NAMES} of them at most."
    )


class ImportList(BaseModel):
    items: list[ImportOut]
    next_cursor: str | None
    total: int


class FindingOut(BaseModel):
    column: str = Field(description="The heading in the file; empty for the row as a whole.")
    field: str | None
    code: str
    sentence: str
    severity: Literal["error", "warning"]


class ChangeOut(BaseModel):
    field: str
    before: str
    after: str


class RowOut(BaseModel):
    row: int = Field(description="As the file's program counts it; the heading is row 1.")
    verdict: Verdict
    code: str | None
    name: str | None
    code_made: bool = False
    changes: list[ChangeOut] = Field(
        description="Of a camera that is added all that it would have, before it nothing."
    )
    findings: list[FindingOut]


class RowList(BaseModel):
    items: list[RowOut]
    next_after: int | None = Field(description="Give it as `after` for the rows that follow.")


class ApplyIn(BaseModel):
    without_refused: bool = Field(default=False, description="Leave rows with errors out.")


@router.get("/api/v1/import-templates")
async def list_templates(
    services: Provided, scope: Annotated[Scope, requires_somewhere(Action.MANAGE)]
) -> list[TemplateOut]:
    """The forms that are known here, the site's own among them."""
    return [
        TemplateOut(name=each.name, title=each.zh, title_en=each.en, columns=len(each.columns))
        for each in await asyncio.to_thread(every, services.forms_dir)
    ]


@router.get("/api/v1/import-vendors")
async def list_vendors(
    services: Provided, scope: Annotated[Scope, requires_somewhere(Action.MANAGE)]
) -> list[VendorOut]:
    """Whose stream addresses are known here, the site's own first: what `vendor` may be."""
    known = await asyncio.to_thread(every_vendor, services.forms_dir)
    return [
        VendorOut(name=each.name, zh=each.zh, en=each.en)
        for each in known.values()
        if not each.needs_credentials_in_url
    ]


@router.post(
    IMPORTS_PATH,
    status_code=202,
    openapi_extra={
        "requestBody": {
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            }
        }
    },
)
async def create_import(
    request: Request,
    services: Provided,
    by: MayImport,
    name: Annotated[str, Query(max_length=200, description="The file's name.")],
    template: Annotated[str, Query(max_length=40, description=f"A form, or `{FOREIGN}`.")],
    area: Annotated[str | None, Query(max_length=20, description="Code; of new cameras.")] = None,
    device_class: Annotated[str, Query(max_length=40)] = "police_hd",
    vendor: Annotated[str | None, Query(max_length=40)] = None,
    datum: Annotated[str, Query(max_length=10)] = "wgs84",
    mint: Annotated[
        str | None, Query(max_length=6, description="Industry, type and network of codes to make.")
    ] = None,
    clear_empty: bool = False,
    filing: Annotated[
        str, Query(max_length=10, description="draft, or filed where no second person is wanted.")
    ] = "draft",
) -> ImportOut:
    """Sends a CSV, XLSX, JSON or foreign configuration; the check begins, nothing is changed.

    Whoever manages some areas alone imports into those, and sees only the imports made so.
    """
    options = {
        "template": template,
        "area": area,
        "device_class": device_class,
        "vendor": vendor,
        "datum": datum,
        "mint": mint,
        "clear_empty": clear_empty,
        "filing": filing,
        **by.limits(),
    }
    file = await _file(request)
    return job_out(await services.imports.create(file, name, options, by.principal.actor()))


@router.get(IMPORTS_PATH)
async def list_imports(
    services: Provided, by: MayImport, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> ImportList:
    """Newest first."""
    page = await services.imports.list_jobs(limit=limit, cursor=cursor, subject_id=by.own)
    return ImportList(
        items=[job_out(job) for job in page.items], next_cursor=page.next_cursor, total=page.total
    )


@router.get(f"{IMPORTS_PATH}/{{import_id}}")
async def get_import(services: Provided, by: MayImport, import_id: str) -> ImportOut:
    return job_out(await by.job(services, import_id, plan=False))


@router.get(f"{IMPORTS_PATH}/{{import_id}}/rows")
async def list_rows(
    services: Provided,
    by: MayImport,
    import_id: str,
    verdict: Verdict | None = None,
    after: Annotated[int, Query(ge=0, le=2**31)] = 0,
    limit: Limit = DEFAULT_LIMIT,
) -> RowList:
    """What would be done with each row, and what is wrong with it."""
    await by.job(services, import_id)
    rows = await services.imports.rows(import_id, verdict=verdict, after=after, limit=limit)
    more = rows[-1].number if len(rows) == limit else None
    codes = {area.id: area.code for area in await services.registry.area_tree()}
    return RowList(items=[_row(row, codes) for row in rows], next_after=more)


@router.get(
    f"{IMPORTS_PATH}/{{import_id}}/workbook",
    response_class=Response,
    responses={200: {"content": {XLSX: {}}}},
)
async def workbook(
    services: Provided,
    by: MayImport,
    import_id: str,
    language: Annotated[Language, Query(description="Of what was found.")] = "en",
) -> Response:
    """The file as a workbook, with what was found beside each row."""
    await by.job(services, import_id)
    content = await services.imports.workbook(import_id, language)
    await services.audit.record(
        "import_workbook", principal=by.principal, detail={"job_id": import_id}
    )
    return Response(
        content,
        media_type=XLSX,
        headers={"Content-Disposition": f'attachment; filename="{import_id}.xlsx"'},
    )


@router.post(f"{IMPORTS_PATH}/{{import_id}}/check", status_code=202)
async def check_import(services: Provided, by: MayImport, import_id: str) -> ImportOut:
    """Plans it anew, against the registry as it is now."""
    await by.job(services, import_id, plan=False)
    return job_out(
        await services.imports.check_again(import_id, by.principal.actor(), **by.limits())
    )


@router.post(f"{IMPORTS_PATH}/{{import_id}}/apply")
async def apply_import(
    services: Provided, by: MayImport, import_id: str, body: ApplyIn
) -> ImportOut:
    """Carries the plan out, in one transaction. A second time changes nothing."""
    await by.job(services, import_id)
    job = await services.imports.apply(
        import_id,
        by.principal.actor(),
        without_refused=body.without_refused,
        keeps_denials=by.keeps_denials,
    )
    return job_out(job)


@router.post(f"{IMPORTS_PATH}/{{import_id}}/undo")
async def undo_import(services: Provided, by: MayImport, import_id: str) -> UndoneOut:
    """Every channel becomes what it was before; devices that it gave other credentials keep those,
    as the ones before are not kept. One that was added goes: when it is sensitive by
    now, or denied to somebody, only for the district; as one that a denial would not cover any
    more."""
    await by.job(services, import_id)
    facts = services.facts.current
    if facts.is_kept_from_somebody(await services.imports.added(import_id)):
        services.guard.require(by.principal, Action.MANAGE, DISTRICT)
    undone = await services.imports.undo(
        import_id, by.principal.actor(), keeps_denials=by.keeps_denials
    )
    kept = await services.imports.keep_credentials(import_id)
    return UndoneOut(
        **job_out(undone).model_dump(),
        keep_credentials=len(kept),
        keep_credentials_names=[device.name for device in kept[:MAX_NAMES]],
    )


@router.delete(f"{IMPORTS_PATH}/{{import_id}}", status_code=204)
async def discard_import(services: Provided, by: MayImport, import_id: str) -> Response:
    """Throws the file and its plan away; what was applied stays."""
    await by.job(services, import_id, plan=False)
    await services.imports.discard(import_id, by.principal.actor())
    return Response(status_code=204)


async def _file(request: Request) -> bytes:
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > MAX_FILE_BYTES:
        raise Problem(413, "too_large", f"A file has at most {MAX_FILE_BYTES >> 20} MiB.")
    return await request.body()


def job_out(job: ImportJob) -> ImportOut:
    """A job as the API tells it."""
    return ImportOut(
        id=job.id,
        created_at=job.created_at,
        created_by=job.subject_name,
        file_name=job.file_name,
        sha256=job.sha256,
        options={k: v for k, v in job.options.items() if k not in _LIMITS},
        state=job.state,
        rows_done=job.rows_done,
        counts=dict(job.counts),
        code=job.code,
        sentence=job.sentence,
        finished_at=job.finished_at,
    )


def _row(row: ImportRow, area_codes: Mapping[str, str]) -> RowOut:
    payload = row.payload
    changes = payload.get("changes", ())
    if row.verdict is Verdict.ADD:
        changes = additions(payload, area_codes, with_password=row.sealed is not None)
    return RowOut(
        row=row.number,
        verdict=row.verdict,
        code=payload["code"],
        name=payload["name"],
        code_made=payload.get("minted", False),
        changes=[
            ChangeOut(field=field, before=before, after=after) for field, before, after in changes
        ],
        findings=[FindingOut(**each) for each in payload["findings"]],
    )

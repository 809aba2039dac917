"""Bulk import: a file is sent, its plan looked at, then applied; and what was applied undone."""

import asyncio
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from camera_registry.importers.options import FOREIGN
from camera_registry.importers.readers import MAX_FILE_BYTES
from camera_registry.importers.templates import every
from camera_registry.importers.vendors import every as every_vendor
from camera_registry.jobs import ImportJob, ImportRow, JobState, Verdict
from streamhub.access.permit import Permit
from streamhub.access.policy import Scope
from streamhub.access.principal import Action

from .middleware import IMPORTS_PATH
from .paging import DEFAULT_LIMIT, Cursor, Limit
from .problems import Problem
from .rights import requires, requires_somewhere, the_district
from .services import Provided

router = APIRouter(tags=["imports"])

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# Devices and their credentials are shared, as for a single camera (`channels.create_channel`).
MayImport = Annotated[Permit, requires(Action.MANAGE, the_district)]


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
    sentence: str | None = Field(description="Why the file as a whole was refused.")
    finished_at: datetime | None


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
    changes: list[ChangeOut]
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
    permit: MayImport,
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
    """Sends a CSV, XLSX, JSON or foreign configuration; the check begins, nothing is changed."""
    options = {
        "template": template,
        "area": area,
        "device_class": device_class,
        "vendor": vendor,
        "datum": datum,
        "mint": mint,
        "clear_empty": clear_empty,
        "filing": filing,
    }
    file = await _file(request)
    return job_out(await services.imports.create(file, name, options, permit.principal.actor()))


@router.get(IMPORTS_PATH)
async def list_imports(
    services: Provided, permit: MayImport, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> ImportList:
    """Newest first."""
    page = await services.imports.list_jobs(limit=limit, cursor=cursor)
    return ImportList(
        items=[job_out(job) for job in page.items], next_cursor=page.next_cursor, total=page.total
    )


@router.get(f"{IMPORTS_PATH}/{{import_id}}")
async def get_import(services: Provided, permit: MayImport, import_id: str) -> ImportOut:
    return job_out(await services.imports.get(import_id))


@router.get(f"{IMPORTS_PATH}/{{import_id}}/rows")
async def list_rows(
    services: Provided,
    permit: MayImport,
    import_id: str,
    verdict: Verdict | None = None,
    after: Annotated[int, Query(ge=0, le=2**31)] = 0,
    limit: Limit = DEFAULT_LIMIT,
) -> RowList:
    """What would be done with each row, and what is wrong with it."""
    rows = await services.imports.rows(import_id, verdict=verdict, after=after, limit=limit)
    more = rows[-1].number if len(rows) == limit else None
    return RowList(items=[_row(row) for row in rows], next_after=more)


@router.get(
    f"{IMPORTS_PATH}/{{import_id}}/workbook",
    response_class=Response,
    responses={200: {"content": {XLSX: {}}}},
)
async def workbook(services: Provided, permit: MayImport, import_id: str) -> Response:
    """The file as a workbook, with what was found beside each row."""
    content = await services.imports.workbook(import_id)
    await services.audit.record(
        "import_workbook", principal=permit.principal, detail={"job_id": import_id}
    )
    return Response(
        content,
        media_type=XLSX,
        headers={"Content-Disposition": f'attachment; filename="{import_id}.xlsx"'},
    )


@router.post(f"{IMPORTS_PATH}/{{import_id}}/check", status_code=202)
async def check_import(services: Provided, permit: MayImport, import_id: str) -> ImportOut:
    """Plans it anew, against the registry as it is now."""
    return job_out(await services.imports.check_again(import_id, permit.principal.actor()))


@router.post(f"{IMPORTS_PATH}/{{import_id}}/apply")
async def apply_import(
    services: Provided, permit: MayImport, import_id: str, body: ApplyIn
) -> ImportOut:
    """Carries the plan out, in one transaction. A second time changes nothing."""
    job = await services.imports.apply(
        import_id, permit.principal.actor(), without_refused=body.without_refused
    )
    return job_out(job)


@router.post(f"{IMPORTS_PATH}/{{import_id}}/undo")
async def undo_import(services: Provided, permit: MayImport, import_id: str) -> ImportOut:
    """Every channel becomes what it was before."""
    return job_out(await services.imports.undo(import_id, permit.principal.actor()))


@router.delete(f"{IMPORTS_PATH}/{{import_id}}", status_code=204)
async def discard_import(services: Provided, permit: MayImport, import_id: str) -> Response:
    """Throws the file and its plan away; what was applied stays."""
    await services.imports.discard(import_id, permit.principal.actor())
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
        options=dict(job.options),
        state=job.state,
        rows_done=job.rows_done,
        counts=dict(job.counts),
        sentence=job.sentence,
        finished_at=job.finished_at,
    )


def _row(row: ImportRow) -> RowOut:
    payload = row.payload
    return RowOut(
        row=row.number,
        verdict=row.verdict,
        code=payload["code"],
        name=payload["name"],
        code_made=payload.get("minted", False),
        changes=[
            ChangeOut(field=field, before=before, after=after)
            for field, before, after in payload.get("changes", ())
        ],
        findings=[FindingOut(**each) for each in payload["findings"]],
    )

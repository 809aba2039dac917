"""The check of one import: file in, a planned row for each row out. Runs in a process of its own,
as 100,000 rows are tens of seconds of Python (`worker`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final

from ..domain import Area, AreaKind
from ..errors import RegistryError
from ..jobs import Attempt, ImportJob, ImportRow, JobState, Superseded, Verdict
from ..store.contract import ReadTx, Store
from ..vault import Vault
from . import foreign, templates, texts
from .context import context
from .day import SHANGHAI
from .options import FOREIGN, ImportOptions
from .payloads import finding_payload
from .plan import Planner
from .readers import open_table
from .rows import MAX_ROWS, UNKNOWN_PREFIX, CameraRow, FileRefused, Finding
from .rules import validate

# Rows of one visit to the registry: a commit of some 10 ms, and progress that moves.
BATCH_ROWS: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Source:
    rows: Iterator[CameraRow]
    columns: Mapping[str, str]  # field key -> heading
    skipped: tuple[Finding, ...] = ()
    area_headings: tuple[str, ...] = ()  # that the form knows


async def check_job(
    store: Store, vault: Vault, attempt: Attempt, site_dir: Path | None
) -> ImportJob:
    """Plan a job as its newest check. Gives it as it is then: checked or refused.

    Raises Superseded, with nothing written since it was.
    """
    async with store.read() as tx:
        job = await tx.jobs.get(attempt.job_id)
        sealed = await tx.jobs.file(attempt.job_id)
    under_way = job is not None and job.state is JobState.CHECKING
    if job is None or sealed is None or not under_way or job.attempt != attempt.number:
        raise Superseded
    try:
        job = await _check(store, vault, job, vault.open_bytes(job.id, sealed), site_dir)
    except RegistryError as refused:
        job = replace(
            job, state=JobState.REFUSED, code=refused.code, sentence=str(refused), counts={}
        )
    job = replace(job, finished_at=datetime.now(SHANGHAI))
    async with store.write() as write:
        if not await write.jobs.conclude(job):
            raise Superseded
        if job.state is JobState.REFUSED:
            await write.jobs.delete_rows(job.id)
    return job


async def _check(
    store: Store, vault: Vault, job: ImportJob, file: bytes, site_dir: Path | None
) -> ImportJob:
    attempt = Attempt(job.id, job.attempt)
    options = ImportOptions.of(job.options)
    template = templates.find("full" if options.template == FOREIGN else options.template, site_dir)
    source = _source(file, job.file_name, options, template)
    async with store.read() as tx:
        base_seq = await tx.change_seq()
        areas = await tx.areas.all()
        planner = await Planner.begin(
            options,
            vault,
            tx,
            columns=source.columns,
            area_headings=source.area_headings,
            site_dir=site_dir,
        )
        district = await _district(tx, areas)
    today = datetime.now(SHANGHAI).date()
    checked = validate(source.rows, context(district, areas, today, options.datum), template)
    counts = dict.fromkeys((verdict.value for verdict in Verdict), 0) | {"warnings": 0}
    skipped = [_skipped(finding) for finding in source.skipped]
    done = len(skipped)
    await _keep(store, attempt, skipped, done, counts)
    while batch := list(islice(checked, BATCH_ROWS)):
        async with store.read() as tx:
            rows = await planner.plan(batch, tx)
        done += len(batch)
        await _keep(store, attempt, rows, done, counts)
    if done == 0:
        raise FileRefused("no_rows", "The file has headings but no rows.")
    return replace(
        job,
        state=JobState.CHECKED,
        rows_done=done,
        counts=counts,
        base_seq=base_seq,
        code=None,
        sentence=None,
    )


def _source(
    file: bytes, name: str, options: ImportOptions, template: templates.Template
) -> _Source:
    if options.template == FOREIGN:
        found = foreign.read(file, name)
        return _Source(iter(found.cameras), {}, found.skipped)
    table = open_table(file, name)
    if options.mint is not None:
        template = template.optional("code")
    binding = template.bind(table.headings)
    columns = {
        column.field.key: heading
        for heading, column in binding.columns.items()
        if column.field is not None
    }
    # Named as the registry names them: an empty cell can take such a fact away, too.
    columns |= {each: each for each in table.headings if each.startswith(UNKNOWN_PREFIX)}
    rows = _headings_told(map(binding.camera, table.rows), template.name)
    of_area = (c.headings for c in template.columns if c.field and c.field.key == "area")
    return _Source(_bounded(rows), columns, area_headings=next(of_area, ()))


def _headings_told(rows: Iterable[CameraRow], form: str) -> Iterator[CameraRow]:
    """Says of each heading that the form does not know, once: on the first row with such a cell.

    Of what may be a secret the rules say that it is not kept.
    """
    told: set[str] = set()
    for row in rows:
        for heading, text in row.unknown.items():
            if heading.startswith(UNKNOWN_PREFIX):
                continue
            if heading in told or texts.secret_heading(heading) or texts.seems_secret(text):
                continue
            told.add(heading)
            said = f"The form {form} has no such heading; the cells below are kept, but not read."
            row.faults.append(Finding(row.number, heading, "heading_unknown", said, "warning"))
        yield row


def _bounded(rows: Iterable[CameraRow]) -> Iterator[CameraRow]:
    for count, row in enumerate(rows, 1):
        if count > MAX_ROWS:
            raise FileRefused(
                "too_many_rows", f"A file has at most {MAX_ROWS} rows; cut it into several."
            )
        yield row


async def _district(tx: ReadTx, areas: Iterable[Area]) -> Area:
    """With its boundary."""
    for area in areas:
        if area.kind is AreaKind.DISTRICT:
            return await tx.areas.get(area.id) or area
    raise FileRefused(
        "no_district", "The registry has no district yet; add one (streamhub area add) first."
    )


def _skipped(finding: Finding) -> ImportRow:
    payload = {"code": None, "name": finding.column, "findings": [finding_payload(finding)]}
    return ImportRow(finding.row, Verdict.REFUSED, payload)


async def _keep(
    store: Store, attempt: Attempt, rows: Iterable[ImportRow], done: int, counts: dict[str, int]
) -> None:
    """Adds what was planned to `counts` and to the job. Raises Superseded."""
    kept = list(rows)
    for row in kept:
        counts[row.verdict.value] += 1
        counts["warnings"] += sum(f["severity"] == "warning" for f in row.payload["findings"])
    async with store.write() as tx:
        if not await tx.jobs.progress(attempt, done, counts):
            raise Superseded
        await tx.jobs.add_rows(attempt.job_id, kept)

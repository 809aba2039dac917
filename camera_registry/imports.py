"""Use cases about imports: a file becomes a job, its plan is looked at, then applied or not.

A job's life is in the store: a restart takes up the checks that were under way (`import_checks`),
and applying is one transaction, so there is nothing between "not" and "done".
"""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from . import validation as check
from .denials import Denials
from .domain import Actor, ChangeKind, ChannelVersion, Device, Page, new_id
from .errors import Conflict, NotFound, ValidationFailed
from .feed import ChangeFeed
from .filing_rules import settings_of
from .import_apply import carry_out, devices_of, registry_changed, require_whole
from .import_checks import Checker, Checks, WorkerChecker
from .importers import templates
from .importers.annotate import annotated
from .importers.masks import secret_headings
from .importers.options import FOREIGN, ImportOptions
from .importers.payloads import finding_of
from .importers.readers import MAX_FILE_BYTES, open_table
from .importers.rows import FileRefused, Finding
from .importers.said import Language
from .jobs import ImportJob, ImportRow, JobState, Verdict
from .store.contract import ReadTx, Store, WriteTx
from .units import Units, touched_since, utc_now
from .vault import Vault
from .versions import put_back

__all__ = ["KEEP_FINISHED", "MAX_OPEN_IN_ALL", "MAX_OPEN_JOBS", "Imports", "WorkerChecker"]

# Jobs that are neither applied nor thrown away; each keeps its file and its rows. Of one subject,
# so that nobody stands in the others' way, and of all.
MAX_OPEN_JOBS: Final = 16
MAX_OPEN_IN_ALL: Final = 64
KEEP_FINISHED: Final = timedelta(days=30)
_PLAN_RESTS_ON: Final = frozenset(
    {ChangeKind.AREA, ChangeKind.DEVICE, ChangeKind.CHANNEL, ChangeKind.EVERYTHING}
)
# Refused ones too: their files lie there until they are discarded.
_OPEN: Final = (JobState.CHECKING, JobState.CHECKED, JobState.REFUSED)
_FINISHED: Final = (JobState.REFUSED, JobState.APPLIED, JobState.UNDONE)


class Imports:
    """All import jobs. `start()` once before use, `stop()` at the end."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        feed: ChangeFeed | None,
        checker: Checker,
        *,
        site_dir: Path | None = None,
    ) -> None:
        """`site_dir`: where a site's own forms lie."""
        # given
        self._site_dir = site_dir
        self._store = store
        self._vault = vault
        self._units = Units(store, feed)
        # owned
        self._checks = Checks(store, checker)

    async def start(self) -> None:
        """Takes up the checks that a restart cut short, and lets go of what is long over."""
        before = utc_now() - KEEP_FINISHED
        async with self._store.write() as tx:
            for state in _FINISHED:
                for job in await tx.jobs.in_state(state):
                    if job.created_at < before:
                        await tx.jobs.delete(job.id)
            under_way = await tx.jobs.in_state(JobState.CHECKING)
        for job in under_way:
            self._checks.begin(job.id)

    async def stop(self) -> None:
        await self._checks.stop()

    async def create(
        self, file: bytes, name: str, options: Mapping[str, Any], by: Actor
    ) -> ImportJob:
        """A new job; its check begins.

        Raises ValidationFailed, Conflict("too_many_imports", "second_person_wanted").
        """
        chosen = ImportOptions.of(options)
        if not file:
            raise ValidationFailed(
                "file", "file_empty", "The file is empty; choose one that lists cameras."
            )
        if len(file) > MAX_FILE_BYTES:
            raise ValidationFailed(
                "file",
                "file_too_large",
                f"The file is larger than {MAX_FILE_BYTES >> 20} MiB; divide it into several.",
            )
        job = ImportJob(
            id=new_id("im"),
            created_at=utc_now(),
            subject_id=by.subject_id,
            subject_name=by.subject_name,
            file_name=check.name("file_name", Path(name).name[-check.MAX_NAME_CHARS :] or "file"),
            sha256=hashlib.sha256(file).hexdigest(),
            options=chosen.values(),
        )
        sealed = await asyncio.to_thread(self._vault.seal_bytes, job.id, file)
        if chosen.template != FOREIGN:
            await asyncio.to_thread(templates.find, chosen.template, self._site_dir)
        async with self._units.begin(by) as unit:
            waiting = [each for s in _OPEN for each in await unit.tx.jobs.in_state(s)]
            own = [each for each in waiting if each.subject_id == by.subject_id]
            if len(own) >= MAX_OPEN_JOBS or len(waiting) >= MAX_OPEN_IN_ALL:
                many = len(own) if len(own) >= MAX_OPEN_JOBS else len(waiting)
                raise Conflict(
                    "state",
                    "too_many_imports",
                    f"{many} imports are neither applied nor discarded; see to one first.",
                )
            (await settings_of(unit.tx)).allow_import(chosen.filing)
            await unit.tx.jobs.add(job, sealed)
            await unit.record("import_create", job_id=job.id, file=job.file_name, sha256=job.sha256)
        self._checks.begin(job.id)
        return job

    async def get(self, job_id: str) -> ImportJob:
        async with self._store.read() as tx:
            return await _job(tx, job_id)

    async def list_jobs(
        self, *, limit: int = 50, cursor: str | None = None, subject_id: str | None = None
    ) -> Page[ImportJob]:
        """Newest first; with `subject_id` those that this one made."""
        limit = check.integer("limit", limit, 1, check.MAX_PAGE)
        async with self._store.read() as tx:
            return await tx.jobs.page(limit=limit, cursor=cursor, subject_id=subject_id)

    async def rows(
        self, job_id: str, *, verdict: Verdict | None = None, after: int = 0, limit: int = 100
    ) -> list[ImportRow]:
        """What the plan says of the rows behind number `after`."""
        limit = check.integer("limit", limit, 1, check.MAX_PAGE)
        async with self._store.read() as tx:
            await _job(tx, job_id)
            return await tx.jobs.rows(job_id, verdict=verdict, after=after, limit=limit)

    async def file(self, job_id: str) -> bytes:
        """The file as it was sent; it may hold passwords. Raises NotFound, SealBroken."""
        async with self._store.read() as tx:
            await _job(tx, job_id)
            sealed = await tx.jobs.file(job_id)
        if sealed is None:
            raise NotFound("file of the import", job_id)
        return await asyncio.to_thread(self._vault.open_bytes, job_id, sealed)

    async def workbook(self, job_id: str, language: Language = "en") -> bytes:
        """The file as a workbook with what was found beside each row, in that language; of its
        passwords there are marks.

        Raises NotFound, Conflict("no_sheet": it was no sheet; "headings_unfit": what is in its
        columns is not known), FileRefused (it was none at all), TemplateInvalid (the form, which
        knows where passwords are, is gone).
        """
        job, source = await self.get(job_id), await self.file(job_id)
        if job.options["template"] == FOREIGN:
            raise Conflict("template", "no_sheet", "Another program's configuration is no sheet.")
        findings: list[Finding] = []
        after = 0
        while rows := await self.rows(job_id, after=after, limit=check.MAX_PAGE):
            after = rows[-1].number
            findings += [finding_of(r.number, f) for r in rows for f in r.payload["findings"]]

        def make() -> bytes:
            out = io.BytesIO()
            table = open_table(source, job.file_name)
            form = templates.find(job.options["template"], self._site_dir)
            if job.options.get("mint") is not None:
                form = form.optional("code")
            _require_fit(form, table.headings)
            annotated(source, table.kind, findings, out, language, secret_headings(form))
            return out.getvalue()

        return await asyncio.to_thread(make)

    async def checked(self, job_id: str) -> ImportJob:
        """Waits for a check that is under way."""
        await self._checks.wait(job_id)
        return await self.get(job_id)

    async def check_again(
        self,
        job_id: str,
        by: Actor,
        *,
        into: Collection[str] | None = None,
        without: Collection[str] = (),
        keeps_denials: bool = False,
    ) -> ImportJob:
        """Plan it anew: the registry has changed since, or the check went wrong. `into`: the areas
        that it is limited to from now on; None is the district. `without`: cameras left out.
        `keeps_denials`: nothing is taken from under one."""
        async with self._units.begin(by) as unit:
            job = await _job(unit.tx, job_id)
            if job.state not in (JobState.CHECKED, JobState.REFUSED):
                raise _not_now(job, "checked again")
            job = replace(
                job,
                options={
                    **job.options,
                    "into": None if into is None else sorted(into),
                    "without": sorted(without),
                    "keeps_denials": keeps_denials,
                },
                state=JobState.CHECKING,
                attempt=job.attempt + 1,  # of the one before nothing comes any more
                rows_done=0,
                counts={},
                base_seq=None,
                code=None,
                sentence=None,
            )
            await unit.tx.jobs.update(job)
        self._checks.begin(job_id)
        return job

    async def apply(
        self,
        job_id: str,
        by: Actor,
        *,
        without_refused: bool = False,
        keeps_denials: bool = False,
    ) -> ImportJob:
        """Carry the plan out, all of it in one transaction; a second time changes nothing.
        `keeps_denials`: as of the check, and of those written since.

        Raises NotFound; Conflict: "not_checked", "rows_refused" (unless `without_refused`),
        "registry_changed", "plan_incomplete" (check it again), "second_person_wanted".
        """
        async with self._units.begin(by) as unit:
            job = await _job(unit.tx, job_id)
            if job.state is JobState.APPLIED:
                return job
            if job.state is not JobState.CHECKED or job.base_seq is None:
                raise _not_now(job, "applied")
            refused = job.counts.get(Verdict.REFUSED.value, 0)
            if refused and not without_refused:
                raise Conflict(
                    "rows",
                    "rows_refused",
                    f"{refused} rows have errors; correct them and import the file again, or "
                    "apply the others without them.",
                )
            (await settings_of(unit.tx)).allow_import(ImportOptions.of(job.options).filing)
            await require_whole(unit.tx, job)
            if await touched_since(self._store, job.base_seq, _PLAN_RESTS_ON):
                raise registry_changed()
            await carry_out(unit, job, await Denials.read(unit.tx) if keeps_denials else None)
            job = replace(job, state=JobState.APPLIED, finished_at=utc_now())
            await unit.tx.jobs.update(job)
            await unit.record(
                "import_apply",
                job_id=job.id,
                file=job.file_name,
                sha256=job.sha256,
                counts=dict(job.counts),
            )
        return job

    async def added(self, job_id: str) -> frozenset[str]:
        """Channels that the import made: undone, they are gone. Raises NotFound."""
        async with self._store.read() as tx:
            await _job(tx, job_id)
            versions = await tx.versions.of_job(job_id)
        return frozenset(each.channel_id for each in versions if each.before is None)

    async def undo(self, job_id: str, by: Actor, *, keeps_denials: bool = False) -> ImportJob:
        """Take an applied import back: every channel is what it was; not so credentials
        (`keep_credentials`).

        Raises NotFound; Conflict("not_applied", "under_denial" where `keeps_denials`, and what
        `versions.put_back` raises).
        """
        async with self._units.begin(by) as unit:
            job = await _job(unit.tx, job_id)
            if job.state is JobState.UNDONE:
                return job
            if job.state is not JobState.APPLIED:
                raise Conflict("state", "not_applied", "Only an applied import can be undone.")
            versions = await unit.tx.versions.of_job(job_id)
            if keeps_denials:
                _keep_denials(await Denials.read(unit.tx), versions)
            made, changed = await devices_of(unit.tx, job_id)
            await put_back(unit, versions, act="import_undo", devices_made=made)
            job = replace(job, state=JobState.UNDONE, finished_at=utc_now())
            await unit.tx.jobs.update(job)
            await unit.record(
                "import_undo",
                job_id=job.id,
                channels=len(versions),
                devices_with_new_credentials=len(changed),
            )
        return job

    async def keep_credentials(self, job_id: str) -> list[Device]:
        """Devices that were there before an import gave them other credentials, by name: undone or
        not, they keep those, as nothing is kept of the ones before."""
        async with self._store.read() as tx:
            await _job(tx, job_id)
            _, changed = await devices_of(tx, job_id)
            devices = [each for each in await tx.devices.all() if each.id in changed]
        return sorted(devices, key=lambda each: (each.name, each.id))

    async def discard(self, job_id: str, by: Actor) -> None:
        """Throw a job away with its file. What it applied stays."""
        async with self._units.begin(by) as unit:
            job = await _job(unit.tx, job_id)
            await unit.tx.jobs.delete(job_id)
            await unit.record("import_discard", job_id=job.id, file=job.file_name)
        await self._checks.cancel(job_id)  # of what it would write now nothing is taken


def _require_fit(form: templates.Template, headings: Sequence[str]) -> None:
    """Where the form does not lie on them they may be no headings but the first camera, and
    nothing says below which of them passwords are. Raises Conflict."""
    unfit = Conflict(
        "file",
        "headings_unfit",
        f"The file's headings are not those of the form {form.name}, so which of its cells are "
        "passwords is not known, and there is no workbook of it. Correct your own file: put the "
        "form's headings above the cameras, and import it again.",
    )
    try:
        if form.bind(headings).columns:
            return
    except FileRefused:
        raise unfit from None
    raise unfit


async def _job(tx: ReadTx | WriteTx, job_id: str) -> ImportJob:
    job = await tx.jobs.get(job_id)
    if job is None:
        raise NotFound("import", job_id)
    return job


def _keep_denials(denials: Denials, undone: Iterable[ChannelVersion]) -> None:
    for each in undone:
        if each.before and each.after and denials.leaves_one(each.after, each.before):
            raise Conflict(
                "channel",
                "under_denial",
                f"{each.after.name} is denied to somebody, and would not be any more; whoever "
                "manages the district takes this import back.",
            )


def _not_now(job: ImportJob, verb: str) -> Conflict:
    return Conflict(
        "state", "not_checked", f"The import is {job.state.value}; it can't be {verb} now."
    )

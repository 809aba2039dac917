"""SQL about versions of channels and about import jobs."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select

from ..domain import Actor, Channel, ChannelVersion, Page
from ..jobs import Attempt, ImportJob, ImportRow, JobState, Verdict
from . import schema
from .chain import canonical_json
from .repos_base import Repo, first, newest_first, parts
from .rows import cursor_of, job_from, job_values, keys_of, version_from, version_values

_V, _J, _R = schema.channel_versions.c, schema.import_jobs.c, schema.import_rows.c


class SqlVersions(Repo):
    async def get(self, seq: int) -> ChannelVersion | None:
        row = await self._tx.one(select(schema.channel_versions).where(_V.seq == seq))
        return version_from(row) if row else None

    async def page(
        self, channel_id: str, *, limit: int, cursor: str | None
    ) -> Page[ChannelVersion]:
        where = [_V.channel_id == channel_id]
        statement = select(schema.channel_versions).where(*where).order_by(_V.seq.desc())
        if cursor is not None:
            statement = statement.where(_V.seq < keys_of(cursor, int)[0])
        items = [version_from(row) for row in await self._tx.rows(first(statement, limit))]
        more, items = len(items) > limit, items[:limit]
        total = await self._tx.count(schema.channel_versions, *where)
        return Page(items, cursor_of(items[-1].seq) if more else None, total)

    async def latest(self, channel_ids: Collection[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for part in parts(sorted(channel_ids)):
            rows = await self._tx.rows(
                select(_V.channel_id, func.max(_V.seq).label("seq"))
                .where(_V.channel_id.in_(part))
                .group_by(_V.channel_id)
            )
            found |= {row.channel_id: row.seq for row in rows}
        return found

    async def authors(
        self, channel_ids: Collection[str], *, but: Collection[str]
    ) -> dict[str, tuple[str | None, str | None]]:
        found: dict[str, tuple[str | None, str | None]] = {}
        for part in parts(sorted(channel_ids)):
            newest = (
                select(func.max(_V.seq))
                .where(_V.channel_id.in_(part), _V.act.not_in(sorted(but)))
                .group_by(_V.channel_id)
            )
            rows = await self._tx.rows(
                select(_V.channel_id, _V.subject_id, _V.subject_name).where(_V.seq.in_(newest))
            )
            found |= {row.channel_id: (row.subject_id, row.subject_name) for row in rows}
        return found

    async def of_job(self, job_id: str) -> list[ChannelVersion]:
        rows = await self._tx.rows(
            select(schema.channel_versions).where(_V.job_id == job_id).order_by(_V.seq)
        )
        return [version_from(row) for row in rows]

    async def after(self, seq: int, limit: int) -> list[ChannelVersion]:
        rows = await self._tx.rows(
            select(schema.channel_versions).where(_V.seq > seq).order_by(_V.seq).limit(limit)
        )
        return [version_from(row) for row in rows]

    async def latest_seq(self) -> int:
        return await self._tx.number(select(func.max(_V.seq)))

    async def add(
        self,
        changes: Sequence[tuple[Channel | None, Channel | None]],
        *,
        act: str,
        by: Actor,
        job_id: str | None = None,
    ) -> None:
        at = datetime.now(UTC)
        rows = []
        for before, after in changes:
            if before == after and before is not None:
                continue
            channel = after or before
            if channel is None:
                raise ValueError("a version has a before, an after or both")
            rows.append(
                version_values(channel.id, before, after, at=at, act=act, by=by, job_id=job_id)
            )
        if rows:
            await self._tx.run(schema.channel_versions.insert(), rows)


class SqlJobs(Repo):
    async def get(self, job_id: str) -> ImportJob | None:
        row = await self._tx.one(select(schema.import_jobs).where(_J.id == job_id))
        return job_from(row) if row else None

    async def page(
        self, *, limit: int, cursor: str | None, subject_id: str | None = None
    ) -> Page[ImportJob]:
        where = [] if subject_id is None else [_J.subject_id == subject_id]
        return await newest_first(
            self._tx, schema.import_jobs, job_from, *where, limit=limit, cursor=cursor
        )

    async def in_state(self, state: JobState) -> list[ImportJob]:
        rows = await self._tx.rows(
            select(schema.import_jobs).where(_J.state == state.value).order_by(_J.created_at, _J.id)
        )
        return [job_from(row) for row in rows]

    async def file(self, job_id: str) -> bytes | None:
        row = await self._tx.one(
            select(schema.import_files.c.sealed).where(schema.import_files.c.job_id == job_id)
        )
        return row.sealed if row else None

    async def rows(
        self, job_id: str, *, verdict: Verdict | None = None, after: int = 0, limit: int
    ) -> list[ImportRow]:
        statement = select(schema.import_rows).where(_R.job_id == job_id, _R.number > after)
        if verdict is not None:
            statement = statement.where(_R.verdict == verdict.value)
        rows = await self._tx.rows(statement.order_by(_R.number).limit(limit))
        return [
            ImportRow(row.number, Verdict(row.verdict), json.loads(row.payload), row.sealed)
            for row in rows
        ]

    async def count_rows(self, job_id: str) -> dict[Verdict, int]:
        rows = await self._tx.rows(
            select(_R.verdict, func.count().label("many"))
            .where(_R.job_id == job_id)
            .group_by(_R.verdict)
        )
        return {Verdict(row.verdict): row.many for row in rows}

    async def add(self, job: ImportJob, sealed_file: bytes) -> None:
        await self._tx.run(schema.import_jobs.insert().values(job_values(job)))
        await self._tx.run(schema.import_files.insert().values(job_id=job.id, sealed=sealed_file))

    async def update(self, job: ImportJob) -> None:
        await self._tx.run(
            schema.import_jobs.update().where(_J.id == job.id).values(job_values(job))
        )

    async def hold(self, attempt: Attempt, until: datetime | None) -> bool:
        return await self._by(attempt, {"held_until": until})

    async def progress(self, attempt: Attempt, rows_done: int, counts: Mapping[str, int]) -> bool:
        values = {"rows_done": rows_done, "counts": canonical_json(dict(counts))}
        return await self._by(attempt, values)

    async def conclude(self, job: ImportJob) -> bool:
        values = job_values(replace(job, held_until=None))
        return await self._by(Attempt(job.id, job.attempt), values)

    async def _by(self, attempt: Attempt, values: dict[str, Any]) -> bool:
        """Whether the check was still the job's, and wrote."""
        mine = (_J.id == attempt.job_id, _J.attempt == attempt.number)
        under_way = _J.state == JobState.CHECKING.value
        return bool(
            await self._tx.run(schema.import_jobs.update().where(*mine, under_way).values(values))
        )

    async def add_rows(self, job_id: str, rows: Sequence[ImportRow]) -> None:
        values = [
            {
                "job_id": job_id,
                "number": row.number,
                "verdict": row.verdict.value,
                "payload": canonical_json(dict(row.payload)),
                "sealed": row.sealed,
            }
            for row in rows
        ]
        if values:
            await self._tx.run(schema.import_rows.insert(), values)

    async def delete_rows(self, job_id: str) -> None:
        await self._tx.run(schema.import_rows.delete().where(_R.job_id == job_id))

    async def delete(self, job_id: str) -> None:
        await self._tx.run(schema.import_jobs.delete().where(_J.id == job_id))

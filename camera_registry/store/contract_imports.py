"""The store's interface to versions, imports, sweeps and assignment rules; see `contract`, which it
is a part of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from ..domain import Actor, AssignmentRule, Channel, ChannelVersion, Page
from ..jobs import Attempt, FoundDevice, ImportJob, ImportRow, JobState, Sweep, SweepState, Verdict


class VersionReader(Protocol):
    async def get(self, seq: int) -> ChannelVersion | None: ...
    async def page(
        self, channel_id: str, *, limit: int, cursor: str | None
    ) -> Page[ChannelVersion]:
        """Newest first."""
        ...

    async def latest(self, channel_ids: Collection[str]) -> dict[str, int]:
        """The newest version's seq of each of these channels that has one."""
        ...

    async def authors(
        self, channel_ids: Collection[str], *, but: Collection[str]
    ) -> dict[str, tuple[str | None, str | None]]:
        """(subject id, name) of the newest version of each of these channels that is none of the
        acts `but`; a channel without one is left out."""
        ...

    async def of_job(self, job_id: str) -> list[ChannelVersion]:
        """Oldest first."""
        ...

    async def after(self, seq: int, limit: int) -> list[ChannelVersion]:
        """Those behind `seq`, oldest first, of all channels."""
        ...

    async def latest_seq(self) -> int:
        """0 when there are none."""
        ...


class VersionRepo(VersionReader, Protocol):
    async def add(
        self,
        changes: Sequence[tuple[Channel | None, Channel | None]],
        *,
        act: str,
        by: Actor,
        job_id: str | None = None,
    ) -> None:
        """One version for each (before, after) that differ; not both None."""
        ...


class JobReader(Protocol):
    async def get(self, job_id: str) -> ImportJob | None: ...
    async def page(
        self, *, limit: int, cursor: str | None, subject_id: str | None = None
    ) -> Page[ImportJob]:
        """Newest first; with `subject_id` those that this one made."""
        ...

    async def in_state(self, state: JobState) -> list[ImportJob]: ...
    async def file(self, job_id: str) -> bytes | None:
        """The sealed file; None when it was let go of."""
        ...

    async def rows(
        self, job_id: str, *, verdict: Verdict | None = None, after: int = 0, limit: int
    ) -> list[ImportRow]:
        """By number, those behind `after`."""
        ...

    async def count_rows(self, job_id: str) -> dict[Verdict, int]:
        """Of each verdict that a row has."""
        ...


class JobRepo(JobReader, Protocol):
    """Writes no changes rows: nobody caches jobs."""

    async def add(self, job: ImportJob, sealed_file: bytes) -> None: ...
    async def update(self, job: ImportJob) -> None: ...
    async def hold(self, attempt: Attempt, until: datetime | None) -> bool:
        """Keeps a check that is under way until then; None lets go of it. False: another one was
        begun, or the job is over or gone. So for the two that follow."""
        ...

    async def progress(self, attempt: Attempt, rows_done: int, counts: Mapping[str, int]) -> bool:
        """How far the check is."""
        ...

    async def conclude(self, job: ImportJob) -> bool:
        """As `update`, by the check `job.attempt`, which ends."""
        ...

    async def add_rows(self, job_id: str, rows: Sequence[ImportRow]) -> None: ...
    async def delete_rows(self, job_id: str) -> None: ...
    async def delete(self, job_id: str) -> None:
        """With its rows and its file."""
        ...


class SweepReader(Protocol):
    async def get(self, sweep_id: str) -> Sweep | None: ...
    async def page(self, *, limit: int, cursor: str | None) -> Page[Sweep]:
        """Newest first."""
        ...

    async def in_state(self, state: SweepState) -> list[Sweep]: ...
    async def sealed(self, sweep_id: str) -> bytes | None:
        """The credential sets that it tries."""
        ...

    async def found(
        self, sweep_id: str, *, after: tuple[str, int] = ("", 0), limit: int
    ) -> list[FoundDevice]:
        """By (host, port), those behind `after`."""
        ...

    async def tries(self) -> list[tuple[str, Mapping[str, Any]]]:
        """What passwords were tried on each host (`put_tries`), the longest unchanged first."""
        ...


class SweepRepo(SweepReader, Protocol):
    """Writes no changes rows: nobody caches sweeps."""

    async def add(self, sweep: Sweep, sealed: bytes | None) -> None: ...
    async def update(self, sweep: Sweep) -> None: ...
    async def put_found(self, sweep_id: str, devices: Sequence[FoundDevice]) -> None:
        """What was known of the same addresses is replaced."""
        ...

    async def put_tries(self, host: str, told: Mapping[str, Any], at: datetime) -> None:
        """What passwords were tried on a host: JSON values, no secret. It outlives the sweep."""
        ...

    async def delete_tries(self, hosts: Sequence[str]) -> None: ...

    async def delete(self, sweep_id: str) -> None: ...


class RuleReader(Protocol):
    async def all(self) -> list[AssignmentRule]:
        """By priority, then by id."""
        ...


class RuleRepo(RuleReader, Protocol):
    """Writes no changes rows: nobody caches rules. They go with their area."""

    async def add(self, rule: AssignmentRule) -> None: ...
    async def delete(self, rule_id: str) -> None: ...

"""The words of long work: imports with their rows, sweeps with what they found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class JobState(StrEnum):
    """The way of an import: a plan is made, looked at, and then applied or thrown away."""

    CHECKING = "checking"
    CHECKED = "checked"  # the plan is there; nothing is changed yet
    REFUSED = "refused"  # the file as a whole can't be taken; `sentence` says why
    APPLIED = "applied"
    UNDONE = "undone"


class Verdict(StrEnum):
    """What an import would do with a row."""

    ADD = "add"
    CHANGE = "change"
    SAME = "same"  # it is in the registry as it stands
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ImportRow:
    """What the plan says of one row of the file. `payload` holds JSON values, never a secret."""

    number: int
    verdict: Verdict
    payload: Mapping[str, Any]
    sealed: bytes | None = None  # the password of the row's device, when the row sets it


@dataclass(frozen=True, slots=True)
class Attempt:
    """One check of an import. Of several that were begun the newest alone may write: of another,
    however late it is, nothing is kept."""

    job_id: str
    number: int  # from 1


class Superseded(Exception):
    """An attempt is not the job's newest any more, or the job was thrown away."""


@dataclass(frozen=True, slots=True)
class ImportJob:
    """One file on its way into the registry."""

    id: str
    created_at: datetime
    subject_id: str | None
    subject_name: str | None
    file_name: str
    sha256: str  # of the file, 64 hex digits
    options: Mapping[str, Any]
    state: JobState = JobState.CHECKING
    rows_done: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)  # add, change, same, refused, …
    base_seq: int | None = None  # the changes seq that the plan was made at
    code: str | None = None  # of the sentence, which says why the file as a whole was refused
    sentence: str | None = None
    finished_at: datetime | None = None
    attempt: int = 0  # the newest check that was begun
    held_until: datetime | None = None  # until then that check is under way, whoever makes it


class SweepState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Sweep:
    """A search for devices in networks. `options` and `progress` hold JSON values, no secret."""

    id: str
    created_at: datetime
    subject_id: str | None
    subject_name: str | None
    options: Mapping[str, Any]
    state: SweepState = SweepState.RUNNING
    progress: Mapping[str, Any] = field(default_factory=dict)  # total, done, found; the cursor
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """What a sweep learnt of one address. `payload` holds JSON values, no secret."""

    host: str
    port: int
    payload: Mapping[str, Any]

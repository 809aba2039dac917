"""The words of an import: a file's row, the camera it describes, what was found about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from ..errors import RegistryError

Severity = Literal["error", "warning"]
# Two sheets of the largest district's archive; a file beyond it is cut up by whoever made it.
MAX_ROWS: Final = 200_000
MAX_COLUMNS: Final = 256
MAX_CELL_CHARS: Final = 4_096
MAX_FACTS: Final = 200  # of a channel; the forms have 83, the rest are headings that a file brought
# Before a heading that no template names, among a channel's facts: kept and shown as it came.
UNKNOWN_PREFIX: Final = "other."


class FileRefused(RegistryError):
    """The file as a whole can't be read; nothing of it was taken. `code` is stable."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class CellFault:
    """What is wrong with a cell as the file holds it, whatever its field."""

    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row of a file, as it is written there."""

    number: int  # as the file's program counts it: the first row of a sheet is 1; JSON: from 1
    cells: Mapping[str, str]  # by heading as written, trimmed; empty cells are left out
    faults: Mapping[str, CellFault] = field(default_factory=dict)  # by heading; "": of the row


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A file opened: its headings, and its rows one by one.

    Iterating raises `FileRefused` when the file turns out broken further down.
    """

    headings: tuple[str, ...]
    rows: Iterator[SourceRow]
    kind: Literal["csv", "xlsx", "json"]
    encoding: str | None = None  # of a CSV: "utf-8", "gb18030" or "utf-16"
    heading_row: int = 1  # 0 where there is none: JSON


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule has to say about a cell. An error keeps the row out; a warning does not."""

    row: int
    column: str  # the heading as written in the file; "" for the row as a whole
    code: str  # stable, snake_case
    sentence: str  # what is wrong and what to do; never repeats a secret
    severity: Severity = "error"
    field: str | None = None  # the key in fields.yaml


@dataclass(slots=True)
class CameraRow:
    """A row in our words: texts by field key (fields.yaml), not yet checked."""

    number: int
    values: dict[str, str] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)  # field key -> heading in the file
    unknown: dict[str, str] = field(default_factory=dict)  # heading -> text; kept as it is
    faults: list[Finding] = field(default_factory=list)

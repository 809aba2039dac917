"""What a reader of a foreign file gives, and the sheet on which it gathers that."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from ..rows import MAX_CELL_CHARS, MAX_ROWS, CameraRow, FileRefused, Finding, Severity

Kind = Literal["mediamtx", "go2rtc", "frigate", "wvp-dump", "wvp-json", "gb28181-catalogue"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
MAX_LABEL_CHARS: Final = 60  # of a foreign name in a sentence: a line of a terminal holds it


@dataclass(frozen=True, slots=True)
class ForeignConfig:
    """The cameras of a foreign file, and what of it was left out.

    A camera's `number` is the line of its entry, or one more than the row before where several
    stand on one line; in dumps and catalogues it counts the entries. What is to be said of a
    camera that was taken is in its `faults`. In `skipped`, an error is a camera that is lost
    unless someone acts; a warning, an entry that is none.
    """

    kind: Kind
    cameras: tuple[CameraRow, ...]
    skipped: tuple[Finding, ...]


@dataclass(slots=True)
class Gathering:
    """Rows and findings as a reader comes upon them."""

    kind: Kind
    cameras: list[CameraRow] = field(default_factory=list)
    skipped: list[Finding] = field(default_factory=list)
    _made: int = 0
    _last: int = 0  # number

    def row(self, line: int) -> CameraRow:
        """A new row, not yet taken. Raises `FileRefused` when there are too many."""
        self._made += 1
        if self._made > MAX_ROWS:
            raise FileRefused(
                "too_many_rows",
                f"The file has more than {MAX_ROWS} entries; cut it into several files.",
            )
        self._last = max(line, self._last + 1)
        return CameraRow(self._last)

    def named(self, line: int, name: str, at: str) -> CameraRow:
        """A new row of that name; one that looks like a URL is none, for it may hold a password."""
        row = self.row(line)
        if not like_a_url(name):
            row.values["name"], row.columns["name"] = name, at
        return row

    def take(self, row: CameraRow) -> None:
        self.cameras.append(row)

    def skip(
        self, row: CameraRow, column: str, code: str, sentence: str, severity: Severity = "error"
    ) -> None:
        self.skipped.append(Finding(row.number, column, code, sentence, severity))

    def done(self) -> ForeignConfig:
        cameras = sorted(self.cameras, key=lambda row: row.number)
        return ForeignConfig(self.kind, tuple(cameras), tuple(self.skipped))


def label(name: str) -> str:
    """A foreign name as a sentence may show it: short, quoted, and no place for a password."""
    if like_a_url(name):
        return "(a name that looks like a URL)"
    short = name if len(name) <= MAX_LABEL_CHARS else name[:MAX_LABEL_CHARS] + "…"
    return repr(short)


def like_a_url(name: str) -> bool:
    """Whether a name may hold a password, as a URL does."""
    return "://" in name or "@" in name


def heading(*parts: str) -> str:
    """Where in a file a value stands, as `columns` and findings name it."""
    return ".".join("…" if like_a_url(part) else part for part in parts)[:MAX_CELL_CHARS]

"""A grid of cells becomes a table: its heading is found, its rows are laid under it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, Literal

from openpyxl.utils import get_column_letter

from .rows import (
    MAX_CELL_CHARS,
    MAX_COLUMNS,
    MAX_ROWS,
    CellFault,
    FileRefused,
    SourceRow,
    SourceTable,
)

# Forms in use open with a title, a note, and who filled it in; ten rows are more than any has.
HEADING_WITHIN: Final = 10
SURPLUS: Final = "cell_without_heading"
# Of the two columns that a file comes back with (annotate.py). They are no part of the form: when
# it is handed in again, corrected, they are passed over.
FINDING_HEADINGS: Final = ("问题代码 / Code", "问题 / Findings")
# What neither a registry nor XML can hold; tab and line ends are all that a cell needs.
CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# A spreadsheet keeps 15 digits of a number and writes zeros, or worse, for the rest.
KEPT_DIGITS: Final = 15
_LETTER: Final = re.compile(r"[^\W\d_]")

TOO_LONG: Final = CellFault(
    "cell_too_long", f"The cell holds more than {MAX_CELL_CHARS} characters; shorten it."
)
LOST_DIGITS: Final = CellFault(
    "number_lost_digits",
    f"The cell became a number, of which only {KEPT_DIGITS} digits are kept; format the column as "
    "text and enter the code again.",
)
CONTROL_CHARACTER: Final = CellFault(
    "control_character", "The cell holds a character that can't be printed; type the text anew."
)


@dataclass(slots=True)
class GridRow:
    """A row before its headings are known. `number` counts as the file's program does."""

    number: int
    cells: Sequence[str]  # by position, "" where empty
    faults: Mapping[int, CellFault]  # by position


def table(
    grid: Iterator[GridRow],
    kind: Literal["csv", "xlsx"],
    encoding: str | None = None,
) -> SourceTable | None:
    """The table in a grid, or None if none of its first rows is a heading.

    Raises `FileRefused`, now or while the rows are read: `heading_twice`, `heading_unreadable`,
    `too_many_columns`, `too_many_rows`.
    """
    for row in grid:
        if row.number > HEADING_WITHIN:
            return None
        if is_heading(row.cells):
            headings = _headings(row)
            named = tuple(h for h in headings if h and h not in FINDING_HEADINGS)
            return SourceTable(named, _rows(grid, headings), kind, encoding, row.number)
    return None


def is_heading(cells: Sequence[str]) -> bool:
    """At least two cells with words in them, most of which differ: no title, no row of figures."""
    words = [cell.strip() for cell in cells if _LETTER.search(cell)]
    return len(words) >= 2 and 2 * len(set(words)) > len(words)


def place(number: int, position: int) -> str:
    """A cell as people name it: a row's number, a column's letter."""
    return f"Row {number}, column {get_column_letter(position + 1)}"


def no_heading() -> FileRefused:
    """The refusal of a file in which `table` found none."""
    return FileRefused(
        "heading_missing",
        f"None of the first {HEADING_WITHIN} rows holds headings; put the names of the columns "
        "above the cameras, as in the template.",
    )


def too_many_rows() -> FileRefused:
    return FileRefused(
        "too_many_rows",
        f"The file has more than {MAX_ROWS} rows; divide it into several files.",
    )


def too_many_columns() -> FileRefused:
    return FileRefused(
        "too_many_columns",
        f"The file has more than {MAX_COLUMNS} columns; take out those that are not the form's.",
    )


def check_headings(headings: Iterable[str], where: str) -> None:
    """Raises `FileRefused` if there are too many, or one comes twice; empty ones are none. It is
    not repeated: in a file without headings it may be a password."""
    seen: dict[str, int] = {}
    for number, heading in enumerate(headings, 1):
        first = seen.setdefault(heading, number)
        if heading and first != number:
            raise FileRefused(
                "heading_twice",
                f"{where}: columns {first} and {number} have the same heading; rename one or take "
                "it out.",
            )
    seen.pop("", None)
    if len(seen) > MAX_COLUMNS:
        raise too_many_columns()


def _headings(row: GridRow) -> list[str]:
    for position, fault in row.faults.items():
        raise FileRefused(
            "heading_unreadable",
            f"{place(row.number, position)}: the heading can't be read. {fault.sentence}",
        )
    headings = [cell.strip() for cell in row.cells]
    while headings and not headings[-1]:
        headings.pop()
    check_headings(headings, f"Row {row.number}")
    return headings


def _rows(grid: Iterator[GridRow], headings: list[str]) -> Iterator[SourceRow]:
    gaps = [position for position, heading in enumerate(headings) if not heading]
    headings = ["" if heading in FINDING_HEADINGS else heading for heading in headings]
    width = len(headings)
    count = 0
    for row in grid:
        cells = {
            heading: text
            for heading, cell in zip(headings, row.cells, strict=False)
            if (text := cell.strip())
        }
        faults = {headings[at]: row.faults[at] for at in row.faults if at < width}
        faults.pop("", None)
        for heading in ("", *faults):  # a cell at fault has no text
            cells.pop(heading, None)
        surplus = _surplus(row, gaps, width)
        if surplus is not None:
            faults[""] = CellFault(
                SURPLUS,
                f"{place(row.number, surplus)}: the cell stands under no heading; name its column "
                "or empty it.",
            )
        if not cells and not faults:
            continue
        count += 1
        if count > MAX_ROWS:
            raise too_many_rows()
        yield SourceRow(row.number, cells, faults)


def _surplus(row: GridRow, gaps: Sequence[int], width: int) -> int | None:
    """The first position under no heading where the row holds something."""
    if not gaps and len(row.cells) <= width and not row.faults:
        return None
    stop = max(len(row.cells), max(row.faults, default=-1) + 1)
    for position in chain(gaps, range(width, stop)):
        if position in row.faults or "".join(row.cells[position : position + 1]).strip():
            return position
    return None

"""A file comes back with what was found in each row beside it."""

from __future__ import annotations

import re
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import BinaryIO, Final, Literal

from openpyxl.cell import Cell

from .grid import FINDING_HEADINGS, SURPLUS, GridRow
from .masks import Mask, masked
from .read_csv import csv_rows, read_csv
from .read_json import read_json
from .read_xlsx import find, rows
from .rows import Finding, SourceTable
from .said import Language, said
from .sheet_edit import CODE_WIDTH, SENTENCE_WIDTH, Mark, RowMarks, SheetEditor
from .style_edit import COLOURS, StyleEditor
from .texts import secret_heading, seems_secret
from .workbook import Sheet, Workbook
from .writers import pen, put, text_sheet

# A row with more to say than this is wrong as a whole.
MAX_SHOWN: Final = 20
# A cell holds 32,767; a program that meets more takes the workbook for damaged.
MAX_NOTE_CHARS: Final = 30_000
_TITLE: Final = "问题 Findings"
_TEXT_WIDTH: Final = 20
_TAG: Final = re.compile("<[^>]*>")
_ENCODING: Final = re.compile(rb"""(?:\xef\xbb\xbf)?<\?xml[^>]*\sencoding\s*=\s*["']([^"']*)""")


def annotated(
    source: bytes,
    kind: Literal["csv", "xlsx", "json"],
    findings: Iterable[Finding],
    out: BinaryIO,
    language: Language = "en",
    secret: Mapping[str, bool] = MappingProxyType({}),
) -> None:
    """Write the file as a workbook with two more columns: codes, and sentences in that language,
    one line each.

    Bad cells are red, doubtful ones yellow; so is the whole row if a finding means all of it. A
    workbook comes back as it is otherwise, formulas and formats and other sheets included; rows of
    CSV keep their numbers; an entry of JSON stands one row further down than its number says.

    Passwords do not come back (`masks`; `secret`: as `secret_headings` says it). A workbook that
    holds one, in any sheet, comes back as the sheet that was read, all of it text: what else is in
    such a file (caches, other sheets, texts that no cell shows) might repeat it.

    Raises `FileRefused` as the readers do.
    """
    by_row: dict[int, list[Finding]] = defaultdict(list)
    for finding in findings:
        sentence = said(finding.code, finding.sentence, language)
        by_row[finding.row].append(replace(finding, sentence=sentence))
    if kind == "xlsx":
        _annotate_workbook(source, by_row, out, secret)
    elif kind == "csv":
        _rewrite(lambda: csv_rows(source), read_csv(source).heading_row, by_row, out, secret)
    else:
        below = {number + 1: found for number, found in by_row.items()}
        _rewrite(lambda: _json_rows(read_json(source)), 1, below, out, secret)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the form's columns stand, and after how many of them the two are added."""

    positions: Mapping[str, int]
    width: int
    again: bool  # the two are there already

    def marks(self, findings: Sequence[Finding]) -> RowMarks:
        """The colours and the texts of one row."""
        cells: dict[int, Mark] = {}
        # Errors last: they are what a cell with both is coloured by.
        for finding in sorted(findings, key=lambda finding: finding.severity == "error"):
            at = self.positions.get(finding.column)
            places = range(self.width) if not finding.column else [at] if at is not None else []
            cells.update((place, finding.severity) for place in places)
        return RowMarks(_notes(findings), cells)


def _layout(
    grid: Callable[[], Iterator[GridRow]], heading_row: int, by_row: Mapping[int, list[Finding]]
) -> _Layout:
    heading = next(row for row in grid() if row.number == heading_row)
    headings = [cell.strip() for cell in heading.cells]
    while headings and not headings[-1]:
        headings.pop()
    width = len(headings)
    again = FINDING_HEADINGS[0] in headings
    if again:
        width = headings.index(FINDING_HEADINGS[0])
    elif any(finding.code == SURPLUS for found in by_row.values() for finding in found):
        width = max(width, *(len(row.cells) for row in grid()))
    return _Layout({heading: at for at, heading in enumerate(headings)}, width, again)


def _notes(findings: Sequence[Finding]) -> tuple[str, str]:
    codes, sentences = [], []
    for finding in findings[:MAX_SHOWN]:
        codes.append(finding.code)
        column, sentence = masked(finding.column), finding.sentence
        if column != finding.column:
            sentence = sentence.replace(finding.column, column)
        named = not column or sentence.startswith(column)
        sentences.append(sentence if named else f"{column}: {sentence}")
    if len(findings) > MAX_SHOWN:
        codes.append("…")
        sentences.append(f"… (+{len(findings) - MAX_SHOWN})")
    return "\n".join(codes), "\n".join(sentences)[:MAX_NOTE_CHARS]


def _annotate_workbook(
    source: bytes,
    by_row: Mapping[int, list[Finding]],
    out: BinaryIO,
    secret: Mapping[str, bool],
) -> None:
    workbook = Workbook(source)
    sheet, table = find(workbook)

    def grid() -> Iterator[GridRow]:
        return rows(workbook, sheet)

    layout = _layout(grid, table.heading_row, by_row)
    mask = Mask(layout.positions, secret, table.heading_row)
    if any(map(mask.hides, grid())) or _may_tell(workbook, sheet):
        return _rewrite(grid, table.heading_row, by_row, out, secret)
    try:
        part = workbook.part_of("styles") or ""
        styles = StyleEditor(workbook.tree(part))
        _check_utf8(next(workbook.pieces(sheet.part), b""))
    except LookupError:  # no styles, or no UTF-8, as no program in use writes it
        return _rewrite(grid, table.heading_row, by_row, out, secret)
    marks = {number: layout.marks(found) for number, found in by_row.items()}
    marks[table.heading_row] = RowMarks(FINDING_HEADINGS, note="heading")
    editor = SheetEditor(marks, layout.width, styles.style, again=layout.again)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        for member in workbook.zip.NameToInfo.values():
            if member.filename in (part, sheet.part):
                continue
            with package.open(_like(member), "w") as new:
                for piece in workbook.pieces(member.filename):
                    new.write(piece)
        with package.open(_like(workbook.zip.getinfo(sheet.part)), "w") as new:
            for piece in workbook.events(sheet.part, editor.parser):
                new.write(editor.take(piece))
        package.writestr(_like(workbook.zip.getinfo(part)), styles.content())


def _may_tell(workbook: Workbook, read: Sheet) -> bool:
    """Whether what is beside the sheet that was read may hold a password: copies of cells, notes,
    and sheets whose headings nobody knows; there, one that sounds like a password is enough."""
    for member in workbook.zip.NameToInfo:
        if "pivotCache" in member:
            return True
        if "omment" in member:
            content = b"".join(workbook.pieces(member)).decode(errors="replace")
            if seems_secret(_TAG.sub(" ", content)):
                return True
    return any(
        secret_heading(cell) or masked(cell) != cell
        for other in workbook.sheets
        if other.part != read.part
        for row in rows(workbook, other)
        for cell in row.cells
    )


def _check_utf8(head: bytes) -> None:
    """Raises `LookupError` for XML in which offsets of bytes are not to be reckoned with."""
    declared = _ENCODING.match(head)
    if b"\0" in head or (declared and declared[1].lower() not in (b"utf-8", b"us-ascii")):
        raise LookupError("encoding")


def _like(member: zipfile.ZipInfo) -> zipfile.ZipInfo:
    """A member of the same name and kind, without what the file's maker put beside it."""
    made = zipfile.ZipInfo(member.filename, member.date_time)
    made.compress_type = member.compress_type
    return made


def _json_rows(table: SourceTable) -> Iterator[GridRow]:
    yield GridRow(1, table.headings, {})
    for row in table.rows:
        yield GridRow(row.number + 1, [row.cells.get(h, "") for h in table.headings], {})


def _rewrite(
    grid: Callable[[], Iterator[GridRow]],
    heading_row: int,
    by_row: Mapping[int, list[Finding]],
    out: BinaryIO,
    secret: Mapping[str, bool],
) -> None:
    """The rows as a new workbook, all of it text, its passwords masked."""
    layout = _layout(grid, heading_row, by_row)
    mask = Mask(layout.positions, secret, heading_row)
    widths = [_TEXT_WIDTH] * layout.width + [CODE_WIDTH, SENTENCE_WIDTH]
    with text_sheet(_TITLE, widths, heading_row, out) as sheet:
        pens: dict[Mark | None, Cell] = {
            None: pen(sheet),
            "heading": pen(sheet, bold=True, wrap=True),
            "note": pen(sheet, wrap=True),
            **{mark: pen(sheet, colour=colour) for mark, colour in COLOURS.items()},
        }

        def cells(texts: Sequence[str], marks: RowMarks | None) -> Iterator[Cell | None]:
            for at in range(layout.width):
                text = texts[at] if at < len(texts) else ""
                mark = marks.cells.get(at) if marks else None
                yield put(pens[mark], text) if text or mark else None
            for note in marks.notes if marks else ():
                yield put(pens[marks.note if marks else None], note)

        written = 0
        for row in grid():
            for _ in range(written + 1, row.number):
                sheet.append([])
            written = row.number
            marks = layout.marks(by_row[row.number]) if row.number in by_row else None
            if row.number == heading_row:
                every: dict[int, Mark] = dict.fromkeys(range(layout.width), "heading")
                marks = RowMarks(FINDING_HEADINGS, every, "heading")
            sheet.append(cells(mask.row(row), marks))

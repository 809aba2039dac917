"""Cameras go out as a file in a template's columns, which reads back as the same values."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, Final, Literal

from openpyxl import Workbook
from openpyxl.cell import Cell, WriteOnlyCell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter

from ..errors import RegistryError
from .grid import CONTROL
from .said import Language
from .sheet import LAST_ROW
from .templates import Column, Template

Kind = Literal["csv", "xlsx", "json"]

AS_TEXT: Final = "@"  # the number format that keeps 20 digits, a leading zero and "=" as typed
_WIDTHS: Final = {"gb_code": 24, "rtsp_url": 40, "mac": 18, "ipv4": 16, "ipv6": 26, "date": 12}
_LEAST_WIDTH: Final = 8
_MOST_WIDTH: Final = 40
# What the names of sheets may not hold, and how long they may be.
_NOT_IN_TITLES: Final = re.compile(r"[\\/*?:\[\]]")
_TITLE_CHARS: Final = 31
_LOOKS_ESCAPED: Final = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")


class TooManyRows(RegistryError):
    """More cameras than a worksheet has rows."""

    code = "too_many_rows"


def write_table(
    kind: Kind,
    template: Template,
    rows: Iterable[Mapping[str, str]],
    out: BinaryIO,
    *,
    language: Language = "zh",
) -> None:
    """Write one row for each camera, its texts by field key, in the template's columns.

    CSV is UTF-8 with a mark, by RFC 4180, every text as it is: a spreadsheet program that opens it
    takes codes for numbers and "=" for a formula, so it is for programs; XLSX has all cells as
    text. JSON is a list of objects without their empty cells, of which the first has all headings.
    A secret is never written: its column stays empty.

    Raises `TooManyRows` (XLSX, past 1,048,576 rows).
    """
    headings = [column.zh if language == "zh" else column.en for column in template.columns]
    texts = _texts(template, rows)
    if kind == "csv":
        _write_csv(headings, texts, out)
    elif kind == "json":
        _write_json(headings, texts, out)
    else:
        title = template.zh if language == "zh" else template.en
        widths = [_width(column, language) for column in template.columns]
        _write_xlsx(title, headings, widths, texts, out)


def escaped(text: str) -> str:
    """A text as XLSX spells it: what XML can't hold, and what looks like an escape, escaped.

    ECMA-376 part 1, 22.9.2.19.
    """
    if "_x" in text:
        text = _LOOKS_ESCAPED.sub("_x005F_", text)
    if not text.isprintable():
        text = CONTROL.sub(lambda match: f"_x{ord(match[0]):04X}_", text)
    return text


def _texts(template: Template, rows: Iterable[Mapping[str, str]]) -> Iterator[list[str]]:
    """Each camera's cells in the order of the columns."""
    written = [_as_written(column) for column in template.columns]
    for number, row in enumerate(rows, 1):
        cells = []
        for column, words in zip(template.columns, written, strict=True):
            if column.field is None:
                cells.append(str(number))
            elif column.field.kind == "secret":
                cells.append("")
            else:
                text = row.get(column.field.key, "")
                cells.append(words.get(text, text))
        yield cells


def _as_written(column: Column) -> dict[str, str]:
    """What the field holds -> what the form writes: the first word that means it."""
    words: dict[str, str] = {}
    for word, text in (column.values or {}).items():
        words.setdefault(text, word)
    return words


def _write_csv(headings: list[str], rows: Iterator[list[str]], out: BinaryIO) -> None:
    text = io.TextIOWrapper(out, encoding="utf-8-sig", newline="", write_through=True)
    try:
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(headings)
        writer.writerows(rows)
    finally:
        text.detach()  # `out` stays open


def _write_json(headings: list[str], rows: Iterator[list[str]], out: BinaryIO) -> None:
    out.write(b"[")
    for index, cells in enumerate(rows):
        entry = {h: cell for h, cell in zip(headings, cells, strict=True) if cell or not index}
        out.write(b",\n" if index else b"\n")
        out.write(json.dumps(entry, ensure_ascii=False).encode("utf-8"))
    out.write(b"\n]\n")


def _write_xlsx(
    title: str,
    headings: list[str],
    widths: list[int],
    rows: Iterator[list[str]],
    out: BinaryIO,
) -> None:
    with text_sheet(title, widths, 1, out) as sheet:
        heading, plain = pen(sheet, bold=True, wrap=True), pen(sheet)
        sheet.append(_cells(heading, headings))
        for number, texts in enumerate(rows, 2):
            if number > LAST_ROW:
                raise TooManyRows(
                    f"A worksheet has {LAST_ROW} rows; narrow the export, or take CSV or JSON."
                )
            sheet.append(_cells(plain, texts))


def _cells(cell: Cell, texts: Iterable[str]) -> Iterator[Cell | None]:
    for text in texts:
        yield put(cell, text) if text else None


@contextmanager
def text_sheet(title: str, widths: list[int], heading_row: int, out: BinaryIO) -> Iterator[Any]:
    """A new workbook's one sheet, streamed; `append` rows of what `put` gives. Saved in the end."""
    book = Workbook(write_only=True)
    sheet: Any = book.create_sheet(_NOT_IN_TITLES.sub(" ", title)[:_TITLE_CHARS])
    sheet.freeze_panes = f"A{heading_row + 1}"
    for index, width in enumerate(widths, 1):
        dimension = sheet.column_dimensions[get_column_letter(index)]
        dimension.width = width
        dimension.number_format = AS_TEXT  # for the rows that are added by hand
    try:
        yield sheet
    except BaseException:
        sheet.close()
        sheet._writer.cleanup()  # the temporary file, else kept until the process ends
        raise
    book.save(out)


def pen(sheet: Any, *, bold: bool = False, wrap: bool = False, colour: str | None = None) -> Cell:
    """A cell of a style, to `put` any number of texts: one anew for each takes twice as long."""
    cell = WriteOnlyCell(sheet)
    cell.number_format = AS_TEXT
    if bold:
        cell.font = Font(bold=True)
    if wrap:
        cell.alignment = Alignment(vertical="top", wrap_text=True)
    if colour is not None:
        cell.fill = PatternFill("solid", fgColor=colour)
    return cell


def put(cell: Cell, text: str) -> Cell:
    """The cell with a text in it, "=" and "#REF!" as text too. Good until the next `put`."""
    cell.value = escaped(text)
    cell.data_type = "s"
    return cell


def _width(column: Column, language: Language) -> int:
    heading = column.zh if language == "zh" else column.en
    of_heading = sum(2 if char > "\u2e7f" else 1 for char in heading) + 2
    of_kind = _WIDTHS.get(column.field.kind, 0) if column.field else 0
    of_text = 24 if column.field and column.field.max_chars > 100 else 0
    return min(max(of_heading, of_kind, of_text, _LEAST_WIDTH), _MOST_WIDTH)

"""A worksheet's XML (ECMA-376 part 1, 18.3.1) becomes rows of text: sans-IO, bytes in, rows out.

Not openpyxl's reader: 100,000 rows of 73 columns take that one 70 s and more and this one a third,
it keeps every shared text as an object, expands entities, and gives up 20 digits as a float.
"""

from __future__ import annotations

from datetime import datetime, time
from decimal import Decimal
from typing import Any, Final, Protocol

from openpyxl.utils.cell import column_index_from_string, get_column_letter
from openpyxl.utils.datetime import MAC_EPOCH, WINDOWS_EPOCH, from_excel

from .grid import (
    CONTROL,
    CONTROL_CHARACTER,
    KEPT_DIGITS,
    LOST_DIGITS,
    TOO_LONG,
    GridRow,
    too_many_columns,
)
from .rows import MAX_CELL_CHARS, MAX_COLUMNS, CellFault
from .workbook import Styles
from .xml_feed import CellText, damaged, new_parser, unescaped

LAST_ROW: Final = 1_048_576
# Cells with or without a value: a few times what 200,000 rows of 73 columns have.
MAX_CELLS: Final = 50_000_000

FORMULA: Final = CellFault(
    "formula_cell", "The cell holds a formula; write the value instead (copy, paste as values)."
)
NO_DATE: Final = CellFault(
    "date_unreadable", "The cell is formatted as a date but holds none; write it as YYYY-MM-DD."
)
ERROR: Final = CellFault(
    "error_cell", "The cell holds an error such as #REF!; write the value instead."
)
_COLUMNS: Final = {get_column_letter(n): n - 1 for n in range(1, MAX_COLUMNS + 1)}
_DIGITS: Final = "0123456789"
_NO_FAULTS: Final[dict[int, CellFault]] = {}


class Texts(Protocol):
    """The shared texts of a workbook."""

    def __getitem__(self, index: int) -> str: ...


class SheetParser:
    """Feed `parser`, then `take()` the rows that are complete.

    Empty rows are left out. What a cell's number format makes of it (a date, leading zeros) is in
    its text. Feeding raises `FileRefused` or what `workbook.told_as_damage` turns into it.
    """

    def __init__(self, texts: Texts, styles: Styles, *, from_1904: bool = False) -> None:
        self.parser = new_parser()
        self._texts = texts
        self._values = Values(styles, from_1904=from_1904)
        self._done: list[GridRow] = []
        self._number = 0
        self._column = -1
        self._count = 0
        self._cells: list[str] = []
        self._faults: dict[int, CellFault] = _NO_FAULTS
        self._attributes: dict[str, str] = {}
        self._formula = False
        self._phonetic = False
        self._text = CellText()
        self.parser.StartElementHandler = self._root

    def take(self) -> list[GridRow]:
        done, self._done = self._done, []
        return done

    def _root(self, name: str, _attributes: dict[str, str]) -> None:
        # One prefix for the whole sheet, mostly none: names are compared as they are written.
        prefix, colon, _ = name.rpartition(":")
        starts = {"row": self._row, "c": self._cell, "f": self._has_formula, "rPh": self._rph}
        ends = {"row": self._row_end, "c": self._cell_end, "rPh": self._rph_end}
        start_of = {prefix + colon + key: handler for key, handler in starts.items()}
        end_of = {prefix + colon + key: handler for key, handler in ends.items()}
        texts = {prefix + colon + "v", prefix + colon + "t"}
        parser, add = self.parser, self._text.add

        def start(name: str, attributes: dict[str, str]) -> None:
            if name in texts:
                if not self._phonetic:
                    parser.CharacterDataHandler = add
            elif name in start_of:
                start_of[name](attributes)

        def end(name: str) -> None:
            if name in texts:
                parser.CharacterDataHandler = None
            elif name in end_of:
                end_of[name]()

        parser.StartElementHandler = start
        parser.EndElementHandler = end

    def _row(self, attributes: dict[str, str]) -> None:
        number = int(attributes.get("r", self._number + 1))
        if not self._number < number <= LAST_ROW:
            raise damaged(f"row {number} after row {self._number}")
        self._number = number
        self._column = -1
        self._cells = []
        self._faults = _NO_FAULTS

    def _row_end(self) -> None:
        if self._cells or self._faults:
            self._done.append(GridRow(self._number, self._cells, self._faults))

    def _cell(self, attributes: dict[str, str]) -> None:
        self._attributes = attributes
        self._formula = False
        at = attributes.get("r")
        column = self._column + 1 if at is None else column_of(at)
        if column <= self._column:
            raise damaged(f"row {self._number}: cells out of order")
        self._column = column
        self._count += 1
        if self._count > MAX_CELLS:
            raise damaged(f"more than {MAX_CELLS} cells")

    def _has_formula(self, _attributes: dict[str, str]) -> None:
        self._formula = True

    def _rph(self, _attributes: dict[str, str]) -> None:
        self._phonetic = True

    def _rph_end(self) -> None:
        self._phonetic = False

    def _cell_end(self) -> None:
        text = self._text.take()
        if self._formula:
            self._put("", FORMULA)
            return
        if not text:
            return
        attributes = self._attributes
        kind = attributes.get("t", "n")
        if kind == "s":
            text = self._texts[int(text)]
        elif kind == "inlineStr" or kind == "str":
            text = unescaped(text)
        else:
            value = self._values.text(text, kind, int(attributes.get("s", 0)))
            if isinstance(value, CellFault):
                self._put("", value)
            else:
                self._put(value)
            return
        if len(text) > MAX_CELL_CHARS:
            self._put("", TOO_LONG)
        elif not text.isprintable() and CONTROL.search(text):
            self._put("", CONTROL_CHARACTER)
        elif text:
            self._put(text)

    def _put(self, text: str, fault: CellFault | None = None) -> None:
        column = self._column
        if column >= MAX_COLUMNS:
            raise too_many_columns()
        cells = self._cells
        missing = column - len(cells)
        if missing:
            cells += [""] * missing
        cells.append(text)
        if fault is not None:
            if not self._faults:
                self._faults = {}
            self._faults[column] = fault


def column_of(reference: str) -> int:
    """The column of a reference like B7, counted from 0. Raises `ValueError`."""
    letters = reference.rstrip(_DIGITS)
    column = _COLUMNS.get(letters)
    return column_index_from_string(letters) - 1 if column is None else column


class Values:
    """What a cell without a text of its own means: numbers, dates, booleans, errors."""

    def __init__(self, styles: Styles, *, from_1904: bool = False) -> None:
        self._styles = styles
        self._epoch = MAC_EPOCH if from_1904 else WINDOWS_EPOCH

    def text(self, raw: str, kind: str, style: int) -> str | CellFault:
        """The text of `<v>`, by the cell's type and style. Raises `ValueError`."""
        if kind == "n":
            if style in self._styles.dates:
                return self._date(raw)
            return number(raw, self._styles.padded.get(style, 0))
        if kind == "b":
            return "true" if int(raw) else "false"
        if kind == "d":
            return raw.strip().removesuffix("Z").removesuffix("T00:00:00")
        if kind == "e":
            return ERROR
        raise ValueError(f"cells of type {kind!r}")

    def _date(self, raw: str) -> str | CellFault:
        try:
            found: Any = from_excel(float(raw), self._epoch)
        except (OverflowError, ValueError):
            return NO_DATE
        if isinstance(found, datetime):
            found = found.date() if found.time() == time() else found.replace(microsecond=0)
        return str(found.isoformat())


def number(raw: str, width: int = 0) -> str | CellFault:
    """A number as a spreadsheet shows it: 15 digits, no exponent, '1' and never '1.0'.

    `width` is of a format that shows leading zeros. Raises `ValueError` if it is no number.
    """
    if raw.isascii() and raw.isdecimal() and len(raw) <= KEPT_DIGITS:
        return str(int(raw)).zfill(width)
    value = float(raw)
    if value != value or abs(value) >= 10**KEPT_DIGITS:
        return LOST_DIGITS
    text = f"{Decimal(f'{value:.{KEPT_DIGITS}g}'):f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text.zfill(width)

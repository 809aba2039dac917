"""CSV (RFC 4180) as spreadsheet programs write it: its encoding and delimiter told by content."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from .grid import (
    CONTROL,
    CONTROL_CHARACTER,
    HEADING_WITHIN,
    LOST_DIGITS,
    GridRow,
    is_heading,
    no_heading,
    place,
    table,
    too_many_columns,
)
from .rows import MAX_CELL_CHARS, MAX_COLUMNS, CellFault, FileRefused, SourceTable

DELIMITERS: Final = (",", ";", "\t")
# A row of the most and longest cells. A line beyond it is one field without an end.
MAX_LINE_CHARS: Final = MAX_COLUMNS * MAX_CELL_CHARS
_DECODE_BYTES: Final = 1 << 20
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# What a spreadsheet program makes of a code that it took for a number, and saves as CSV.
_EXPONENT: Final = re.compile(r"\s*[1-9]\.[0-9]{2,}E\+[1-9][0-9]\s*")
_CONTROL_BYTES: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")
_UNDECODED: Final = re.compile("[\udc80-\udcff]")  # what `surrogateescape` leaves
_NO_FAULTS: Final[dict[int, CellFault]] = {}


@dataclass(frozen=True, slots=True)
class _Text:
    """How a file's bytes are read."""

    source: bytes
    codec: str
    named: str  # as `SourceTable.encoding`
    doubtful: bool = False  # not all of it is the encoding it seems to be in
    control: bool = False  # it may hold characters that no cell may

    def lines(self) -> Iterator[str]:
        """Lines with their ends. Raises `FileRefused`: `cell_too_long`."""
        errors = "surrogateescape" if self.doubtful else "strict"
        text = io.TextIOWrapper(
            io.BytesIO(self.source), encoding=self.codec, errors=errors, newline=""
        )
        while line := text.readline(MAX_LINE_CHARS):
            if len(line) == MAX_LINE_CHARS and line[-1] not in "\r\n":
                raise _too_long("A line")
            yield line


def read_csv(source: bytes) -> SourceTable:
    """The table in a CSV file.

    UTF-8 (with or without a mark), GB18030, or UTF-16 with a mark; comma, semicolon or tab. Rows
    are counted as records, so a cell may hold line ends; blank rows count.

    Raises `FileRefused`, now or while the rows are read: `not_a_table`, `mixed_encodings`,
    `undecodable`, `cell_too_long`, `csv_broken`, and what `grid.table` raises.
    """
    text = _text(source)
    found = table(_grid(text, _delimiter(text)), "csv", text.named)
    if found is None:
        raise no_heading()
    return found


def csv_rows(source: bytes) -> Iterator[GridRow]:
    """All rows of a CSV file as they are, those above the heading too. Raises as `read_csv`."""
    text = _text(source)
    return _grid(text, _delimiter(text))


def _text(source: bytes) -> _Text:
    if source.startswith(_UTF16):
        return _Text(source, "utf-16", "utf-16", control=True)
    control = _CONTROL_BYTES.search(source) is not None
    if control and b"\0" in source:
        raise FileRefused(
            "not_a_table",
            "The file is neither CSV nor XLSX nor JSON; save it as .xlsx or as CSV in UTF-8.",
        )
    wrong_at = _not_utf8_at(source)
    if wrong_at is None:
        return _Text(source, "utf-8-sig", "utf-8", control=control)
    if source.startswith(codecs.BOM_UTF8) or _chinese(source[:wrong_at].decode("utf-8")):
        return _Text(source, "utf-8-sig", "utf-8", doubtful=True, control=control)
    return _Text(source, "gb18030", "gb18030", doubtful=True, control=control)


def _not_utf8_at(source: bytes) -> int | None:
    """The offset of the first byte that is not UTF-8, decoded piece by piece to stay small."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(source)
    for start in range(0, len(source) + 1, _DECODE_BYTES):
        held = len(decoder.getstate()[0])
        piece = view[start : start + _DECODE_BYTES]
        try:
            decoder.decode(piece, start + _DECODE_BYTES > len(source))
        except UnicodeDecodeError as error:
            return start - held + error.start
    return None


def _chinese(text: str) -> bool:
    """Common Chinese characters among its others: what text decoded rightly has."""
    return any(_common(char) for char in text if char > "\u2fff")


def _common(char: str) -> bool:
    """Of the first level of GB 2312, which bytes read in the wrong encoding rarely give."""
    try:
        return 0xB0 <= char.encode("gb2312")[0] <= 0xD7
    except UnicodeEncodeError:
        return False


def _delimiter(text: _Text) -> str:
    """The one by which a heading comes first, and the widest of those."""

    def rank(delimiter: str) -> tuple[int, int]:
        try:
            reader = csv.reader(text.lines(), delimiter=delimiter)
            for number, row in enumerate(islice(reader, HEADING_WITHIN), 1):
                if is_heading(row):
                    return -number, len(row)
        except (FileRefused, csv.Error, UnicodeError):
            pass  # told by row, once the delimiter is chosen
        return -HEADING_WITHIN - 1, 0

    return max(DELIMITERS, key=rank)


def _grid(text: _Text, delimiter: str) -> Iterator[GridRow]:
    reader = csv.reader(text.lines(), delimiter=delimiter, strict=True)
    number = 0
    try:
        for row in reader:
            number += 1
            if row and max(map(len, row)) > MAX_CELL_CHARS:
                raise _too_long(f"Row {number}: a cell")
            if len(row) > MAX_COLUMNS:
                if any(cell.strip() for cell in row[MAX_COLUMNS:]):
                    raise too_many_columns()
                del row[MAX_COLUMNS:]
            faults = _NO_FAULTS
            if text.doubtful:
                _check_encoding(row, number, text)
            if text.control:
                faults = {at: CONTROL_CHARACTER for at, t in enumerate(row) if CONTROL.search(t)}
            if any("E+" in cell for cell in row):
                faults = faults | {
                    at: LOST_DIGITS for at, t in enumerate(row) if _EXPONENT.fullmatch(t)
                }
            yield GridRow(number, row, faults)
    except csv.Error as error:
        if "field limit" in str(error):
            raise _too_long(f"Row {number + 1}: a cell") from None
        raise FileRefused(
            "csv_broken",
            f"Row {number + 1}: a quotation mark is out of place or never closed; inside a quoted "
            'cell a quotation mark is written twice ("").',
        ) from None
    except UnicodeError:
        raise FileRefused(
            "undecodable",
            f"Row {number + 1}: the text breaks off within a character; save the file as CSV in "
            "UTF-8.",
        ) from None


def _check_encoding(row: list[str], number: int, text: _Text) -> None:
    """Raises `FileRefused` for a cell in another encoding than the file's."""
    for position, cell in enumerate(row):
        if cell.isascii():
            continue
        raw = cell.encode(text.codec.removesuffix("-sig"), "surrogateescape")
        other = "gb18030" if text.named == "utf-8" else "utf-8"
        wrong = _UNDECODED.search(cell) is not None
        try:
            in_other = raw.decode(other)
        except UnicodeDecodeError:
            in_other = ""
        where = place(number, position)
        if in_other and (wrong or (other == "utf-8" and _all_common(in_other))):
            raise FileRefused(
                "mixed_encodings",
                f"{where}: the cell is in {other.upper()} but the rows above it are in "
                f"{text.named.upper()}; save the whole file anew as CSV in UTF-8.",
            )
        if wrong:
            raise FileRefused(
                "undecodable",
                f"{where}: the cell is neither UTF-8 nor GB18030; save the file as CSV in UTF-8.",
            )


def _all_common(text: str) -> bool:
    others = [char for char in text if not char.isascii()]
    return all(map(_common, others))


def _too_long(what: str) -> FileRefused:
    return FileRefused(
        "cell_too_long",
        f"{what} is longer than {MAX_CELL_CHARS} characters; look for a quotation mark that is "
        "never closed, or shorten the cell.",
    )

"""A worksheet's XML is marked where it stands: sans-IO, its bytes in, its bytes out.

Only the rows that are marked change; all else leaves as it came, byte by byte, so that formulas,
formats, widths and lists to choose from are still there for whoever corrects the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from xml.sax.saxutils import escape, quoteattr

from openpyxl.utils import get_column_letter

from .sheet import column_of
from .writers import escaped
from .xml_feed import damaged, new_parser

Mark = Literal["error", "warning", "note", "heading"]
# The widths of the two columns that are added: a code, a sentence.
CODE_WIDTH: Final = 26
SENTENCE_WIDTH: Final = 90
_TAG: Final = re.compile(rb"""<(?:[^"'>]|"[^"]*"|'[^']*')*>""")
_NAME: Final = re.compile(rb"<[^\s/>]+")
_STYLE: Final = re.compile(rb"""\ss\s*=\s*(?:"[^"]*"|'[^']*')""")
_SPANS: Final = re.compile(rb"""\sspans\s*=\s*(?:"[^"]*"|'[^']*')""")


@dataclass(slots=True)
class RowMarks:
    """What is added to a row: the colours of its cells, and the texts of the two columns."""

    notes: tuple[str, str]
    cells: dict[int, Mark] = field(default_factory=dict)  # by position
    note: Mark = "note"


@dataclass(frozen=True, slots=True)
class _Edit:
    """Replaces what begins at `start` and ends with the tag at `last`; None: it only inserts."""

    start: int
    last: int | None
    make: Callable[[bytes], bytes]


class SheetEditor:
    """Feed `parser` a piece, then `take` that piece to have the bytes that are settled."""

    def __init__(
        self,
        marks: Mapping[int, RowMarks],
        width: int,
        style: Callable[[int, Mark], int],
        *,
        again: bool = False,
    ) -> None:
        """`marks` by row; the two columns follow `width` others.

        `style` gives the style index for a cell's own one and its mark. With `again` the two
        columns are there already, and what they hold in other rows is taken out.
        """
        self._marks = marks
        self._width = width
        self._style = style
        self._again = again
        self._buffer = bytearray()
        self._base = 0  # the offset of the buffer's first byte
        self._held: int | None = None  # nothing from here leaves yet
        self._edits: list[_Edit] = []
        self._number = 0
        self._column = -1
        self._row: RowMarks | None = None
        self._left: list[int] = []  # positions still to be coloured, the next one last
        self._columns: list[dict[str, str]] | None = None
        self._prefix = ""
        self.parser = new_parser()
        self.parser.StartElementHandler = self._root

    def take(self, piece: bytes) -> bytes:
        """The bytes that no further event will change, `piece` being what was fed last."""
        self._buffer += piece
        if not piece:
            return self._settle(self._base + len(self._buffer))
        safe = self.parser.CurrentByteIndex
        return self._settle(safe if self._held is None else min(safe, self._held))

    def _settle(self, until: int) -> bytes:
        out = bytearray()
        at = 0
        for edit in self._edits:
            start = edit.start - self._base
            stop = start if edit.last is None else self._stop(start, edit.last - self._base)
            out += self._buffer[at:start]
            out += edit.make(bytes(self._buffer[start:stop]))
            at = stop
        self._edits.clear()
        until = max(until - self._base, at)
        out += self._buffer[at:until]
        del self._buffer[:until]
        self._base += until
        return bytes(out)

    def _stop(self, start: int, last: int) -> int:
        """Where an element ends that begins at `start` and whose end was told at `last`."""
        end = self._end_of_tag(start)
        alone = last == start or self._buffer[end - 2 : end] == b"/>"
        return end if alone else self._end_of_tag(last)

    def _end_of_tag(self, start: int) -> int:
        match = _TAG.match(self._buffer, start)
        if match is None:
            raise damaged("a tag without an end")
        return match.end()

    def _root(self, name: str, _attributes: dict[str, str]) -> None:
        prefix, colon, _ = name.rpartition(":")
        self._prefix = p = prefix + colon
        starts = {
            p + "row": self._row_start,
            p + "dimension": self._dimension,
            p + "cols": self._cols_start,
            p + "col": self._col,
            p + "sheetData": self._data,
        }
        ends = {p + "row": self._row_end, p + "c": self._cell_end, p + "cols": self._cols_end}
        cell = p + "c"

        def start(name: str, attributes: dict[str, str]) -> None:
            if name == cell:
                if self._row is not None or self._again:
                    self._cell(attributes)
            elif name in starts:
                starts[name](attributes)

        def end(name: str) -> None:
            if name in ends:
                ends[name]()

        self.parser.StartElementHandler = start
        self.parser.EndElementHandler = end

    def _replace(self, start: int, last: int | None, make: Callable[[bytes], bytes]) -> None:
        self._edits.append(_Edit(start, last, make))

    def _insert(self, text: str) -> None:
        self._replace(self.parser.CurrentByteIndex, None, lambda _: text.encode())

    def _dimension(self, _attributes: dict[str, str]) -> None:
        at = self.parser.CurrentByteIndex
        # A hint, and now a wrong one: programs that trust it would not see the columns.
        self._replace(at, at, lambda raw: b"" if raw.endswith(b"/>") else raw)

    # The widths of columns: those of ours are cut out of the ranges that are there.

    def _cols_start(self, _attributes: dict[str, str]) -> None:
        self._columns = []
        self._held = self.parser.CurrentByteIndex

    def _col(self, attributes: dict[str, str]) -> None:
        if self._columns is not None:
            self._columns.append(attributes)

    def _cols_end(self) -> None:
        if self._held is not None:
            text = self._cols(self._columns or [])
            self._replace(self._held, self.parser.CurrentByteIndex, lambda _: text.encode())
            self._held = None

    def _data(self, _attributes: dict[str, str]) -> None:
        if self._columns is None:
            self._insert(self._cols([]))

    def _cols(self, columns: list[dict[str, str]]) -> str:
        first = self._width + 1
        ranges: list[tuple[int, dict[str, str]]] = []
        for column in columns:
            low, high = int(column["min"]), int(column["max"])
            for start, stop in ((low, min(high, first - 1)), (max(low, first + 2), high)):
                if start <= stop:
                    ranges.append((start, column | {"min": str(start), "max": str(stop)}))
        for at, width in ((first, CODE_WIDTH), (first + 1, SENTENCE_WIDTH)):
            own = {"min": str(at), "max": str(at), "width": str(width), "customWidth": "1"}
            ranges.append((at, own))
        inner = "".join(
            f"<{self._prefix}col{''.join(f' {k}={quoteattr(v)}' for k, v in column.items())}/>"
            for _, column in sorted(ranges, key=lambda entry: entry[0])
        )
        return f"<{self._prefix}cols>{inner}</{self._prefix}cols>"

    # Rows.

    def _row_start(self, attributes: dict[str, str]) -> None:
        self._number = int(attributes.get("r", self._number + 1))
        self._column = -1
        self._row = self._marks.get(self._number)
        if self._row is not None:
            self._left = sorted(self._row.cells, reverse=True)
            at = self.parser.CurrentByteIndex
            self._replace(at, at, lambda raw: _SPANS.sub(b"", raw))

    def _cell(self, attributes: dict[str, str]) -> None:
        at = attributes.get("r")
        self._column = column = self._column + 1 if at is None else column_of(at)
        start = self.parser.CurrentByteIndex
        if self._row is not None:
            self._colour_until(self._row, column)
            if self._left and self._left[-1] == column:
                index = self._style(int(attributes.get("s", 0)), self._row.cells[self._left.pop()])
                self._replace(start, start, lambda raw: _restyled(raw, index))
            if column >= self._width + 2:
                self._finish_row(self._row)
        if self._width <= column < self._width + 2:
            self._held = start

    def _cell_end(self) -> None:
        if self._held is not None:
            self._replace(self._held, self.parser.CurrentByteIndex, lambda _: b"")
            self._held = None

    def _row_end(self) -> None:
        if self._row is not None and self._column >= 0:
            self._finish_row(self._row)
        self._row = None

    def _finish_row(self, row: RowMarks) -> None:
        """Adds what is still to be coloured, and the two cells: here, so that columns ascend."""
        self._colour_until(row, self._width)
        style = self._style(0, row.note)
        for offset, text in enumerate(row.notes):
            p, at = self._prefix, get_column_letter(self._width + 1 + offset)
            self._insert(
                f'<{p}c r="{at}{self._number}" s="{style}" t="inlineStr"><{p}is>'
                f'<{p}t xml:space="preserve">{escape(escaped(text))}</{p}t></{p}is></{p}c>'
            )
        self._row = None

    def _colour_until(self, row: RowMarks, column: int) -> None:
        while self._left and self._left[-1] < column:
            position = self._left.pop()
            at, style = get_column_letter(position + 1), self._style(0, row.cells[position])
            self._insert(f'<{self._prefix}c r="{at}{self._number}" s="{style}"/>')


def _restyled(raw: bytes, style: int) -> bytes:
    match = _NAME.match(raw)
    at = match.end() if match else len(raw)
    return raw[:at] + b' s="%d"' % style + _STYLE.sub(b"", raw[at:])

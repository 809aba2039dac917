"""XML of foreign workbooks, piece by piece through expat: no entities, nothing without an end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Final
from xml.parsers import expat

from .rows import MAX_CELL_CHARS, FileRefused

# A tag, comment or instruction in one piece: expat starts each anew with every chunk it is fed.
MAX_TOKEN_BYTES: Final = 1 << 20
CHUNK_BYTES: Final = 64 << 10

_ESCAPE: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")


def new_parser() -> expat.XMLParserType:
    """A parser that refuses a declaration of a document type, hence every entity of its own."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.buffer_size = CHUNK_BYTES

    def refuse(*_: object) -> None:
        raise declared()

    parser.StartDoctypeDeclHandler = refuse
    return parser


def feed(stream: IO[bytes], parser: expat.XMLParserType) -> Iterator[bytes]:
    """Feeds a parser piece by piece; yields each piece after its events."""
    fed = 0
    while chunk := stream.read(CHUNK_BYTES):
        parser.Parse(chunk, False)
        fed += len(chunk)
        if fed - parser.CurrentByteIndex > MAX_TOKEN_BYTES:
            raise damaged("a tag without an end")
        yield chunk
    parser.Parse(b"", True)
    yield b""


def unescaped(text: str) -> str:
    """`_x000D_` and the like are characters (ECMA-376 part 1, 22.9.2.19)."""
    if "_x" not in text:
        return text
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


class CellText:
    """Collects the text of one cell and stops a little past what a cell may hold."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._size = 0

    def add(self, piece: str) -> None:
        if self._size <= MAX_CELL_CHARS:
            self._pieces.append(piece[: MAX_CELL_CHARS + 1])
            self._size += len(piece)

    def take(self) -> str:
        text = "".join(self._pieces)
        self._pieces = []
        self._size = 0
        return text


def damaged(detail: str = "") -> FileRefused:
    return FileRefused(
        "xlsx_broken",
        "The workbook is damaged or cut off; open it in a spreadsheet program and save it anew as "
        f".xlsx.{f' ({detail})' if detail else ''}",
    )


def declared() -> FileRefused:
    return FileRefused(
        "xml_declares_entities",
        "The workbook's XML declares a document type, which no spreadsheet program writes; it was "
        "not read. Save it anew as .xlsx.",
    )

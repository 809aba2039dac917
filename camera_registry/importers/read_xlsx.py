"""XLSX: the first visible sheet with a heading, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .grid import GridRow, no_heading, table
from .rows import FileRefused, SourceTable
from .sheet import SheetParser
from .workbook import Sheet, Workbook, encrypted

ZIP_MAGIC: Final = b"PK\x03\x04"
OLE_MAGIC: Final = bytes.fromhex("d0cf11e0a1b11ae1")
_ENCRYPTED: Final = "EncryptedPackage".encode("utf-16-le")  # [MS-OFFCRYPTO] 2.3.4


def read_xlsx(source: bytes) -> SourceTable:
    """The table in a workbook.

    Raises `FileRefused`, now or while the rows are read: what `Workbook` and `grid.table` raise,
    and `heading_missing`.
    """
    return find(Workbook(source))[1]


def find(workbook: Workbook) -> tuple[Sheet, SourceTable]:
    """The sheet that is read, and the table in it. Raises `FileRefused`: `heading_missing`."""
    for sheet in workbook.sheets:
        if sheet.hidden:
            continue
        found = table(rows(workbook, sheet), "xlsx")
        if found is not None:
            return sheet, found
    raise no_heading()


def rows(workbook: Workbook, sheet: Sheet) -> Iterator[GridRow]:
    """The rows of a sheet that are not empty."""
    parser = SheetParser(workbook.strings, workbook.styles, from_1904=workbook.from_1904)
    for _ in workbook.events(sheet.part, parser.parser):
        yield from parser.take()


def refuse_ole(source: bytes) -> FileRefused:
    """The refusal of an OLE container: a workbook with a password, or one of before 2007."""
    if _ENCRYPTED in source:
        return encrypted()
    return FileRefused(
        "old_xls",
        "The file is an Excel workbook of before 2007 (.xls); save it as .xlsx or as CSV in UTF-8.",
    )

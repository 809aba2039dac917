"""Any file that lists cameras becomes a table; its kind is told by its content."""

from __future__ import annotations

from typing import BinaryIO, Final

from .read_csv import read_csv
from .read_json import looks_like_json, read_json
from .read_xlsx import OLE_MAGIC, ZIP_MAGIC, read_xlsx, refuse_ole
from .rows import FileRefused, SourceTable

# 100,000 rows of 73 filled columns are about 55 MB of CSV. All of it is in memory while it is read.
MAX_FILE_BYTES: Final = 64 << 20
_READ_BYTES: Final = 1 << 20


def open_table(source: BinaryIO | bytes, name: str) -> SourceTable:
    """Open a CSV, XLSX or JSON file; `name` is for sentences only, its suffix is not believed.

    Rows are read while they are iterated; a stream is read whole before, and may be closed then.
    Raises `FileRefused` (`file_too_large`, `file_empty`, and those of the readers), now or while
    the rows are iterated; nothing else, however broken the file.
    """
    content = read_whole(source, name)
    if not content or content.isspace():
        raise FileRefused("file_empty", f"{name} is empty; choose a file that lists cameras.")
    if content.startswith(ZIP_MAGIC):
        return read_xlsx(content)
    if content.startswith(OLE_MAGIC):
        raise refuse_ole(content)
    if looks_like_json(content):
        return read_json(content)
    return read_csv(content)


def read_whole(source: BinaryIO | bytes, name: str) -> bytes:
    """All bytes of a file within MAX_FILE_BYTES. Raises `FileRefused`: `file_too_large`."""
    if isinstance(source, bytes):
        pieces, size = [source], len(source)
    else:
        pieces, size = [], 0
        while size <= MAX_FILE_BYTES and (piece := source.read(_READ_BYTES)):
            pieces.append(piece)
            size += len(piece)
    if size > MAX_FILE_BYTES:
        raise FileRefused(
            "file_too_large",
            f"{name} is larger than {MAX_FILE_BYTES >> 20} MiB; divide it into several files.",
        )
    return b"".join(pieces)

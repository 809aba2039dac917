"""Bytes to text: what a foreign file is written in."""

from __future__ import annotations

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from typing import Final

from ..rows import FileRefused

# How what is no text begins, and what to do about it.
_NO_TEXT: Final = {
    b"\x1f\x8b": "is packed (gzip); unpack it first",
    b"PK\x03\x04": "is packed (zip) or a spreadsheet; unpack it, or import the sheet by a template",
    b"PGDMP": "is pg_dump's custom format; export plain SQL (pg_dump --format=plain)",
    b"SQLite format 3": "is a database, no dump of one; export the cameras as SQL",
}


def decode(data: bytes, name: str) -> str:
    """UTF-8, UTF-16 with its mark (what a Windows shell redirects), or GB18030.

    Raises `FileRefused`.
    """
    for start, what in _NO_TEXT.items():
        if data.startswith(start):
            raise FileRefused("no_text", f"{name} {what}.")
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        encodings = ["utf-16"]
    elif data.startswith(BOM_UTF8):
        encodings = ["utf-8-sig"]
    else:
        encodings = ["utf-8", "gb18030"]
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise FileRefused(
        "encoding_unknown", f"{name} is neither UTF-8 nor GB18030 text; save it as UTF-8."
    )

"""JSON (RFC 8259): a list of objects, taken one by one out of the text."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, Final

from .grid import CONTROL, CONTROL_CHARACTER, TOO_LONG, too_many_columns, too_many_rows
from .rows import (
    MAX_CELL_CHARS,
    MAX_COLUMNS,
    MAX_ROWS,
    CellFault,
    FileRefused,
    SourceRow,
    SourceTable,
)

LISTS: Final = ("cameras", "channels", "rows")
NESTED: Final = CellFault(
    "nested_value", "The value is a list or an object; write it as one text or number."
)
NOT_AN_OBJECT: Final = CellFault(
    "not_an_object", "The entry is not an object; write it as {heading: value, …}."
)
TWICE: Final = CellFault("key_twice", "The entry has a key twice; take one of them out.")
NO_KEY: Final = CellFault(
    "key_unreadable", "The entry has a key that is empty or can't be printed; name it anew."
)
_SPACE: Final = re.compile(r"[ \t\r\n]*")
# Numbers keep the digits they are written with; objects are tuples of pairs, lists are lists.
_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=tuple, parse_int=str, parse_float=str, parse_constant=str
)


def looks_like_json(source: bytes) -> bool:
    """Whether the first character that is no space opens a list or an object."""
    return source[:1024].removeprefix(codecs.BOM_UTF8).lstrip()[:1] in (b"[", b"{")


def read_json(source: bytes) -> SourceTable:
    """The table in `[{heading: value}, …]` or `{"cameras" | "channels" | "rows": [{…}, …]}`.

    The headings are all keys that occur; a row's number is its position, from 1. The file is read
    twice, once for the headings, so that no more than one entry is in memory beside it.

    Raises `FileRefused`: `json_broken`, `json_shape`, `too_many_rows`, `too_many_columns`.
    """
    try:
        text = source.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileRefused(
            "undecodable", "The JSON file is not in UTF-8; save it anew in UTF-8."
        ) from None
    headings: dict[str, None] = {}
    for count, entry in enumerate(_entries(text), 1):
        if count > MAX_ROWS:
            raise too_many_rows()
        headings.update((key, None) for key, _ in _pairs(entry) if key)
        if len(headings) > MAX_COLUMNS:
            raise too_many_columns()
    return SourceTable(tuple(headings), _rows(text), "json", heading_row=0)


def _rows(text: str) -> Iterator[SourceRow]:
    for number, entry in enumerate(_entries(text), 1):
        cells: dict[str, str] = {}
        faults: dict[str, CellFault] = {}
        if not isinstance(entry, tuple):
            faults[""] = NOT_AN_OBJECT
        seen: set[str] = set()
        for key, value in _pairs(entry):
            if key in seen:
                faults[""] = TWICE
            elif not key:
                faults[""] = NO_KEY
            elif isinstance(found := _cell(value), CellFault):
                faults[key] = found
            elif found:
                cells[key] = found
            seen.add(key)
        if cells or faults:
            yield SourceRow(number, cells, faults)


def _pairs(entry: Any) -> Iterator[tuple[str, Any]]:
    """The keys of an entry, trimmed, with their values; "" for a key that is no heading."""
    for key, value in entry if isinstance(entry, tuple) else ():
        unusable = len(key) > MAX_CELL_CHARS or CONTROL.search(key)
        yield "" if unusable else key.strip(), value


def _cell(value: Any) -> str | CellFault:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return NESTED
    if len(value) > MAX_CELL_CHARS:
        return TOO_LONG
    return CONTROL_CHARACTER if CONTROL.search(value) else value.strip()


def _entries(text: str) -> Iterator[Any]:
    cursor = _Cursor(text)
    try:
        yield from cursor.members() if cursor.next() == "{" else cursor.entries()
        if cursor.next():
            raise cursor.broken()
    except json.JSONDecodeError as error:
        raise FileRefused(
            "json_broken",
            f"The file is not JSON at line {error.lineno}, column {error.colno}; it may be cut off "
            "there.",
        ) from None
    except (RecursionError, ValueError):
        raise FileRefused(
            "json_broken", "The file's values are nested too deeply; write one text or number each."
        ) from None


class _Cursor:
    """A place in the text. Its methods raise `json.JSONDecodeError`."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def next(self) -> str:
        """The next character that is no space, "" at the end."""
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._text[self._at : self._at + 1]

    def broken(self) -> json.JSONDecodeError:
        return json.JSONDecodeError("", self._text, self._at)

    def entries(self) -> Iterator[Any]:
        """The entries of a list, one by one."""
        self._take("[")
        if self.next() == "]":
            return self._take("]")
        while True:
            yield self._value()
            if self.next() != ",":
                return self._take("]")
            self._take(",")

    def members(self) -> Iterator[Any]:
        """The entries of the one list that an object holds under a name we know."""
        found = False
        self._take("{")
        while self.next() != "}":
            key = self._value()
            self._take(":")
            if key in LISTS and self.next() == "[":
                if found:
                    raise _shape()
                found = True
                yield from self.entries()
            else:
                self._value()
            if self.next() != ",":
                break
            self._take(",")
        self._take("}")
        if not found:
            raise _shape()

    def _value(self) -> Any:
        self.next()
        value, self._at = _DECODER.raw_decode(self._text, self._at)
        return value

    def _take(self, char: str) -> None:
        if self.next() != char:
            raise self.broken()
        self._at += 1


def _shape() -> FileRefused:
    return FileRefused(
        "json_shape",
        "The file has to be a list of objects, or an object with one such list under "
        f"{', '.join(LISTS[:-1])} or {LISTS[-1]}.",
    )

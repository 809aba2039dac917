"""Fields, their sections and code tables, read once from the YAML files of the same names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

import yaml

DEFAULT_MAX_CHARS: Final = 100

Kind = Literal[
    "text",
    "gb_code",
    "area",
    "choice",
    "choices",
    "rtsp_url",
    "secret",
    "longitude",
    "latitude",
    "boolean",
    "ipv4",
    "ipv6",
    "mac",
    "integer",
    "decimal",
    "date",
]
Holder = Literal["channel", "device", "facts"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a camera; `low`, `high` and `wanted` are of numbers."""

    key: str
    zh: str
    en: str
    kind: Kind = "text"
    of: Holder = "facts"
    table: str | None = None
    max_chars: int = DEFAULT_MAX_CHARS
    low: int = 0
    high: int = 0
    wanted: int | None = None  # less is taken with a warning
    future: bool = False  # a date that may lie ahead


@dataclass(frozen=True, slots=True)
class Choice:
    """A code of a table and its labels."""

    code: str
    zh: str
    en: str


Table = Mapping[str, Choice]


@dataclass(frozen=True, slots=True)
class Section:
    """Fields that are shown together, by key and in the order of the full form."""

    key: str
    zh: str
    en: str
    fields: tuple[str, ...]


def data(name: str) -> Any:
    """A YAML file of this package."""
    return yaml.safe_load(text_of(name))


def text_of(name: str) -> str:
    """A text file of this package."""
    return (files(__package__) / name).read_text(encoding="utf-8")


@cache
def fields() -> Mapping[str, Field]:
    """All fields by key, in the order of the full form."""
    rows = data("fields.yaml")
    return {row["key"]: Field(**row) for row in rows}


@cache
def tables() -> Mapping[str, Table]:
    """All code tables by name."""
    return {
        name: {code: Choice(code, *labels) for code, labels in rows.items()}
        for name, rows in data("tables.yaml").items()
    }


@cache
def sections() -> Mapping[str, Section]:
    """All sections by key, in order; every field is in one."""
    keys = list(fields())
    rows = data("sections.yaml")
    starts = [keys.index(row["first"]) for row in rows]
    return {
        row["key"]: Section(row["key"], row["zh"], row["en"], tuple(keys[start:end]))
        for row, start, end in zip(rows, starts, [*starts[1:], len(keys)], strict=True)
    }

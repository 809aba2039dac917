"""Cells that choose from a code table, and yes or no."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from ..errors import ValidationFailed
from .fields import Field, Table
from .texts import fault, fold, narrow, shown

JOINT: Final = "/"  # between several codes (GA/T 1400)
LISTED_CHARS: Final = 300  # of choices in a sentence; a longer list is read in the table

# Labels of tables, of which the shipped ones have 200; cells are not kept.
_folded = lru_cache(maxsize=4_096)(fold)
_JOINTS = re.compile(r"[/,;、|]")  # after NFKC, which makes the full-width ones these
_TRUE: Final = frozenset({"true", "yes", "y", "1", "on", "是", "启用"})
_FALSE: Final = frozenset({"false", "no", "n", "0", "off", "否", "停用"})


def choice(field: Field, raw: str, tables: Mapping[str, Table]) -> str:
    """The code that a cell means: by the code, or either label.

    Raises `unknown_value` or `choice_ambiguous`.
    """
    table = tables[field.table] if field.table else {}
    codes = _matches(table, narrow(raw).casefold())
    if len(codes) == 1:
        return codes[0]
    if codes:
        raise fault(
            field,
            "choice_ambiguous",
            f"{shown(raw)} is the name of several codes; write one of: {', '.join(codes)}.",
        )
    raise _unknown(field, raw, table)


def choices(field: Field, raw: str, tables: Mapping[str, Table]) -> str:
    """Several codes, joined by "/", each once and in the table's order.

    Raises `unknown_value` or `choice_ambiguous` of the first that is wrong.
    """
    table = tables[field.table] if field.table else {}
    try:
        return choice(field, raw, tables)  # a label may hold a joint itself
    except ValidationFailed as whole:
        parts = [part for part in _JOINTS.split(narrow(raw)) if part.strip()]
        if len(parts) < 2:
            raise whole if parts else _unknown(field, raw, table) from None
    found = {choice(field, part, tables) for part in parts}
    return JOINT.join(code for code in table if code in found)


def boolean(field: Field, raw: str, tables: Mapping[str, Table]) -> str:
    """`true` or `false`. Raises `boolean_malformed`."""
    word = narrow(raw).casefold()
    if word in _TRUE:
        return "true"
    if word in _FALSE:
        return "false"
    raise fault(field, "boolean_malformed", f"{shown(raw)} is neither; write 是 or 否, yes or no.")


def _matches(table: Table, word: str) -> list[str]:
    for code in table:
        if code.casefold() == word:
            return [code]
    plain = word.lstrip("0") or "0"
    if word.isdecimal() and plain in table:
        return [plain]  # 01 of GB/T 28181 is the forms' 1
    if not any(character.isalpha() for character in word):
        return []  # 1.5 is not 15
    label = fold(word)
    return [code for code, row in table.items() if label in (_folded(row.zh), _folded(row.en))]


def _unknown(field: Field, raw: str, table: Table) -> ValidationFailed:
    known = [f"{c.code} {c.zh}" if c.zh != c.code else c.code for c in table.values()]
    listed = ", ".join(known) + "."
    if len(listed) > LISTED_CHARS:
        listed = listed[:LISTED_CHARS].rpartition(", ")[0] + " …"
    return fault(field, "unknown_value", f"{shown(raw)} is not known here; write one of: {listed}")

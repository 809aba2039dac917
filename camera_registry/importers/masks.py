"""Passwords of a file that is handed out again: a mark stands where one was, and is known as one
when the file comes back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from .. import validation
from ..errors import ValidationFailed
from . import texts
from .grid import GridRow
from .templates import Template, same
from .texts import MARK

# Other programs' exports have more of them, or dots. No password is made of these alone.
_MARK: Final = re.compile(r"[*•●]{3,}")
# Without one of these a text is neither a URL nor does it name a password.
_MAY_HOLD: Final = re.compile("[@:=：]")


def is_mark(text: str) -> bool:
    """Whether a cell for a password only says that there was one."""
    return _MARK.fullmatch(text.strip()) is not None


def secret_headings(template: Template) -> dict[str, bool]:
    """By `templates.same`: headings below which this form has passwords (True), or addresses with
    passwords in them (False)."""
    return {
        same(heading): column.field.kind == "secret"
        for column in template.columns
        if column.field is not None and column.field.kind in ("secret", "rtsp_url")
        for heading in column.headings
    }


class Mask:
    """Of one sheet. `secret` is what `secret_headings` says; headings that sound so are, too."""

    def __init__(
        self, positions: Mapping[str, int], secret: Mapping[str, bool], heading_row: int
    ) -> None:
        """`positions` of the headings, from 0; `heading_row`: the number of the row they are in."""
        self._heading_row = heading_row
        self._known = secret
        self._columns = {
            at
            for heading, at in positions.items()
            if secret.get(same(heading)) or texts.secret_heading(heading)
        }
        self._watched = self._columns | {
            at for heading, at in positions.items() if same(heading) in secret
        }

    def hides(self, row: GridRow) -> bool:
        """Whether it is not to be handed out as it is. What a cell holds that has a fault, such as
        a formula, is not in its text."""
        return not self._watched.isdisjoint(row.faults) or self.row(row) != list(row.cells)

    def row(self, row: GridRow) -> list[str]:
        """A row as it may be handed out."""
        if row.number == self._heading_row:
            # Of a file without headings it is a camera. What the form itself says hides nothing.
            return [text if same(text) in self._known else masked(text) for text in row.cells]
        return [
            (MARK if text.strip() else text) if at in self._columns else masked(text)
            for at, text in enumerate(row.cells)
        ]


def masked(text: str) -> str:
    """A text without its password. Of an address that can be read the rest stays."""
    if _MAY_HOLD.search(text) is None:
        return text
    try:
        url = validation.without_password("", validation.rtsp_url("", text))
    except ValidationFailed:
        # What is no address of ours may be one with a password that has an @ or a / in it.
        return MARK if texts.seems_secret(text) or _userinfo(text) or _within(text) else text
    if url.password is None or is_mark(url.password.reveal()):
        return text
    before, _, host = text.rpartition("@")
    return f"{before[: before.index(':', before.index('://') + 3)]}:{MARK}@{host}"


def _userinfo(text: str) -> bool:
    return "://" in text and "@" in text


def _within(text: str) -> bool:
    return validation.PASSWORD_WITHIN.search(text) is not None

"""Cells as people and spreadsheets write them: widths, invisible characters, stray spaces."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from ..errors import ValidationFailed
from .fields import Field, Table

MARK: Final = "***"  # stands where a password was, in a file that is handed out again
SHOWN_CHARS: Final = 40  # of a cell, in a sentence about it

# Left by copying out of a dialog, a web page or a byte order mark; nobody writes them on purpose.
_INVISIBLE = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_LINE_BREAKS = re.compile("[ ]*[\t-\r\x85\u2028\u2029]\\s*")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SEPARATORS = re.compile(r"[\s._-]+")


# A heading that announces a password, and a text that has one beside a user, in a URL or by name.
# Short ones are words by themselves, or behind whose it is: bypass, overpass and upward are none.
_SECRET_HEADING = re.compile(
    r"密码|口令|passw|pwd|secret|token|credential"
    r"|(?:(?<![a-z])|user|login|admin|device|rtsp|onvif)(?:pass|psw|pw)(?![a-z])",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(
    r"[^\s/:@]+:(?!//)[^\s@]+@[\w.\[]|://[^\s/:@]+:[^\s@]*@|://[^\s/@]+@"
    r"|(?:密码|口令|password|passwd|pwd)\s*[=:：]\s*\S",
    re.IGNORECASE,
)


def secret_heading(heading: str) -> bool:
    """Whether the cells below it are likely to be passwords."""
    return _SECRET_HEADING.search(heading) is not None


def seems_secret(text: str) -> bool:
    """Whether a free text seems to hold a password, which nobody would seal there; or held one."""
    return text == MARK or _SECRET_TEXT.search(text) is not None


def fault(field: Field, code: str, sentence: str) -> ValidationFailed:
    """What is wrong with a cell of this field."""
    return ValidationFailed(field.key, code, sentence)


def shown(text: str) -> str:
    """A cell's text for a sentence; not where it may be a URL or a password in a wrong column."""
    if "@" in text or "://" in text:
        return "This"
    return repr(text[:SHOWN_CHARS]) if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]!r}…"


def unprintable(text: str) -> bool:
    """Whether it holds control characters, or halves of a pair that no file can be written with."""
    return _CONTROL.search(text) is not None


def visible(text: str) -> str:
    """Without invisible characters and surrounding space."""
    return (text if text.isascii() else _INVISIBLE.sub("", text)).strip()


def narrow(text: str) -> str:
    """`visible`, with full-width letters, digits and marks as ASCII (Unicode NFKC)."""
    text = visible(text)
    return text if text.isascii() else unicodedata.normalize("NFKC", text).strip()


def fold(text: str) -> str:
    """What is left of a word to compare: no width, case, space, dot, hyphen or underscore."""
    return _SEPARATORS.sub("", narrow(text).casefold())


def text(field: Field, raw: str, tables: Mapping[str, Table]) -> str:
    """Free text in one line. Raises `text_unprintable`, `secret_in_text` or `text_too_long`."""
    if raw.isascii() and raw.isprintable():
        clean = raw.strip()
    else:
        clean = _LINE_BREAKS.sub(" ", _INVISIBLE.sub("", raw)).strip()
        if unprintable(clean):
            raise fault(
                field, "text_unprintable", "The cell holds control characters; write it anew."
            )
    if seems_secret(clean):
        raise fault(
            field,
            "secret_in_text",
            "The cell seems to hold a password, which would be kept in the clear; use the columns "
            "for URLs, user names and passwords.",
        )
    if len(clean) > field.max_chars:
        raise fault(
            field,
            "text_too_long",
            f"The cell has {len(clean)} characters; at most {field.max_chars} are kept.",
        )
    return clean


def secret(field: Field, raw: str, tables: Mapping[str, Table]) -> str:
    """A password as it is, spaces included. Raises `secret_unprintable` or `secret_too_long`."""
    if unprintable(raw):
        raise fault(
            field, "secret_unprintable", "The cell holds control characters; write it anew."
        )
    if len(raw) > field.max_chars:
        raise fault(
            field, "secret_too_long", f"It is longer than {field.max_chars} characters; shorten it."
        )
    return raw

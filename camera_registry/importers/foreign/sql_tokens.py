"""The words of an SQL dump, one by one: strings decoded by their dialect, comments left out.

MySQL escapes by backslash in every string, PostgreSQL in E'' alone; H2 writes U&'' (SQL:2003).
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple, NoReturn

from ..rows import MAX_CELL_CHARS, FileRefused

_MYSQL = re.compile(r"^-- (?:MySQL|MariaDB) dump|`|\bENGINE ?=", re.MULTILINE)
_POSTGRES = re.compile(r"^-- PostgreSQL database", re.MULTILINE)
_HEAD_CHARS: Final = 65_536  # within which a dump shows its dialect

_ESCAPED: Final = r"'(?:[^'\\]++|\\.|'')*+'"
_PLAIN: Final = r"'(?:[^']++|'')*+'"
_COMMENT: Final = r"--[^\n]*+ | /\*.*?\*/"
_NAME: Final = r"\"[^\"\n]*+\" | `[^`\n]*+`"
_WORD: Final = r"\d[\w.]*+ | \w++"
# What begins something that has to end; met alone, it does not.
_OPEN: Final = r"['\"`] | /\*"
_OPEN_BLOCK: Final = r" | \$\w*\$"
# Most values: NULL, a number, a string in which no dialect has anything to decode.
_SIMPLE = re.compile(
    r"\s*+(?:NULL|(?P<number>-?[0-9]++(?:\.[0-9]++)?+)|'(?P<string>[^'\\]*+)')\s*+(?P<after>[,)])"
)
_ESCAPES: Final = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "f": "\f", "Z": "\x1a"}

Kind = Literal["string", "name", "word", "mark", "end"]


class Token(NamedTuple):
    """A string decoded, a quoted name without its quotes, a word, or one mark."""

    kind: Kind
    text: str


END: Final = Token("end", "")


class Tokens:
    """A cursor over a dump. `next()` raises `FileRefused` at a quote that is not closed."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0  # in characters
        head = text[:_HEAD_CHARS]
        self._mysql = bool(_MYSQL.search(head)) and not _POSTGRES.search(head)
        string = f"[Ee]{_ESCAPED} | (?:[NnXxBb]|[Uu]&)?+{_ESCAPED if self._mysql else _PLAIN}"
        # To the end of its line; in PostgreSQL a function's body: $$ … $$, $tag$ … $tag$.
        other = r"\#[^\n]*+" if self._mysql else r"\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"
        opens = _OPEN if self._mysql else _OPEN + _OPEN_BLOCK
        blank = rf"\s++ | {_COMMENT} | {other}"
        flags = re.VERBOSE | re.DOTALL
        self._match = re.compile(
            rf"(?P<blank>{blank}) | (?P<string>{string}) | (?P<name>{_NAME}) | (?P<word>{_WORD})"
            rf" | (?P<open>{opens}) | (?P<mark>.)",
            flags,
        ).match
        # The same words at once, for what nobody reads: ten times as fast.
        self._rest = re.compile(
            rf"(?:{blank} | {string} | {_NAME} | {_WORD} | (?!{opens})[^;])*+(?P<end>;|\Z)?", flags
        ).match
        self._line, self._counted = 1, 0

    @property
    def line(self) -> int:
        """The line of the cursor: 1, 2, …"""
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line

    def next(self) -> Token:
        while match := self._match(self.text, self.at):
            self.at = match.end()
            kind = match.lastgroup
            if kind == "word":
                return Token("word", match[0])
            if kind == "open":
                self._not_closed()
            if kind == "mark":
                return Token("mark", match[0])
            if kind == "string":
                return Token("string", self._string(match[0]))
            if kind == "name":
                return Token("name", match[0][1:-1])
        return END

    def simple_value(self) -> tuple[str | None, str] | None:
        """A plain value and the comma or parenthesis behind it; None, not moving, for another."""
        match = _SIMPLE.match(self.text, self.at)
        if match is None:
            return None
        self.at = match.end()
        return match["number"] or match["string"], match["after"]

    def skip_statement(self) -> None:
        """To the statement's end and past its semicolon."""
        match = self._rest(self.text, self.at)
        self.at = match.end() if match else len(self.text)
        if match and match["end"] is None:
            self._not_closed()

    def skip_line(self) -> str:
        """The rest of the line, and past its end."""
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        line, self.at = self.text[self.at : end], min(end + 1, len(self.text))
        return line

    def _not_closed(self) -> NoReturn:
        raise FileRefused(
            "sql_malformed",
            f"Line {self.line}: a quote or comment is not closed; the dump is cut off or was "
            "changed. Export it again.",
        )

    def _string(self, literal: str) -> str:
        quote = literal.index("'")
        prefix = literal[:quote].upper()
        # No field of a camera is that long; what is cut here fails its own check.
        body = literal[quote + 1 : -1][: 2 * MAX_CELL_CHARS].replace("''", "'")
        if prefix == "E" or (self._mysql and prefix in ("", "N")):
            return unescape(body)
        return _unicode(body) if prefix == "U&" else body


def unescape(text: str) -> str:
    r"""Backslash escapes of MySQL and of E'': a letter that means nothing stands for itself."""
    if "\\" not in text:
        return text
    return re.sub(
        r"\\(u[0-9A-Fa-f]{4}|.)",
        lambda m: chr(int(m[1][1:], 16)) if len(m[1]) == 5 else _ESCAPES.get(m[1], m[1]),
        text,
        flags=re.DOTALL,
    )


def _unicode(text: str) -> str:
    def char(match: re.Match[str]) -> str:
        if match[0] == "\\\\":
            return "\\"
        point = int(match[1] or match[2], 16)
        return chr(point) if point <= 0x10FFFF else "\N{REPLACEMENT CHARACTER}"

    return re.sub(r"\\(?:\\|\+([0-9A-Fa-f]{6})|([0-9A-Fa-f]{4}))", char, text)

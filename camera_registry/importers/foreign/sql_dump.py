"""The rows of chosen tables in an SQL dump: INSERT and COPY, read and never run.

Takes what mysqldump, pg_dump (with and without --inserts) and H2's SCRIPT write. Every other
statement is stepped over.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, NoReturn

from ..rows import MAX_CELL_CHARS, MAX_COLUMNS, FileRefused
from .sql_tokens import Token, Tokens, unescape

# 100,000 channels with all their columns are 60 MB.
MAX_DUMP_BYTES: Final = 128 << 20
# CREATE CACHED LOCAL TEMPORARY TABLE, INSERT IGNORE INTO: words before the one that counts.
_MAX_WORDS_BEFORE: Final = 4
_MAX_PARTS: Final = 64  # words of one value: a cast around a call around a string has ten
# What begins an entry of CREATE TABLE that is no column.
_NO_COLUMN: Final = frozenset(
    ("primary", "unique", "key", "index", "constraint", "fulltext", "spatial", "check", "foreign")
)
_INSERT = re.compile(r"\b(?:INSERT\s+INTO|COPY)\s+(?P<table>[\w.\"`]{1,300})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class DumpRow:
    """One row: texts by column in lower case; NULL is left out."""

    table: str  # in lower case, without its schema
    values: dict[str, str]


def rows(text: str, tables: Collection[str]) -> Iterator[DumpRow]:
    """The rows of `tables` in the order of the file.

    Raises `FileRefused`, also further down: a quote or row that does not end, a row that does not
    fit its columns, columns that the dump does not name.
    """
    return _Dump(text, tables).rows()


def mentions(head: str, tables: Collection[str]) -> bool:
    """Whether rows of one of the tables seem to be in this piece of a file."""
    return any(
        re.sub(r"[\"`]", "", match["table"]).rpartition(".")[2].lower() in tables
        for match in _INSERT.finditer(head)
    )


class _Dump:
    def __init__(self, text: str, tables: Collection[str]) -> None:
        self._tokens = Tokens(text)
        self._wanted = tables
        self._columns: dict[str, list[str]] = {}  # of CREATE TABLE

    def rows(self) -> Iterator[DumpRow]:
        while (token := self._tokens.next()).kind != "end":
            match token.text.upper() if token.kind == "word" else token.text:
                case "CREATE":
                    if self._reach("TABLE"):
                        self._create()
                case "INSERT" | "REPLACE":
                    if self._reach("INTO"):
                        yield from self._insert()
                case "COPY":
                    yield from self._copy()
                case "\\":  # a command of psql: no statement, it ends with its line
                    self._tokens.skip_line()
                case ";":
                    continue
                case _:
                    self._tokens.skip_statement()

    def _reach(self, word: str) -> bool:
        """Goes past the word; when it is not among the next few, only past the statement's end."""
        for _ in range(_MAX_WORDS_BEFORE):
            start, token = self._tokens.at, self._tokens.next()
            if token.kind != "word":
                self._tokens.at = start
                break
            if token.text.upper() == word:
                return True
        self._tokens.skip_statement()
        return False

    def _table(self) -> tuple[str, Token]:
        """A table's name, without its schema, and the token behind it."""
        name = ""
        token = self._tokens.next()
        if token.text.upper() == "IF":  # NOT EXISTS
            for _ in range(3):
                token = self._tokens.next()
        while token.kind in ("word", "name"):
            name = token.text.lower()
            token = self._tokens.next()
            if token.text != ".":
                break
            token = self._tokens.next()
        return name, token

    def _create(self) -> None:
        table, token = self._table()
        if table not in self._wanted or token.text != "(":
            self._tokens.skip_statement()
            return
        columns: list[str] = []
        depth, first = 1, True
        while depth and (token := self._tokens.next()).kind != "end":
            if first and token.kind in ("word", "name"):
                if token.kind == "name" or token.text.lower() not in _NO_COLUMN:
                    columns.append(token.text.lower())
                    if len(columns) > MAX_COLUMNS:
                        self._bad(f"the table {table} has more than {MAX_COLUMNS} columns")
                first = False
            elif token.kind == "mark":
                depth += {"(": 1, ")": -1}.get(token.text, 0)
                first = depth == 1 and token.text == ","
        self._columns[table] = columns
        self._tokens.skip_statement()

    def _names(self) -> list[str]:
        """A list of columns, its parenthesis open already."""
        names: list[str] = []
        while (token := self._tokens.next()).text != ")":
            if token.kind in ("word", "name"):
                names.append(token.text.lower())
            elif token.kind == "end" or len(names) > MAX_COLUMNS:
                self._bad("a list of columns does not end")
        return names

    def _insert(self) -> Iterator[DumpRow]:
        table, token = self._table()
        if table not in self._wanted:
            self._tokens.skip_statement()
            return
        columns = self._columns.get(table)
        if token.text == "(":
            columns, token = self._names(), self._tokens.next()
        while token.kind == "word" and token.text.upper() != "VALUES":  # OVERRIDING … VALUE
            token = self._tokens.next()
        if token.text.upper() != "VALUES":
            self._bad(f"no values follow INSERT INTO {table}")
        if columns is None:
            self._unknown(table)
        while True:
            if self._tokens.next().text != "(":
                self._bad("a row of values does not begin with a parenthesis")
            yield DumpRow(table, self._named(columns, self._row()))
            token = self._tokens.next()
            if token.text != ",":
                break
        if token.text != ";" and token.kind != "end":
            self._tokens.skip_statement()  # ON CONFLICT …

    def _row(self) -> list[str | None]:
        """The values of a row, its parenthesis open already."""
        values: list[str | None] = []
        parts: list[Token] = []
        depth = 0
        while True:
            if not parts and (simple := self._tokens.simple_value()):
                values.append(simple[0])
                if simple[1] == ")":
                    return values
                if len(values) > MAX_COLUMNS:
                    break
                continue
            token = self._tokens.next()
            if token.kind == "end":
                break
            if token.kind == "mark":
                if token.text == "(":
                    depth += 1
                elif token.text == ")":
                    depth -= 1
                if depth < 0 or (depth == 0 and token.text == ","):
                    values.append(_value(parts))
                    parts = []
                    if depth < 0:
                        return values
                    if len(values) > MAX_COLUMNS:
                        break
                    continue
            parts.append(token)
            if len(parts) > _MAX_PARTS:
                break
        self._bad("a row of values does not end")

    def _copy(self) -> Iterator[DumpRow]:
        """COPY … FROM stdin: lines of tabs, `\\N` for NULL (PostgreSQL, COPY, text format)."""
        table, token = self._table()
        columns = self._names() if token.text == "(" else self._columns.get(table)
        token = self._tokens.next() if token.text == "(" else token
        if token.text.upper() != "FROM" or self._tokens.next().text.upper() != "STDIN":
            self._tokens.skip_statement()
            return
        self._tokens.skip_statement()
        self._tokens.skip_line()
        while self._tokens.at < len(self._tokens.text):
            line = self._tokens.skip_line().removesuffix("\r")
            if line == "\\.":
                return
            if table not in self._wanted:
                continue
            if columns is None:
                self._unknown(table)
            cells = line.split("\t", MAX_COLUMNS)
            yield DumpRow(
                table,
                self._named(columns, [None if c == "\\N" else unescape(c) for c in cells]),
            )
        self._bad("the rows of a COPY do not end")

    def _named(self, columns: list[str], values: list[str | None]) -> dict[str, str]:
        if len(columns) != len(values):
            self._bad(f"a row has {len(values)} values for {len(columns)} columns")
        return {
            column: value[:MAX_CELL_CHARS]
            for column, value in zip(columns, values, strict=True)
            if value is not None
        }

    def _bad(self, what: str) -> NoReturn:
        raise FileRefused(
            "sql_malformed", f"Line {self._tokens.line}: {what}. Export the dump again."
        )

    def _unknown(self, table: str) -> NoReturn:
        raise FileRefused(
            "columns_unknown",
            f"Line {self._tokens.line}: the dump does not name the columns of {table}; export its "
            "structure too, or with mysqldump --complete-insert, pg_dump --column-inserts.",
        )


def _value(parts: list[Token]) -> str | None:
    """One value: a string within it counts, whatever cast or function stands around."""
    for token in parts:
        if token.kind == "string":
            decoded = parts[0].text.upper() == "STRINGDECODE"  # H2 1.x
            return unescape(token.text) if decoded else token.text
    word = "".join(token.text for token in parts)
    return None if word.upper() in ("NULL", "DEFAULT") else word

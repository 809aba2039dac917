"""Templates: which column of a form is which field. Data, so that a site brings its own."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, get_args

import yaml

from ..errors import RegistryError
from .fields import Choice, Field, Kind, Table, fields, tables, text_of
from .rows import (
    MAX_CELL_CHARS,
    UNKNOWN_PREFIX,
    CameraRow,
    CellFault,
    FileRefused,
    Finding,
    SourceRow,
)
from .texts import secret_heading

SHIPPED: Final = ("archive-27", "archive-73", "full")
SUFFIX: Final = ".yaml"
# A template is some hundred lines; a thousand times that is something else.
MAX_TEMPLATE_BYTES: Final = 1 << 20
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_COLUMN_KEYS: Final = frozenset(
    {"field", "zh", "en", "aliases", "required", "wanted", "counter", "kind", "table", "values"}
)


class TemplateInvalid(RegistryError):
    """A template file that can't be used; the sentence says where."""

    code = "template_invalid"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a form. `field` is None for the running number."""

    field: Field | None
    zh: str
    en: str
    aliases: tuple[str, ...] = ()
    required: bool = False  # a row without it is refused
    wanted: bool = False  # a row without it is taken with a warning
    values: Mapping[str, str] | None = None  # what the form writes -> what the field holds

    @property
    def headings(self) -> tuple[str, ...]:
        return self.zh, self.en, *self.aliases


@dataclass(frozen=True, slots=True)
class Template:
    """A form as data."""

    name: str
    zh: str
    en: str
    columns: tuple[Column, ...]
    tables: Mapping[str, Table]
    every_field: bool = False

    def with_others(self, keys: Iterable[str]) -> Template:
        """The same form with a column more for each of these facts that no field holds
        (`other.…`), headed by its key: so it reads back as the same fact."""
        own = {column.field.key for column in self.columns if column.field is not None}
        more = (
            Column(replace(_other(key), zh=key, en=key), key, key) for key in keys if key not in own
        )
        return replace(self, columns=(*self.columns, *more))

    def optional(self, key: str) -> Template:
        """The same form, which does without the field."""
        columns = tuple(
            replace(column, required=False, wanted=False)
            if column.field is not None and column.field.key == key
            else column
            for column in self.columns
        )
        return replace(self, columns=columns)

    def bind(self, headings: Sequence[str]) -> Binding:
        """Match a file's headings with the columns.

        Raises `FileRefused`: a required column is missing, or two headings mean one column.
        """
        known = {same(heading): column for column in self.columns for heading in column.headings}
        bound: dict[str, Column] = {}
        taken: dict[str, str] = {}  # a column, by its Chinese heading -> heading of the file
        for heading in headings:
            column = known.get(same(heading))
            if column is None:
                continue
            if column.zh in taken:
                raise FileRefused(
                    "column_twice",
                    f"The columns {taken[column.zh]!r} and {heading!r} are the same one in the "
                    f"template {self.name}; take one out.",
                )
            taken[column.zh] = heading
            bound[heading] = column
        for heading in headings:
            plain = heading.removeprefix(UNKNOWN_PREFIX)
            if plain != heading and plain in headings and known.get(same(plain)) is None:
                raise FileRefused(
                    "column_twice",
                    f"The columns {plain!r} and {heading!r} are kept as the same fact; take one "
                    "out.",
                )
        missing = [c for c in self.columns if c.required and c.zh not in taken]
        if missing:
            names = ", ".join(f"{column.zh} ({column.en})" for column in missing)
            raise FileRefused(
                "column_missing",
                f"The file lacks columns that the template {self.name} requires: {names}. The "
                "first row must hold the headings; or choose another template.",
            )
        return Binding(self, bound)


@dataclass(frozen=True, slots=True)
class Binding:
    """A template laid over one file's headings."""

    template: Template
    columns: Mapping[str, Column]  # by heading as written

    def camera(self, source: SourceRow) -> CameraRow:
        """The row in our words. Cells of no column are kept as unknown."""
        row = CameraRow(source.number)
        for heading, column in self.columns.items():
            if column.field is not None:
                row.columns[column.field.key] = heading
        for heading, text in source.cells.items():
            column_of = self.columns.get(heading)
            if column_of is None:
                row.unknown[heading] = text
            elif column_of.field is not None:
                values = column_of.values
                row.values[column_of.field.key] = values.get(text, text) if values else text
        for heading, fault in source.faults.items():
            column_of = self.columns.get(heading)
            if not heading:
                row.faults.append(Finding(source.number, "", fault.code, fault.sentence))
            elif column_of is not None and column_of.field is not None:
                row.faults.append(_finding(source.number, heading, column_of.field, fault))
        for column in self.columns.values():
            self._ask(row, column)
        return row

    def _ask(self, row: CameraRow, column: Column) -> None:
        field = column.field
        if field is None or field.key in row.values or not (column.required or column.wanted):
            return
        if any(fault.field == field.key for fault in row.faults):
            return
        heading = row.columns[field.key]
        row.faults.append(
            Finding(
                row.number,
                heading,
                "required" if column.required else "wanted",
                f"{heading} is empty; the form requires it.",
                "error" if column.required else "warning",
                field.key,
            )
        )


def _finding(number: int, heading: str, field: Field, fault: CellFault) -> Finding:
    return Finding(number, heading, fault.code, fault.sentence, "error", field.key)


def same(heading: str) -> str:
    """What is left of a heading to compare: no width, case, space, asterisk or "(required)"."""
    text = unicodedata.normalize("NFKC", heading).casefold()
    text = re.sub(r"\((?:必填|required)\)", "", text)
    return re.sub(r"[\s*_]+", "", text)


@cache
def shipped(name: str) -> Template:
    """A template of this package."""
    return parse(name, _words(text_of(f"templates/{name}{SUFFIX}")))


def find(name: str, site_dir: Path | None = None) -> Template:
    """A template by name: the site's own before a shipped one. Raises `TemplateInvalid`."""
    if not _NAME.fullmatch(name):
        raise TemplateInvalid(f"{name[:40]!r} is no template's name; names are like archive-27.")
    own = site_dir / f"{name}{SUFFIX}" if site_dir is not None else None
    if own is not None and own.is_file():
        return read(own)
    if name in SHIPPED:
        return shipped(name)
    known = ", ".join(template.name for template in every(site_dir))
    raise TemplateInvalid(f"There is no template {name}; there are: {known}.")


def every(site_dir: Path | None = None) -> list[Template]:
    """Every template that can be named: shipped ones first, those of the site by name.

    Files of the site that can't be used are left out; `find` says why.
    """
    found = {name: shipped(name) for name in SHIPPED}
    for path in sorted(site_dir.glob(f"*{SUFFIX}")) if site_dir is not None else ():
        try:
            found[path.stem] = read(path)
        except TemplateInvalid:
            continue
    return list(found.values())


def read(path: Path) -> Template:
    """A site's own template file. Raises `TemplateInvalid`."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_TEMPLATE_BYTES + 1)
        if len(text) > MAX_TEMPLATE_BYTES:
            raise TemplateInvalid(f"{path.name} is longer than {MAX_TEMPLATE_BYTES} bytes.")
        content = _words(text)
    except OSError as error:
        raise TemplateInvalid(f"{path.name} can't be read ({error.strerror}).") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise TemplateInvalid(f"{path.name} is not YAML{where}.") from None
    return parse(path.stem, content)


def _words(text: str | bytes) -> Any:
    # Every scalar is the word that is written: the heading `No` is not false, the code 01 not 1.
    return yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506  (builds only str, list and dict)


def parse(name: str, content: Any) -> Template:
    """A template from its data, in which every scalar is a string.

    Raises `TemplateInvalid` with the column at fault.
    """

    def bad(sentence: str) -> TemplateInvalid:
        return TemplateInvalid(f"Template {name}: {sentence}")

    if not isinstance(content, dict):
        raise bad("it has to be a mapping with title and columns.")
    own_tables = {} if not content.get("tables") else _tables(content["tables"], bad)
    all_tables = {**tables(), **own_tables}
    title = content.get("title") or {}
    if not isinstance(title, dict):
        raise bad("title has to be {zh: …, en: …}.")
    every_field = content.get("every_field") == "true"
    if every_field:
        required = content.get("required") or []
        columns = [
            Column(field, field.zh, field.en, required=field.key in required)
            for field in fields().values()
        ]
    else:
        rows = content.get("columns")
        if not isinstance(rows, list) or not rows:
            raise bad("columns has to be a list.")
        columns = [_column(row, index, all_tables, bad) for index, row in enumerate(rows, 1)]
    _check_unique(columns, bad)
    return Template(
        name=name,
        zh=str(title.get("zh") or name),
        en=str(title.get("en") or title.get("zh") or name),
        columns=tuple(columns),
        tables=all_tables,
        every_field=every_field,
    )


def _column(row: Any, index: int, known: Mapping[str, Table], bad: Any) -> Column:
    if not isinstance(row, dict) or not set(row) <= _COLUMN_KEYS:
        raise bad(f"column {index}: use the keys {', '.join(sorted(_COLUMN_KEYS))}.")
    texts = {key: str(row[key]) for key in ("zh", "en") if row.get(key)}
    aliases = tuple(str(alias) for alias in row.get("aliases") or ())
    if row.get("counter") == "true":
        return Column(None, texts.get("zh", "序号"), texts.get("en", "No."), aliases)
    key = str(row.get("field"))
    field = fields().get(key)
    if field is None and key.startswith(UNKNOWN_PREFIX) and key != UNKNOWN_PREFIX:
        if secret_heading(key) or row.get("kind") == "secret":
            raise bad(f"column {index}: a secret is kept as password alone, not as {key}.")
        field = _other(key)
    if field is None:
        raise bad(f"column {index}: there is no field {row.get('field')!r}; see fields.yaml.")
    if "kind" in row or "table" in row:
        field = replace(field, kind=row.get("kind", field.kind), table=row.get("table"))
    if field.kind not in get_args(Kind):
        raise bad(f"column {index}: there is no kind {field.kind!r}; see fields.yaml.")
    if field.kind in ("choice", "choices") and field.table not in known:
        raise bad(f"column {index}: there is no table {field.table!r}.")
    values = row.get("values")
    if values is not None and not isinstance(values, dict):
        raise bad(f"column {index}: values has to be a mapping.")
    return Column(
        field,
        texts.get("zh", field.zh),
        texts.get("en", field.en),
        aliases,
        required=row.get("required") == "true",
        wanted=row.get("wanted") == "true",
        values={str(k): str(v) for k, v in values.items()} if values else None,
    )


def _other(key: str) -> Field:
    """A fact that no form knew when it was kept, `other.` and its heading."""
    heading = key.removeprefix(UNKNOWN_PREFIX)
    return Field(key, heading, heading, max_chars=MAX_CELL_CHARS)


def _tables(content: Any, bad: Any) -> dict[str, Table]:
    try:
        return {
            str(name): {
                str(code): Choice(str(code), *(str(label) for label in labels))
                for code, labels in rows.items()
            }
            for name, rows in content.items()
        }
    except (AttributeError, TypeError):
        raise bad("a table is {code: [Chinese, English]}.") from None


def _check_unique(columns: Sequence[Column], bad: Any) -> None:
    seen_fields: set[str] = set()
    seen_headings: set[str] = set()
    for index, column in enumerate(columns, 1):
        if column.field is not None:
            if column.field.key in seen_fields:
                raise bad(f"column {index}: the field {column.field.key} has a column already.")
            seen_fields.add(column.field.key)
        headings = {same(heading) for heading in column.headings}
        if headings & seen_headings:
            raise bad(f"column {index}: another column has the heading {column.zh!r} too.")
        seen_headings |= headings

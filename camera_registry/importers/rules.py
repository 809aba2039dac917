"""The rules of a row: its cells cleaned, then what they say together, then against earlier rows.

Pure: no file, no registry, no clock. Codes and what they mean: docs/import-rules.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final, NamedTuple

from .. import gb_code, validation
from ..devices import credentials
from ..errors import ValidationFailed
from ..secret import Secret
from ..validation import RtspUrl
from . import texts
from .cells import clean
from .context import Context
from .duplicates import Duplicates
from .fields import Field, fields, tables
from .masks import is_mark
from .positions import check_position
from .rows import CameraRow, Finding
from .tell import Teller
from .templates import Template

__all__ = ["CheckedRow", "clean", "validate"]

# Cells whose cleaned text is remembered, of each field. A code table, a list of owners or a year of
# days fit in; addresses that are all different stop filling it.
MAX_REMEMBERED: Final = 1_024
# Their texts are all different, or must not be kept.
_NOT_REMEMBERED: Final = frozenset({"gb_code", "rtsp_url", "secret"})
_NUMBERS: Final = frozenset({"integer", "decimal"})
_DATES_IN_ORDER: Final = ("installed_on", "enabled_on", "retired_on")
_IPV4 = re.compile(r"[0-9.]{7,15}")


@dataclass(slots=True)
class CheckedRow:
    """A row with clean values, and all that was found about it, the reader's findings first.

    `values` has the cells that are right, by field key, each as `cells.clean` gives it; URLs
    without userinfo, positions in WGS-84, `area` as the area's code. Secrets lie apart.
    """

    number: int
    values: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, Secret] = field(default_factory=dict)
    hidden: bool = False  # there was a password that the file has a mark for
    unknown: dict[str, str] = field(default_factory=dict, repr=False)  # by heading
    findings: list[Finding] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        """Whether an error keeps the row out."""
        return any(finding.severity == "error" for finding in self.findings)


class _Fault(NamedTuple):
    code: str
    sentence: str


def validate(
    rows: Iterable[CameraRow],
    context: Context,
    template: Template,
    *,
    named: Callable[[int], str] = "Row {}".format,
) -> Iterator[CheckedRow]:
    """Checks rows one by one as they come; what it remembers is bounded by `rows.MAX_ROWS`.

    `template` is the one that the rows were read by: it may give a field another kind or table.
    `named`: how a sentence begins that tells of the row with this number.
    """
    rules = _Rules(context, template, named)
    for row in rows:
        yield rules.check(row)


class _Rules:
    def __init__(self, context: Context, template: Template, named: Callable[[int], str]) -> None:
        self._context = context
        self._form = template.name
        secret_fields = ("main_url", "sub_url", "username", "password")
        self._secret_headings = ", ".join(fields()[key].zh for key in secret_fields)
        own = {column.field.key: column.field for column in template.columns if column.field}
        # A form may read a fact in its own way, but not what the registry's columns hold.
        columns = {key: f for key, f in fields().items() if f.of != "facts"}
        self._fields = {**fields(), **own, **columns}
        self._tables = {
            **template.tables,
            **{f.table: tables()[f.table] for f in columns.values() if f.table},
        }
        self._wanted = [
            f for f in self._fields.values() if f.wanted is not None and f.kind in _NUMBERS
        ]
        self._boundary_told = context.polygon is not None
        dates = [f for f in self._fields.values() if f.kind == "date"]
        self._past = [f for f in dates if not f.future]
        self._dates = frozenset(f.key for f in dates)
        self._required = {c.field.key for c in template.columns if c.field and c.required}
        self._today = context.today.isoformat()
        self._remembered: dict[str, dict[str, str | _Fault]] = {
            key: {} for key, f in self._fields.items() if f.kind not in _NOT_REMEMBERED
        }
        self._duplicates = Duplicates(named)

    def check(self, row: CameraRow) -> CheckedRow:
        checked = CheckedRow(row.number, findings=list(row.faults))
        tell = Teller(row, checked.findings)
        urls = self._cells(row, checked, tell)
        self._unknown(row, checked, tell)
        self._credentials(checked, urls, tell)
        self._code(checked, tell)
        self._area(checked, tell)
        check_position(self._context, checked.values, tell)
        self._boundary_missing(checked, tell)
        self._numbers_and_dates(checked, tell)
        main = urls.get("main_url")
        if main is not None:
            _host(checked.values, main, tell)
        for again in self._duplicates.of(row.number, checked.values, main):
            tell(*again)
        return checked

    def _cells(self, row: CameraRow, checked: CheckedRow, tell: Teller) -> dict[str, RtspUrl]:
        urls: dict[str, RtspUrl] = {}
        values, all_fields, remembered = checked.values, self._fields, self._remembered
        for key, raw in row.values.items():
            known = remembered.get(key)
            if known is not None:
                found = known.get(raw)
                if found is None:
                    found = self._clean(all_fields[key], raw)
                    if len(known) < MAX_REMEMBERED:
                        known[raw] = found
                if isinstance(found, _Fault):
                    tell(key, *found)
                elif found:
                    values[key] = found
                elif key in self._required:
                    tell(key, "required", "The cell shows nothing; the form requires it.")
                continue
            try:
                if all_fields[key].kind == "rtsp_url":
                    if text := texts.visible(raw):
                        url = validation.rtsp_url(key, text)
                        if url.password is not None and is_mark(url.password.reveal()):
                            url, checked.hidden = replace(url, password=None), True
                        urls[key] = url
                        values[key] = url.url
                elif text := clean(all_fields[key], raw, self._tables):
                    if all_fields[key].kind == "secret" and is_mark(text):
                        checked.hidden = True
                    elif all_fields[key].kind == "secret":
                        checked.secrets[key] = Secret(text)
                    else:
                        values[key] = text
            except ValidationFailed as failed:
                tell(key, failed.code, failed.sentence)
        return urls

    def _clean(self, of: Field, raw: str) -> str | _Fault:
        try:
            return clean(of, raw, self._tables)
        except ValidationFailed as failed:
            return _Fault(failed.code, failed.sentence)  # the exception would keep its frames

    def _boundary_missing(self, checked: CheckedRow, tell: Teller) -> None:
        """Said once: nobody is to believe that positions were checked."""
        if self._boundary_told or "lon" not in checked.values:
            return
        self._boundary_told = True
        said = (
            "The district has no boundary, so no position is checked against it; give it one"
            " (streamhub area boundaries FILE)."
        )
        tell("lon", "position_unchecked", said, "warning")

    def _unknown(self, row: CameraRow, checked: CheckedRow, tell: Teller) -> None:
        """Cells of no field are kept, but not those that hold a secret: nobody would seal it."""
        for heading, text in row.unknown.items():
            if texts.secret_heading(heading) or texts.seems_secret(text):
                tell.of_heading(
                    heading,
                    "unknown_secret",
                    f"The form {self._form} has no such column, and the cell may hold a secret, so "
                    "it is not kept. Read the file by a form that has it: one of your own "
                    f"(docs/import.md), or `full` with its headings {self._secret_headings}.",
                )
            elif not text.isprintable() and texts.unprintable(" ".join(text.split())):
                tell.of_heading(
                    heading,
                    "text_unprintable",
                    "The cell holds control characters and is not kept; write it anew.",
                )
            else:
                checked.unknown[heading] = text

    def _credentials(self, checked: CheckedRow, urls: dict[str, RtspUrl], tell: Teller) -> None:
        """The one pair that columns and URLs name goes into the columns."""
        values, secrets = checked.values, checked.secrets
        if tell.failed("username") or tell.failed("password"):
            return
        try:
            found = credentials(list(urls.items()), values.get("username"), secrets.get("password"))
        except ValidationFailed as failed:
            tell(failed.field, failed.code, failed.sentence)
            return
        if found is not None:
            values["username"] = found.username
            if found.password is not None:
                secrets["password"] = found.password

    def _code(self, checked: CheckedRow, tell: Teller) -> None:
        text = checked.values.get("code")
        if text is None:
            return
        code = gb_code.parse(text)
        try:
            gb_code.check_division(code, self._context.district.code)
        except ValidationFailed as failed:
            tell("code", failed.code, failed.sentence)
        if code.industry not in gb_code.industries():
            tell(
                "code",
                "industry_unknown",
                f"Digits 9 and 10, {code.industry}, are no industry of GB/T 28181; check them.",
                "warning",
            )
        if code.type not in gb_code.types():
            tell(
                "code",
                "type_unknown",
                f"Digits 11 to 13, {code.type}, are no type of GB/T 28181; check them.",
                "warning",
            )

    def _area(self, checked: CheckedRow, tell: Teller) -> None:
        text = checked.values.get("area")
        if text is None:
            return
        try:
            checked.values["area"] = self._context.areas.code_of(text)
        except ValidationFailed as failed:
            del checked.values["area"]
            tell("area", failed.code, failed.sentence)

    def _numbers_and_dates(self, checked: CheckedRow, tell: Teller) -> None:
        values = checked.values
        for of in self._wanted:
            text = values.get(of.key)
            if text is not None and of.wanted is not None and float(text) < of.wanted:
                tell(of.key, "below_wanted", f"{text} is less than {of.wanted}.", "warning")
        for of in self._past:
            text = values.get(of.key)
            if text is not None and text > self._today:
                tell(of.key, "date_in_future", f"{text} is still to come; correct it.")
        given = [key for key in _DATES_IN_ORDER if key in values and key in self._dates]
        for earlier, later in pairwise(given):
            if values[later] < values[earlier]:
                zh = self._fields[earlier].zh
                tell(
                    later,
                    "date_order",
                    f"{values[later]} is before {values[earlier]} ({zh}); correct one of them.",
                )


def _host(values: dict[str, str], main: RtspUrl, tell: Teller) -> None:
    ipv4 = values.get("ipv4")
    if ipv4 is not None and ipv4 != main.host and _IPV4.fullmatch(main.host):
        tell(
            "ipv4",
            "host_differs",
            f"The address is {ipv4}, the URL's is {main.host}; the URL's is dialled.",
            "warning",
        )

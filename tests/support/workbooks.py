"""Workbooks by their parts, so that a test can write what no library writes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import openpyxl

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def workbook(*rows: Sequence[Any], title: str = "S") -> bytes:
    """A workbook of one sheet, written by openpyxl."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = title
    for row in rows:
        sheet.append(list(row))
    return saved(book)


def saved(book: openpyxl.Workbook) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def parts(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        return {name: package.read(name) for name in package.namelist()}


def packed(content: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        for name, part in content.items():
            package.writestr(name, part)
    return out.getvalue()


def by_hand(
    rows: str, *, shared: str | None = None, styles: str | None = None, prefix: str = ""
) -> bytes:
    """A workbook of one sheet with `rows` as the content of its `sheetData`."""
    related = {"sheet": ("worksheet", "worksheets/sheet1.xml")}
    colon = f"{prefix}:" if prefix else ""
    space = f"xmlns:{prefix}" if prefix else "xmlns"
    content = {
        "_rels/.rels": relations({"1": ("officeDocument", "xl/workbook.xml")}),
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>'
        '<sheet name="S" sheetId="1" r:id="sheet"/></sheets></workbook>',
        "xl/worksheets/sheet1.xml": f'<{colon}worksheet {space}="{MAIN}"><{colon}sheetData>'
        f"{rows}</{colon}sheetData></{colon}worksheet>",
    }
    if shared is not None:
        related["strings"] = ("sharedStrings", "sharedStrings.xml")
        content["xl/sharedStrings.xml"] = f'<sst xmlns="{MAIN}">{shared}</sst>'
    if styles is not None:
        related["styles"] = ("styles", "/xl/styles.xml")
        content["xl/styles.xml"] = f'<styleSheet xmlns="{MAIN}">{styles}</styleSheet>'
    content["xl/_rels/workbook.xml.rels"] = relations(related)
    return packed({name: text.encode() for name, text in content.items()})


def relations(related: Mapping[str, tuple[str, str]]) -> str:
    inner = "".join(
        f'<Relationship Id="{key}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for key, (kind, target) in related.items()
    )
    return f'<Relationships xmlns="{PACKAGE}/relationships">{inner}</Relationships>'

"""What is written reads back as the same values, in every template and kind of file."""

from __future__ import annotations

import codecs
import io
import tempfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_registry.importers import templates, writers
from camera_registry.importers.readers import open_table
from camera_registry.importers.templates import Template
from camera_registry.importers.writers import TooManyRows, write_table

CODE = "11011200001320000001"
AWKWARD = (
    CODE,
    "007",
    "=1+1",
    "+86 10",
    "@x",
    "-5",
    "#REF!",
    "东门\n北侧",
    "a\r\nb\rc",
    'say "x", then; go\ton',
    "two  spaces",
    "_x0041_",
    "_x005F_x",
    "1E5",
    "true",
    "2024-05-01",
    "𠮷野",
    "&lt;b>]]>",
)


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """A site's own form: a running number, and words of its own for a field's."""
    folder: Path = tmp_path_factory.mktemp("templates")
    (folder / "school.yaml").write_text(
        """
title: {zh: "学校/[1]", en: School}
columns:
  - {counter: true, zh: 序号}
  - {field: code, zh: 编号, en: Number}
  - {field: name}
  - {field: enabled, zh: 开, en: "On", values: {Y: "yes", 是: "yes", N: "no"}}
  - {field: password}
""",
        encoding="utf-8",
    )
    return templates.find("school", folder)


def written(kind: Any, template: Template, rows: list[dict[str, str]], **more: Any) -> bytes:
    out = io.BytesIO()
    write_table(kind, template, rows, out, **more)
    assert not out.closed
    return out.getvalue()


def read_back(template: Template, content: bytes) -> list[dict[str, str]]:
    table = open_table(content, "cameras")
    binding = template.bind(table.headings)
    rows = []
    for source in table.rows:
        assert source.faults == {}
        row = binding.camera(source)
        assert row.unknown == {}
        rows.append(row.values)
    return rows


words = st.one_of(
    st.sampled_from(AWKWARD),
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), min_size=1, max_size=12),
    st.text('ab \n\r\t",;=_x0041东', min_size=1, max_size=12),
).map(lambda text: text.strip() or "x")


@pytest.mark.parametrize("name", [*templates.SHIPPED, "school"])
@pytest.mark.parametrize("kind", ["csv", "xlsx", "json"])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_what_is_written_reads_back(
    name: str, kind: str, school: Template, data: st.DataObject
) -> None:
    template = school if name == "school" else templates.shipped(name)
    keys = [c.field.key for c in template.columns if c.field and c.field.kind != "secret"]
    # A row without its code is none.
    row = st.fixed_dictionaries(
        {"code": words}, optional={key: words for key in keys if key != "code"}
    )
    rows = data.draw(st.lists(row, min_size=1, max_size=4))
    language = data.draw(st.sampled_from(["zh", "en"]))
    if name == "school":  # whose words mean something else than themselves
        rows = [{k: v for k, v in r.items() if v not in ("Y", "N", "是")} for r in rows]
    content = written(kind, template, rows, language=language)
    assert read_back(template, content) == rows


@pytest.mark.parametrize("kind", ["csv", "xlsx", "json"])
def test_every_awkward_text_reads_back(kind: str) -> None:
    template = templates.shipped("full")
    rows = [{"code": str(n), "name": text, "address": text} for n, text in enumerate(AWKWARD, 1)]
    assert read_back(template, written(kind, template, rows)) == rows


@pytest.mark.parametrize("kind", ["csv", "xlsx", "json"])
def test_a_secret_is_never_written(kind: str) -> None:
    rows = [{"code": CODE, "name": "x", "username": "admin", "password": "hunter2-in-clear"}]
    content = written(kind, templates.shipped("full"), rows)
    table = open_table(content, "cameras")
    assert "设备口令" in table.headings
    (row,) = table.rows
    assert "设备口令" not in row.cells
    assert row.cells["设备用户名"] == "admin"
    assert "hunter2" not in repr(row)


@pytest.mark.parametrize("kind", ["csv", "xlsx", "json"])
def test_a_form_of_words_of_its_own_is_written_in_them(kind: str, school: Template) -> None:
    rows = [{"code": "a", "enabled": "yes"}, {"code": "b", "enabled": "no"}, {"code": "c"}]
    table = open_table(written(kind, school, rows), "cameras")
    assert [dict(row.cells) for row in table.rows] == [
        {"序号": "1", "编号": "a", "开": "Y"},
        {"序号": "2", "编号": "b", "开": "N"},
        {"序号": "3", "编号": "c"},
    ]


def test_a_workbook_has_text_only_and_a_heading_that_stays() -> None:
    content = written("xlsx", templates.shipped("archive-27"), [{"code": CODE, "name": "=1"}])
    sheet = openpyxl.load_workbook(io.BytesIO(content)).worksheets[0]
    assert sheet.freeze_panes == "A2"
    assert sheet["A1"].font.b
    assert [sheet["A2"].value, sheet["A2"].data_type, sheet["A2"].number_format] == [CODE, "s", "@"]
    assert [sheet["B2"].value, sheet["B2"].data_type] == ["=1", "s"]
    assert sheet["C2"].value is None
    assert sheet.column_dimensions["A"].width == 24
    assert sheet.column_dimensions["A"].number_format == "@"
    assert all(8 <= d.width <= 40 for d in sheet.column_dimensions.values())


def test_csv_is_what_excel_takes_for_utf8() -> None:
    content = written("csv", templates.shipped("archive-27"), [{"code": "1", "name": 'a"\n,'}])
    assert content.startswith(codecs.BOM_UTF8 + "设备编码,设备名称,".encode())
    assert b'\r\n1,"a""\n,",,' in content
    assert content.endswith(b",\r\n")


def test_more_rows_than_a_sheet_has_are_told_and_nothing_stays_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(writers, "LAST_ROW", 2)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    template = templates.shipped("archive-27")
    written("xlsx", template, [{"code": "1"}])
    with pytest.raises(TooManyRows, match="CSV"):
        written("xlsx", template, [{"code": "1"}] * 2)
    assert list(tmp_path.iterdir()) == []

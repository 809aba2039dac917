"""Templates are data: shipped ones and a site's own, matched by either heading."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from camera_registry.importers import templates
from camera_registry.importers.fields import fields, tables, text_of
from camera_registry.importers.rows import CellFault, FileRefused, SourceRow
from camera_registry.importers.templates import TemplateInvalid

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "import.md").read_text(encoding="utf-8")


def test_the_shipped_forms_have_the_columns_that_their_names_say() -> None:
    assert len(templates.shipped("archive-27").columns) == 27
    assert len(templates.shipped("archive-73").columns) == 73
    assert [c.field.key for c in templates.shipped("full").columns if c.field] == list(fields())


def test_the_document_lists_the_headings_of_the_27_columns() -> None:
    (table,) = re.findall(r"\| \| \| \|\n\|[-|]+\|\n((?:\|.*\|\n)+)", DOCUMENT)
    listed = [cell.strip() for row in table.splitlines() for cell in row.strip("|").split("|")]
    assert listed == [
        c.zh if c.zh == c.en else f"{c.zh} ({c.en})"
        for c in templates.shipped("archive-27").columns
    ]


def test_the_form_of_27_columns_takes_the_lines_of_the_document(tmp_path: Path) -> None:
    (lines,) = re.findall(r"```yaml\n((?:  - \{field: .*\}\n)+)```", DOCUMENT)
    (tmp_path / "ours.yaml").write_text(text_of("templates/archive-27.yaml") + lines, "utf-8")
    added = templates.find("ours", tmp_path).columns[27:]
    assert [c.zh for c in added] == ["主码流地址", "子码流地址", "设备用户名", "设备口令"]
    assert all(column.zh in DOCUMENT for column in added)


def test_every_choice_names_a_table_that_is_there() -> None:
    choices = [f for f in fields().values() if f.kind in ("choice", "choices")]
    assert choices
    assert all(field.table in tables() for field in choices)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("设备编码", "设备名称"),
        ("Device code", "DEVICE NAME"),
        ("设备编码*", " 设备名称（必填） "),
    ],
)
def test_a_heading_is_known_in_either_language_whatever_its_width_and_marks(
    code: str, name: str
) -> None:
    binding = templates.shipped("archive-27").bind([code, name, "Colour"])
    row = binding.camera(
        SourceRow(7, {code: "11011200001320000001", name: "东门", "Colour": "red"})
    )
    assert row.number == 7
    assert row.values == {"code": "11011200001320000001", "name": "东门"}
    assert row.columns == {"code": code, "name": name}
    assert row.unknown == {"Colour": "red"}
    assert row.faults == []


def test_a_file_without_a_required_column_is_refused_by_name() -> None:
    with pytest.raises(FileRefused, match="设备编码") as refused:
        templates.shipped("archive-27").bind(["设备名称"])
    assert refused.value.code == "column_missing"


def test_two_headings_of_one_column_are_refused() -> None:
    with pytest.raises(FileRefused) as refused:
        templates.shipped("full").bind(["设备编码", "Device name", "设备名称"])
    assert refused.value.code == "column_twice"


def test_a_required_cell_is_an_error_and_a_wanted_one_a_warning() -> None:
    binding = templates.shipped("archive-73").bind(["设备编码", "设备名称", "安装地址"])
    row = binding.camera(SourceRow(2, {"设备名称": "x"}))
    assert [(f.column, f.code, f.severity) for f in row.faults] == [
        ("设备编码", "required", "error"),
        ("安装地址", "wanted", "warning"),
    ]


def test_a_fault_of_the_cell_itself_is_told_instead_of_its_absence() -> None:
    binding = templates.shipped("archive-27").bind(["设备编码", "设备名称"])
    fault = CellFault("formula_cell", "Write the value.")
    row = binding.camera(SourceRow(2, {"设备名称": "x"}, {"设备编码": fault}))
    assert [(f.code, f.field) for f in row.faults] == [("formula_cell", "code")]


def test_a_site_brings_its_own_form_without_code(tmp_path: Path) -> None:
    (tmp_path / "school.yaml").write_text(
        """
title: {zh: 学校, en: School}
tables: {floor: {"1": [一层, Ground floor]}}
columns:
  - {field: code, zh: 编号, aliases: [No]}
  - {field: name}
  - {field: enabled, zh: 开, values: {Y: "yes"}}
  - {field: capture_area, kind: choice, table: floor}
""",
        encoding="utf-8",
    )
    template = templates.find("school", tmp_path)
    assert template.tables["floor"]["1"].en == "Ground floor"
    row = template.bind(["No", "开"]).camera(SourceRow(2, {"No": "1", "开": "Y"}))
    assert row.values == {"code": "1", "enabled": "yes"}
    assert [t.name for t in templates.every(tmp_path)] == [
        "archive-27",
        "archive-73",
        "full",
        "school",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("columns: [{field: nonsense}]", "column 1: there is no field 'nonsense'"),
        ("columns: [{field: code}, {field: code}]", "column 2: the field code has a column"),
        ("columns: [{field: code, colour: red}]", "column 1: use the keys"),
        ("columns: [{field: name, kind: choice, table: nope}]", "no table 'nope'"),
        ("columns: [{field: remark, kind: colour}]", "no kind 'colour'"),
        ("columns: {a: [}", "not YAML at line 1"),
        ("[]", "mapping"),
        ("columns: []", "a list"),
    ],
)
def test_a_bad_form_says_where(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "bad.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(TemplateInvalid, match=says):
        templates.find("bad", tmp_path)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A", "nope"])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(TemplateInvalid):
        templates.find(name, tmp_path)


def test_a_sites_form_names_a_fact_of_no_field(tmp_path: Path) -> None:
    form = "columns:\n  - {field: code}\n  - {field: name}\n"
    form += "  - {field: other.Pole No., zh: 杆号, kind: integer}\n  - {field: other.颜色}\n"
    (tmp_path / "ours.yaml").write_text(form, "utf-8")
    ours = templates.find("ours", tmp_path)
    row = ours.bind(["设备编码", "设备名称", "杆号", "颜色"]).camera(
        SourceRow(2, {"设备编码": "1", "设备名称": "a", "杆号": "7", "颜色": "红"})
    )
    assert (row.values["other.Pole No."], row.values["other.颜色"]) == ("7", "红")
    assert row.unknown == {}
    for bad in ("{field: other.口令}", "{field: other.x, kind: secret}", "{field: other.}"):
        (tmp_path / "bad.yaml").write_text(f"columns:\n  - {bad}\n", "utf-8")
        with pytest.raises(TemplateInvalid, match="column 1"):
            templates.find("bad", tmp_path)


def test_two_columns_that_are_kept_as_one_fact_are_refused() -> None:
    full = templates.shipped("full")
    with pytest.raises(FileRefused) as refused:
        full.bind(["设备编码", "设备名称", "颜色", "other.颜色"])
    assert refused.value.code == "column_twice"
    full.bind(["设备编码", "设备名称", "经度", "other.经度"])

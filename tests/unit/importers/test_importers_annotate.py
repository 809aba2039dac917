"""A file comes back as it was, with what was found beside each row."""

from __future__ import annotations

import datetime
import io
from typing import Any, Literal

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from openpyxl.worksheet.datavalidation import DataValidation

from camera_registry.importers import annotate
from camera_registry.importers.annotate import annotated
from camera_registry.importers.grid import FINDING_HEADINGS
from camera_registry.importers.readers import open_table
from camera_registry.importers.rows import FileRefused, Finding, SourceRow
from camera_registry.importers.sheet_edit import Mark, RowMarks, SheetEditor
from support.workbooks import MAIN, by_hand, packed, parts, saved, workbook

RED, YELLOW, NONE = "FFFFC7CE", "FFFFEB9C", "00000000"
Kind = Literal["csv", "xlsx", "json"]


def finding(row: int, column: str, code: str = "bad", severity: Any = "error") -> Finding:
    return Finding(row, column, code, f"The {column or 'row'} is {code}.", severity)


def back(content: bytes, *findings: Finding, kind: Kind = "xlsx") -> bytes:
    out = io.BytesIO()
    annotated(content, kind, findings, out)
    return out.getvalue()


def sheet_of(content: bytes, index: int = 0) -> Any:
    return openpyxl.load_workbook(io.BytesIO(content)).worksheets[index]


def colours(sheet: Any, row: int, width: int) -> list[str]:
    return [sheet.cell(row, at).fill.fgColor.rgb for at in range(1, width + 1)]


def rows_of(content: bytes) -> list[SourceRow]:
    return list(open_table(content, "cameras").rows)


def form() -> bytes:
    """A workbook with what people put into one."""
    book = openpyxl.Workbook()
    book.active.append(["notes & more", "of another sheet"])  # type: ignore[union-attr]
    book.active.sheet_state = "hidden"  # type: ignore[union-attr]
    sheet = book.create_sheet("cameras")
    sheet.append(["一机一档"])
    sheet.merge_cells("A1:D1")
    sheet.append(["code", "name", "on", "ports"])
    sheet.append(["1", "东门 <&>", datetime.date(2024, 5, 1), 554])
    sheet.append(["2", None, datetime.date(2024, 5, 2), "=D3+1"])
    sheet.append(["3", "南门", None, 8554])
    sheet["D3"].number_format = "0000"
    sheet["A3"].font = openpyxl.styles.Font(bold=True)
    sheet.column_dimensions["B"].width = 33
    sheet.freeze_panes = "A3"
    choice = DataValidation("list", formula1='"a,b"')
    choice.add("B3:B100")
    sheet.add_data_validation(choice)
    return saved(book)


def test_a_workbook_comes_back_as_it_was_with_its_findings() -> None:
    content = back(
        form(),
        finding(3, "on", "old", "warning"),
        finding(3, "ports"),
        finding(3, "ports", "odd", "warning"),
        finding(4, "name", "required"),
        finding(5, "", "duplicate"),
        finding(5, "elsewhere", "strange"),
    )
    sheet = sheet_of(content, 1)
    assert sheet["C3"].value == datetime.datetime(2024, 5, 1)
    assert sheet["C3"].is_date
    assert sheet["D4"].value == "=D3+1"
    assert sheet["D3"].number_format == "0000"
    assert sheet["A3"].font.b
    assert sheet.column_dimensions["B"].width == 33
    assert sheet.freeze_panes == "A3"
    assert [str(v.sqref) for v in sheet.data_validations.dataValidation] == ["B3:B100"]
    assert [str(merged) for merged in sheet.merged_cells.ranges] == ["A1:D1"]
    assert sheet_of(content, 0)["A1"].value == "notes & more"

    assert [sheet["E2"].value, sheet["F2"].value] == list(FINDING_HEADINGS)
    assert [sheet["E3"].value, sheet["F3"].value] == [
        "old\nbad\nodd",
        "on: The on is old.\nports: The ports is bad.\nports: The ports is odd.",
    ]
    assert sheet["E4"].value == "required"
    assert sheet["F5"].value == "The row is duplicate.\nelsewhere: The elsewhere is strange."
    assert sheet["F3"].alignment.wrap_text
    assert sheet.column_dimensions["F"].width == 90
    assert colours(sheet, 3, 4) == [NONE, NONE, YELLOW, RED]
    assert colours(sheet, 4, 4) == [NONE, RED, NONE, NONE]
    assert colours(sheet, 5, 4) == [RED] * 4


def test_it_reads_back_as_the_same_rows() -> None:
    content = back(form(), finding(3, "on"), finding(4, "name"), finding(5, ""))
    assert rows_of(content) == rows_of(form())
    assert open_table(content, "x").headings == ("code", "name", "on", "ports")


def test_corrected_and_checked_again_it_holds_what_is_found_now() -> None:
    first = back(form(), finding(3, "on", "first"), finding(5, "", "gone"))
    second = back(first, finding(4, "name", "second"))
    sheet = sheet_of(second, 1)
    assert [sheet.cell(row, 5).value for row in range(2, 6)] == [
        FINDING_HEADINGS[0],
        None,
        "second",
        None,
    ]
    assert sheet.max_column == 6
    assert rows_of(second) == rows_of(form())


def test_a_row_longer_than_its_heading_keeps_what_is_beyond() -> None:
    content = workbook(("code", "name"), ("1", "a", None, "beyond"), ("2", "b"))
    sheet = sheet_of(back(content, finding(2, "", "cell_without_heading"), finding(3, "name")))
    assert [cell.value for cell in sheet[2]][:5] == [
        "1",
        "a",
        None,
        "beyond",
        "cell_without_heading",
    ]
    assert [cell.value for cell in sheet[3]][4] == "bad"


def test_many_findings_of_a_row_are_cut_and_counted() -> None:
    many = [finding(3, "on", f"code{n}") for n in range(annotate.MAX_SHOWN + 5)]
    sheet = sheet_of(back(form(), *many), 1)
    assert sheet["E3"].value.splitlines()[-1] == "…"
    assert sheet["F3"].value.splitlines()[-1] == "… (+5)"
    assert len(sheet["E3"].value.splitlines()) == annotate.MAX_SHOWN + 1


def test_long_sentences_stay_within_what_a_cell_holds() -> None:
    long = Finding(3, "on", "bad", "x" * 20_000)
    content = back(form(), long, long)
    assert len(sheet_of(content, 1)["F3"].value) == annotate.MAX_NOTE_CHARS
    assert rows_of(content) == rows_of(form())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_csv_comes_back_as_a_workbook_of_the_same_row_numbers(encoding: str) -> None:
    text = '一机一档,\r\ncode,name\r\n\r\n011,=1+1\r\n2,"南\r\n门"\r\n3,x,beyond\r\n'
    content = back(
        text.encode(encoding),
        finding(4, "name", "bad"),
        finding(6, "", "cell_without_heading"),
        kind="csv",
    )
    sheet = sheet_of(content)
    assert [[cell.value for cell in row] for row in sheet.iter_rows()] == [
        ["一机一档", None, None, None, None],
        ["code", "name", None, *FINDING_HEADINGS],
        [None] * 5,
        ["011", "=1+1", None, "bad", "name: The name is bad."],
        ["2", "南\r\n门", None, None, None],
        ["3", "x", "beyond", "cell_without_heading", "The row is cell_without_heading."],
    ]
    assert sheet["B4"].data_type == "s"
    assert colours(sheet, 4, 2) == [NONE, RED]
    assert colours(sheet, 6, 3) == [RED] * 3
    assert sheet.freeze_panes == "A3"
    again = rows_of(content)
    assert [(row.number, row.cells.get("code")) for row in again] == [
        (4, "011"),
        (5, "2"),
        (6, "3"),
    ]


def test_json_comes_back_as_a_workbook_one_row_further_down() -> None:
    content = back(b'[{"code": 1}, {"code": "2", "name": "b"}]', finding(2, "name"), kind="json")
    sheet = sheet_of(content)
    assert [[cell.value for cell in row] for row in sheet.iter_rows()] == [
        ["code", "name", *FINDING_HEADINGS],
        ["1", None, None, None],
        ["2", "b", "bad", "name: The name is bad."],
    ]


HEAD = '<row r="1"><c r="A1" t="str"><v>code</v></c><c r="B1" t="str"><v>name</v></c></row>'
STYLES = '<fills count="1"><fill/></fills><cellXfs count="2"><xf/><xf numFmtId="14"/></cellXfs>'


def cells_of(content: bytes) -> list[tuple[str, str]]:
    """The cells of the first sheet as they stand in its XML: reference and text, in order."""
    root = etree.fromstring(parts(content)["xl/worksheets/sheet1.xml"])
    return [(cell.get("r", ""), "".join(cell.itertext())) for cell in root.iter("{*}c")]


@pytest.mark.parametrize("prefix", ["", "x"])
@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ('<c r="A2" s="1"/>', ["A2", "B2", "C2", "D2"]),
        ('<c r="A2"></c><c r="B2"><v>1</v></c>', ["A2", "B2", "C2", "D2"]),
        ('<c r="B2"><v>1</v></c><c r="D2" s="1"/>', ["A2", "B2", "C2", "D2"]),
        ('<c r="A2"/><c r="C2"><v/></c><c r="F2" s="1"/>', ["A2", "B2", "C2", "D2", "F2"]),
        ("<c s='1' t='str'><v>a</v></c>", ["", "B2", "C2", "D2"]),
    ],
)
def test_cells_stay_in_order_whatever_a_row_has(prefix: str, row: str, expected: list[str]) -> None:
    text = f'{HEAD}<row r="2" spans="1:2" ht="20">{row}</row>'
    if prefix:
        for name in ("row", "c", "v"):
            for end in (" ", ">", "/"):
                text = text.replace(f"<{name}{end}", f"<x:{name}{end}")
            text = text.replace(f"</{name}>", f"</x:{name}>")
    content = back(by_hand(text, styles=STYLES, prefix=prefix), finding(2, ""))
    assert [at for at, _ in cells_of(content)] == ["A1", "B1", "C1", "D1", *expected]
    xml = parts(content)["xl/worksheets/sheet1.xml"]
    assert b"spans" not in xml
    assert b'ht="20"' in xml


def test_widths_of_the_added_columns_are_cut_out_of_those_that_are_there() -> None:
    content = parts(by_hand(HEAD, styles=STYLES))
    sheet = content["xl/worksheets/sheet1.xml"].replace(
        b"<sheetData>",
        b'<dimension ref="A1:B1"/><cols><col min="1" max="16384" width="9"/></cols><sheetData>',
    )
    xml = parts(back(packed(content | {"xl/worksheets/sheet1.xml": sheet})))[
        "xl/worksheets/sheet1.xml"
    ]
    assert b"dimension" not in xml
    assert (
        b'<cols><col min="1" max="2" width="9"/><col min="3" max="3" width="26" customWidth="1"/>'
        b'<col min="4" max="4" width="90" customWidth="1"/>'
        b'<col min="5" max="16384" width="9"/></cols><sheetData>'
    ) in xml


@pytest.mark.parametrize("how", ["utf-16", "no styles"])
def test_a_workbook_that_cannot_be_marked_in_place_comes_back_as_text(how: str) -> None:
    row = '<row r="2"><c r="A2" s="1"><v>45413</v></c></row>'
    content = parts(by_hand(HEAD + row, styles=STYLES if how == "utf-16" else None))
    if how == "utf-16":
        name = "xl/worksheets/sheet1.xml"
        content[name] = content[name].decode().encode("utf-16")
    sheet = sheet_of(back(packed(content), finding(2, "name")))
    assert sheet["A2"].value == ("2024-05-01" if how == "utf-16" else "45413")
    assert sheet["C2"].value == "bad"
    assert colours(sheet, 2, 2) == [NONE, RED]


def edited(xml: bytes, size: int, *, again: bool = False) -> bytes:
    marks = {
        1: RowMarks(FINDING_HEADINGS, note="heading"),
        3: RowMarks(("a\nb", "<&> _x0041_ \x01"), {0: "error", 1: "warning"}),
    }
    numbers: dict[tuple[int, Mark], int] = {}

    def style(base: int, mark: Mark) -> int:
        return numbers.setdefault((base, mark), 10 + len(numbers))

    editor = SheetEditor(marks, 2, style, again=again)
    out = b""
    for at in range(0, len(xml), size):
        piece = xml[at : at + size]
        editor.parser.Parse(piece, False)
        out += editor.take(piece)
    editor.parser.Parse(b"", True)
    return out + editor.take(b"")


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_the_cuts_of_the_stream_make_no_difference(size: int, again: bool) -> None:
    xml = (
        f'<?xml version="1.0"?>\n<!-- > --><worksheet xmlns="{MAIN}"><dimension ref="A1:B3" />'
        '<cols><col min="1" max="3" width="5"/></cols><sheetData>'
        '<row r="1"><c r="A1" t="str"><v>东门</v></c></row>'
        '<row r="2"><c r="C2" x="a>b"><v>1</v></c></row>'
        '<row r="3" spans="1:9"><c r="B3" s=\'4\' t="str"><v>a&amp;b</v></c><c r="C3"/></row >'
        '<row r="4"/></sheetData><mergeCells/></worksheet>\n'
    ).encode()
    whole = edited(xml, len(xml), again=again)
    assert edited(xml, size, again=again) == whole
    assert whole.startswith(b'<?xml version="1.0"?>\n<!-- > --><worksheet')
    assert (b'<c r="C2"' in whole) is not again
    assert b'<row r="3"><c r="A3" s="11"/><c s="12" r="B3" t="str">' in whole
    assert b"_x005F_x0041_ _x0001_" in whole
    assert whole.endswith(b'<row r="4"/></sheetData><mergeCells/></worksheet>\n')


texts = st.text("a东 <&>\"'=_x0041\n", max_size=8)


@given(
    st.lists(st.lists(texts, min_size=3, max_size=3), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(1, 7), st.sampled_from(["", "code", "name", "x", "?"]))),
)
@settings(max_examples=60, deadline=None)
def test_whatever_is_found_the_rows_stay_what_they_were(
    rows: list[list[str]], found: list[tuple[int, str]]
) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["code", "name", "x"])
    for number, row in enumerate(rows, 2):
        for at, text in enumerate(row, 1):
            if text:
                sheet.cell(number, at, text)
    content = saved(book)
    findings = [finding(row, column) for row, column in found]
    assert rows_of(back(content, *findings)) == rows_of(content)
    assert rows_of(back(back(content, *findings), *findings[1:])) == rows_of(content)


@given(
    st.sampled_from(sorted(parts(form()))),
    st.floats(0, 1),
    st.binary(min_size=1, max_size=6),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_a_mangled_workbook_is_a_sentence_here_too(
    name: str, where: float, data: bytes, cut: bool
) -> None:
    content = parts(form())
    at = int(where * len(content[name]))
    content[name] = content[name][:at] + (b"" if cut else data + content[name][at:])
    try:
        back(packed(content), finding(3, "on"), finding(4, ""))
    except FileRefused as error:
        refused = error
    else:
        return
    assert str(refused)[-1] in ".)"


def test_a_full_disk_is_not_taken_for_a_broken_file() -> None:
    class Full(io.BytesIO):
        def write(self, _data: Any) -> int:
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        annotated(form(), "xlsx", [], Full())

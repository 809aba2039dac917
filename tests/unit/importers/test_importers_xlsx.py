"""XLSX: what cells mean, which sheet and row are read, and files that are not what they seem."""

from __future__ import annotations

import datetime
import io
import tracemalloc
import zipfile

import openpyxl
import pytest

from camera_registry.importers import sheet
from camera_registry.importers import workbook as package
from camera_registry.importers.readers import open_table
from camera_registry.importers.rows import FileRefused, SourceRow, SourceTable
from support.workbooks import MAIN, by_hand, packed, parts, saved, workbook

HEAD = (
    '<row r="1"><c r="A1" t="str"><v>code</v></c><c r="B1" t="str"><v>name</v></c>'
    '<c r="C1" t="str"><v>x</v></c></row>'
)


def read(content: bytes) -> tuple[SourceTable, list[SourceRow]]:
    table = open_table(io.BytesIO(content), "cameras.xlsx")
    return table, list(table.rows)


def refusal(content: bytes) -> FileRefused:
    with pytest.raises(FileRefused) as refused:
        read(content)
    assert str(refused.value)[-1] in ".)"
    return refused.value


def cell(xml: str, **more: str) -> SourceRow:
    """The row that one cell of XML makes in column C."""
    _, rows = read(by_hand(f'{HEAD}<row r="2"><c r="A2" t="str"><v>1</v></c>{xml}</row>', **more))
    return rows[0]


def test_texts_numbers_dates_and_booleans() -> None:
    day = datetime.datetime(2024, 5, 1)
    table, rows = read(
        workbook(
            ("code", "name", "n", "lon", "on", "at", "ok"),
            ("11011200001320000001", " 东门\n西 ", 3, 116.3912345, day, day.replace(hour=8), True),
            ("007", "x", 3.0, 39.900000000000006, datetime.time(8, 30), -0.5, False),
        )
    )
    assert table.kind == "xlsx"
    assert table.headings == ("code", "name", "n", "lon", "on", "at", "ok")
    assert dict(rows[0].cells) == {
        "code": "11011200001320000001",
        "name": "东门\n西",
        "n": "3",
        "lon": "116.3912345",
        "on": "2024-05-01",
        "at": "2024-05-01T08:00:00",
        "ok": "true",
    }
    assert dict(rows[1].cells) == {
        "code": "007",
        "name": "x",
        "n": "3",
        "lon": "39.9",
        "on": "08:30:00",
        "at": "-0.5",
        "ok": "false",
    }


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("1", "1"),
        ("1.0", "1"),
        ("-0", "0"),
        ("1E3", "1000"),
        ("1e-7", "0.0000001"),
        ("999999999999999", "999999999999999"),
        ("110112000013.5", "110112000013.5"),
        ("0.30000000000000004", "0.3"),
    ],
)
def test_a_number_reads_as_it_is_shown(raw: str, text: str) -> None:
    assert sheet.number(raw) == text


@pytest.mark.parametrize("raw", ["1.1011200001320001E+19", "11011200001320000001", "1e15", "nan"])
def test_a_number_that_lost_digits_is_a_fault(raw: str) -> None:
    row = cell(f'<c r="C2"><v>{raw}</v></c>')
    assert row.faults["x"].code == "number_lost_digits"
    assert "format the column as text" in row.faults["x"].sentence
    assert "x" not in row.cells


@pytest.mark.parametrize(
    ("xml", "code"),
    [
        ('<c r="C2"><f>A2+1</f><v>2</v></c>', "formula_cell"),
        ('<c r="C2"><f t="shared" si="0"/></c>', "formula_cell"),
        ('<c r="C2" t="str"><f>A2</f><v>kept text</v></c>', "formula_cell"),
        ('<c r="C2" t="e"><v>#REF!</v></c>', "error_cell"),
        (f'<c r="C2" t="str"><v>{"x" * 4097}</v></c>', "cell_too_long"),
        ('<c r="C2" t="str"><v>a_x0007_b</v></c>', "control_character"),
        ('<c r="C2" t="str"><v>a_xD800_b</v></c>', "control_character"),
    ],
)
def test_a_cell_that_is_no_value_is_a_fault(xml: str, code: str) -> None:
    row = cell(xml)
    assert {heading: fault.code for heading, fault in row.faults.items()} == {"x": code}
    assert dict(row.cells) == {"code": "1"}


def test_texts_are_read_in_all_the_ways_they_are_written() -> None:
    shared = (
        "<si><t>东门</t></si>"
        '<si><r><t>rich</t></r><r><rPr><b/></rPr><t xml:space="preserve"> text</t></r></si>'
        "<si><t>東京</t><rPh><t>とうきょう</t></rPh></si><si/>"
    )

    def of(xml: str) -> str | None:
        return cell(xml, shared=shared).cells.get("x")

    assert of('<c r="C2" t="s"><v>0</v></c>') == "东门"
    assert of('<c r="C2" t="s"><v>1</v></c>') == "rich text"
    assert of('<c r="C2" t="s"><v>2</v></c>') == "東京"
    assert of('<c r="C2" t="s"><v>3</v></c>') is None
    assert of('<c r="C2" t="inlineStr"><is><r><t>a</t></r><r><t>b</t></r></is></c>') == "ab"
    assert of('<c t="str"><v>next</v></c>') is None  # stands in column B: no reference, no gap
    assert of('<c r="C2" t="str"><v>a_x000D__x005F_x_y</v></c>') == "a\r_x_y"
    assert of('<c r="C2" t="d"><v>2024-05-01T00:00:00Z</v></c>') == "2024-05-01"
    assert of("<c r='C2' t='str'><v>a&amp;&#10;b&lt;![CDATA[</v></c>") == "a&\nb<![CDATA["


def test_number_formats_say_what_a_number_means() -> None:
    styles = (
        '<numFmts><numFmt numFmtId="164" formatCode="000000"/>'
        '<numFmt numFmtId="165" formatCode="yyyy/m/d"/></numFmts>'
        '<cellXfs><xf/><xf numFmtId="164"/><xf numFmtId="165"/><xf numFmtId="14"/></cellXfs>'
    )
    assert cell('<c r="C2" s="1"><v>42</v></c>', styles=styles).cells["x"] == "000042"
    assert cell('<c r="C2" s="2"><v>45413</v></c>', styles=styles).cells["x"] == "2024-05-01"
    assert cell('<c r="C2" s="3"><v>45413.0</v></c>', styles=styles).cells["x"] == "2024-05-01"
    fault = cell('<c r="C2" s="3"><v>99999999</v></c>', styles=styles).faults["x"]
    assert fault.code == "date_unreadable"


def test_days_may_be_counted_from_1904() -> None:
    content = parts(workbook(("code", "on"), ("a", datetime.date(2024, 5, 1))))
    assert read(packed(content))[1][0].cells["on"] == "2024-05-01"
    main = content["xl/workbook.xml"].replace(b"<workbookPr/>", b'<workbookPr date1904="1"/>')
    assert read(packed(content | {"xl/workbook.xml": main}))[1][0].cells["on"] == "2028-05-02"


@pytest.mark.parametrize("prefix", ["", "x"])
def test_rows_keep_their_numbers_and_empty_ones_are_none(prefix: str) -> None:
    text = (
        f'{HEAD}<row r="3"><c r="A3" s="0"/></row><row r="5" hidden="1"><c r="B5" t="str">'
        '<v>a</v></c></row><row><c><v>6</v></c></row><row r="9999"/><row r="20000"><c r="B20000" '
        't="str"><v> </v></c></row>'
    )
    if prefix:
        for name in ("row", "c", "v"):
            text = text.replace(f"<{name}", f"<x:{name}").replace(f"</{name}>", f"</x:{name}>")
        text = text.replace("<x:code", "<code")
    _, rows = read(by_hand(text, prefix=prefix))
    assert [(row.number, dict(row.cells)) for row in rows] == [
        (5, {"name": "a"}),
        (6, {"code": "6"}),
    ]


def test_the_first_visible_sheet_with_a_heading_is_read_below_its_title() -> None:
    book = openpyxl.Workbook()
    hidden, notes, cameras = book.active, book.create_sheet("notes"), book.create_sheet("cameras")
    assert hidden is not None
    hidden.append(["code", "name"])
    hidden.append(["of the hidden sheet", "x"])
    hidden.sheet_state = "hidden"
    notes.append(["Fill in the next sheet"])
    cameras.append(["一机一档"])
    cameras.merge_cells("A1:C1")
    cameras.append([])
    cameras.append(["code", "name"])
    cameras.append(["1", "a"])
    table, rows = read(saved(book))
    assert table.heading_row == 3
    assert rows == [SourceRow(4, {"code": "1", "name": "a"})]


def test_a_value_beyond_the_headings_is_a_fault_of_its_row() -> None:
    _, rows = read(workbook(("code", "name"), ("1", "a", None, "b"), ("2", "b", None, None)))
    assert rows[0].faults[""].code == "cell_without_heading"
    assert rows[1].faults == {}
    _, rows = read(workbook(("code", "name"), ("1", "a", None, "=1+1")))
    assert set(rows[0].faults) == {""}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600), "old_xls"),
        (
            bytes.fromhex("d0cf11e0a1b11ae1") + "EncryptedPackage".encode("utf-16-le"),
            "file_encrypted",
        ),
        (workbook(("code", "name"))[:-30], "xlsx_broken"),
        (workbook(("code", "name"))[:100], "xlsx_broken"),
        (packed({"a.txt": b"a"}), "not_xlsx"),
        (workbook(), "heading_missing"),
        (workbook((1, 2), (3, 4)), "heading_missing"),
        (workbook(("code", "code", "name")), "heading_twice"),
        (workbook([f"c{n}" for n in range(257)]), "too_many_columns"),
        (workbook(("code", "name", "=1+1")), "heading_unreadable"),
        (by_hand(HEAD + '<row r="2"><c r="XFE2"><v>1</v></c></row>'), "too_many_columns"),
        (by_hand(HEAD + '<row r="2"><c r="2"><v>1</v></c></row>'), "xlsx_broken"),
        (by_hand(HEAD + '<row r="2"><c r="A2" t="s"><v>7</v></c></row>'), "xlsx_broken"),
        (by_hand(HEAD + '<row r="2"><c r="A2" t="s"><v>-1</v></c></row>'), "xlsx_broken"),
        (by_hand(HEAD + '<row r="2"><c r="A2" t="?"><v>7</v></c></row>'), "xlsx_broken"),
        (by_hand(HEAD + '<row r="1"/>'), "xlsx_broken"),
        (by_hand(HEAD + '<row r="2000000"/>'), "xlsx_broken"),
        (by_hand(HEAD + '<row r="2"><c r="B2"/><c r="A2"/></row>'), "xlsx_broken"),
        (by_hand(HEAD + "<row>"), "xlsx_broken"),
        (by_hand(HEAD + "<!--" + "x" * (3 << 20) + "-->"), "zip_bomb"),
        (by_hand(HEAD + "<!--" + "xyz12" * 9 + "-->&nothing;"), "xlsx_broken"),
    ],
)
def test_a_broken_file_is_a_sentence(content: bytes, code: str) -> None:
    assert refusal(content).code == code


def test_a_workbook_with_a_password_is_told_from_a_broken_one() -> None:
    content = bytearray(workbook(("code", "name")))
    at = content.find(b"PK\x01\x02")
    content[at + 8] |= 1
    assert refusal(bytes(content)).code == "file_encrypted"


@pytest.mark.parametrize("part", ["xl/worksheets/sheet1.xml", "xl/workbook.xml", "xl/styles.xml"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_an_entity_bomb_is_refused_before_it_grows(part: str, encoding: str) -> None:
    ladder = "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    content = parts(workbook(("code", "name"), ("1", datetime.date(2024, 1, 1))))
    root = content[part].decode().partition("?>")[2] or content[part].decode()
    bomb = f'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{ladder}]>{root.replace("</", "&i;</", 1)}'
    if encoding == "utf-16":
        bomb = f'<?xml version="1.0" encoding="UTF-16"?>{bomb}'
    content[part] = bomb.encode(encoding)
    tracemalloc.start()
    try:
        assert refusal(packed(content)).code == "xml_declares_entities"
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    content = parts(workbook(("code", "name")))
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as out:
        for name, part in content.items():
            out.writestr(name, part)
        with out.open("xl/media/image1.png", "w") as member:
            for _ in range(64):
                member.write(bytes(1 << 20))
    tracemalloc.start()
    try:
        assert refusal(bomb.getvalue()).code == "zip_bomb"
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_bomb_of_many_parts_is_refused_before_they_are_listed() -> None:
    content = workbook(("code", "name")) + b"PK\x01\x02" * (package.MAX_MEMBERS + 1)
    assert refusal(content).code == "zip_bomb"


def test_all_parts_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    content = workbook(("code", "name"))
    monkeypatch.setattr(package, "MAX_UNPACKED_BYTES", sum(map(len, parts(content).values())))
    read(content)
    monkeypatch.setattr(package, "MAX_UNPACKED_BYTES", sum(map(len, parts(content).values())) - 1)
    assert refusal(content).code == "zip_bomb"
    monkeypatch.undo()
    monkeypatch.setattr(package, "MAX_STRINGS_BYTES", 10)
    assert refusal(by_hand(HEAD, shared="<si><t>0123456789</t></si>")).code == "too_many_texts"


def test_a_text_of_many_mebibytes_is_not_held() -> None:
    # Repeated words with varying numbers: long, and not so monotonous as to be taken for a bomb.
    long = "".join(f"w{n % 7919 * 104729:x} " for n in range(2_000_000))
    tracemalloc.start()
    try:
        content = by_hand(f'{HEAD}<row r="2"><c r="A2" t="str"><v>{long}</v></c></row>')
        tracemalloc.clear_traces()
        tracemalloc.reset_peak()
        rows = list(open_table(content, "cameras.xlsx").rows)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert rows[0].faults["code"].code == "cell_too_long"


def test_a_tag_without_an_end_is_refused_early() -> None:
    noise = "".join(f"{n % 7919 * 104729:x}" for n in range(600_000))
    assert "tag without an end" in str(refusal(by_hand(f'{HEAD}<row x="{noise}"/>')))


def test_the_strict_form_of_the_standard_is_read() -> None:
    strict = MAIN.replace(
        "schemas.openxmlformats.org/spreadsheetml/2006", "purl.oclc.org/ooxml/spreadsheetml"
    )
    content = {
        k: v.replace(MAIN.encode(), strict.encode())
        for k, v in parts(by_hand(HEAD + '<row><c t="str"><v>1</v></c></row>')).items()
    }
    assert read(packed(content))[1][0].cells == {"code": "1"}

"""CSV as spreadsheet programs write it: encodings told apart, rows counted as they count."""

from __future__ import annotations

import io
import tracemalloc

import pytest

from camera_registry.importers import grid, templates
from camera_registry.importers.readers import MAX_FILE_BYTES, open_table
from camera_registry.importers.rows import MAX_CELL_CHARS, FileRefused, SourceRow, SourceTable

HEADING = "设备编码,设备名称,安装地址\r\n"


def read(text: str | bytes) -> tuple[SourceTable, list[SourceRow]]:
    content = text.encode() if isinstance(text, str) else text
    table = open_table(io.BytesIO(content), "cameras.csv")
    return table, list(table.rows)


def refusal(text: str | bytes) -> FileRefused:
    with pytest.raises(FileRefused) as refused:
        read(text)
    return refused.value


@pytest.mark.parametrize(
    ("codec", "told"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("gb18030", "gb18030"),
        ("gbk", "gb18030"),
        ("utf-16", "utf-16"),
    ],
)
def test_encodings_are_told_apart(codec: str, told: str) -> None:
    table, rows = read((HEADING + "11011200001320000001,东门,朝阳门外大街 5 号\r\n").encode(codec))
    assert table.encoding == told
    assert table.kind == "csv"
    assert table.headings == ("设备编码", "设备名称", "安装地址")
    assert rows == [
        SourceRow(
            2,
            {
                "设备编码": "11011200001320000001",
                "设备名称": "东门",
                "安装地址": "朝阳门外大街 5 号",
            },
        )
    ]


def test_what_only_gb18030_has_is_read() -> None:
    _, rows = read((HEADING + "1,㐂𠮷洹剑波,联通\n").encode("gb18030"))
    assert rows[0].cells["设备名称"] == "㐂𠮷洹剑波"
    assert rows[0].cells["安装地址"] == "联通"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_the_one_of_the_heading(delimiter: str) -> None:
    text = delimiter.join(["code", "name", "a,b;c"]) if delimiter == "\t" else ""
    text = text or delimiter.join(["code", "name", '"a,b;c"'])
    table, rows = read(f"{text}\n{delimiter.join(['1', '2', '3'])}\n")
    assert table.headings == ("code", "name", "a,b;c")
    assert rows[0].cells == {"code": "1", "name": "2", "a,b;c": "3"}


def test_semicolons_within_cells_do_not_make_a_delimiter() -> None:
    table, rows = read("code,name\n1,a;b;c;d;e\n")
    assert table.headings == ("code", "name")
    assert rows[0].cells["name"] == "a;b;c;d;e"


def test_rows_are_counted_not_lines_and_blank_ones_count() -> None:
    _, rows = read('code,name\r\n1,"a\r\nb\nc"\r\n\r\n,\r\n2,"say ""x"""')
    assert [(row.number, dict(row.cells)) for row in rows] == [
        (2, {"code": "1", "name": "a\r\nb\nc"}),
        (5, {"code": "2", "name": 'say "x"'}),
    ]


def test_the_heading_may_stand_below_a_title() -> None:
    table, rows = read("一机一档,,\n,,\n2024,1,2\ncode,name,x\n1,2,3\n")
    assert table.heading_row == 4
    assert table.headings == ("code", "name", "x")
    assert [row.number for row in rows] == [5]


def test_a_cell_under_no_heading_is_a_fault_of_its_row_down_to_the_camera() -> None:
    table, rows = read(HEADING + "1,a,b,\r\n2,a,b,surplus\r\n")
    assert rows[0].faults == {}
    assert rows[1].faults[""].code == "cell_without_heading"
    camera = templates.shipped("archive-27").bind(table.headings).camera(rows[1])
    assert [(f.row, f.column, f.code, f.severity) for f in camera.faults] == [
        (3, "", "cell_without_heading", "error")
    ]


def test_empty_cells_without_an_end_are_nothing() -> None:
    _, rows = read(f"code,name\n1,2{',' * 300_000}\n")
    assert rows == [SourceRow(2, {"code": "1", "name": "2"})]


def test_a_gap_in_the_heading_is_taken_until_something_stands_under_it() -> None:
    table, rows = read("code,,name\n1,,a\n2,x,b\n")
    assert table.headings == ("code", "name")
    assert rows[0] == SourceRow(2, {"code": "1", "name": "a"})
    assert set(rows[1].faults) == {""}


def test_a_row_of_another_encoding_is_named() -> None:
    gb = "2,西门,某街\n".encode("gb18030")
    found = refusal((HEADING + "1,东门,某街\n").encode() + gb)
    assert found.code == "mixed_encodings"
    assert "Row 3, column B" in str(found)
    found = refusal((HEADING + "1,东门,某街\n").encode("gb18030") + "2,x,西门\n".encode())
    assert found.code in ("mixed_encodings", "undecodable")
    assert "Row 3, column C" in str(found)


def test_utf8_that_is_gb18030_by_chance_is_still_noticed() -> None:
    by_chance = "西门"  # six bytes: two characters of UTF-8, three of GB18030
    assert by_chance.encode().decode("gb18030") == "瑗块棬"
    found = refusal((HEADING + "1,东门,某街\n").encode("gb18030") + f"2,x,{by_chance}\n".encode())
    assert found.code == "mixed_encodings"
    assert "Row 3, column C" in str(found)


def test_bytes_of_no_encoding_are_named_by_row() -> None:
    found = refusal(HEADING.encode("gb18030") + b"1,\xff\xff,x\n")
    assert found.code == "undecodable"
    assert "Row 2, column B" in str(found)
    assert refusal((HEADING + "1,a,b\n").encode("utf-16")[:-1]).code == "undecodable"


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("", "file_empty", "empty"),
        (" \r\n ", "file_empty", "empty"),
        ("only\n1\n", "heading_missing", "first 10 rows"),
        ("1,2\n3,4\n", "heading_missing", "names of the columns"),
        ("\n" * 10 + "code,name\n1,2\n", "heading_missing", "first 10 rows"),
        ("code,name,code\n1,2,3\n", "heading_twice", "columns 1 and 3"),
        ('code,name\n1,2\n2,"never closed\n3,4\n', "csv_broken", "Row 3"),
        ('code,name\n1,"a"b\n', "csv_broken", "Row 2"),
        ("code,name\n1,\x00\n", "not_a_table", "neither CSV nor XLSX"),
        (f"code,name\n1,2\n3,{'x' * (MAX_CELL_CHARS + 1)}\n", "cell_too_long", "Row 3"),
        (",".join(f"c{n}" for n in range(257)), "too_many_columns", "256"),
        (f"code,name\n1,2{',' * 300_000}x\n", "too_many_columns", "256"),
    ],
)
def test_a_broken_file_is_a_sentence(text: str, code: str, says: str) -> None:
    found = refusal(text)
    assert found.code == code
    assert says in str(found)


def test_a_character_that_cannot_be_printed_is_a_fault_of_its_cell() -> None:
    _, rows = read("code,name\n1,a\x07b\n2,c\n")
    assert rows[0].faults["name"].code == "control_character"
    assert rows[0].cells == {"code": "1"}
    assert rows[1] == SourceRow(3, {"code": "2", "name": "c"})


def test_a_code_that_a_spreadsheet_program_spoiled_is_a_fault_of_its_cell() -> None:
    _, rows = read("code,name\n1.10112E+19,a\n11011200001320000001,1E5\n")
    assert rows[0].faults["code"].code == "number_lost_digits"
    assert rows[1].faults == {}


def test_more_rows_than_a_file_may_have_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "MAX_ROWS", 3)
    read("code,name\n" + "1,2\n" * 3)
    assert refusal("code,name\n" + "1,2\n" * 4).code == "too_many_rows"


class Endless:
    """A file whose last field is 2 GiB long, made as it is read."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self.given = 0

    def read(self, size: int) -> bytes:
        size = min(size, (2 << 30) - self.given)
        piece = (self._head + b"x" * size)[:size]
        self._head = b""
        self.given += size
        return piece


@pytest.mark.parametrize("head", [b"code,name\n1,", b'code,name\n1,"', b'[{"name":"'])
def test_a_field_of_2_gib_is_refused_after_what_a_file_may_have(head: bytes) -> None:
    stream = Endless(head)
    tracemalloc.start()
    try:
        with pytest.raises(FileRefused) as refused:
            open_table(stream, "cameras.csv")  # type: ignore[arg-type]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused.value.code == "file_too_large"
    assert stream.given <= MAX_FILE_BYTES + (1 << 20)
    assert peak < MAX_FILE_BYTES + (8 << 20)


@pytest.mark.parametrize(
    "field", [b"x" * (24 << 20), b'"' + b"x" * (24 << 20), b'"' + b"x\n" * (12 << 20)]
)
def test_a_field_within_that_size_is_refused_without_being_held(field: bytes) -> None:
    content = b"code,name\n1," + field
    tracemalloc.start()
    try:
        with pytest.raises(FileRefused) as refused:
            list(open_table(content, "cameras.csv").rows)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused.value.code == "cell_too_long"
    assert peak < 16 << 20

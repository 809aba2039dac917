"""Whatever happens to a file on its way, it is a table or a sentence, never a trace."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from camera_registry.importers.readers import open_table
from camera_registry.importers.rows import FileRefused
from support.workbooks import by_hand, packed, parts, workbook

ROWS = (
    ("设备编码", "设备名称", "经度", "安装时间"),
    ("11011200001320000001", "东门\n北侧", 116.39, datetime.date(2024, 5, 1)),
    ("11011200001320000002", "西门, 西侧", 116.40, datetime.datetime(2024, 5, 1, 8)),
)
CSV = "设备编码,设备名称,经度\r\n1,\"东\n门\",116.39\r\n\r\n2,'西门',x\r\n"
SHARED = by_hand(
    '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>'
    '<row r="2"><c r="A2" t="s"><v>2</v></c><c r="B2" s="1"><v>45413</v></c></row>',
    shared="<si><t>设备编码</t></si><si><t>设备名称</t></si><si><r><t>a</t></r></si>",
    styles='<cellXfs><xf/><xf numFmtId="14"/></cellXfs>',
)
FILES = {
    "utf-8": CSV.encode(),
    "gb18030": CSV.encode("gb18030"),
    "utf-16": CSV.encode("utf-16"),
    "json": '{"cameras": [{"设备编码": 1, "b": [1]}, {"设备编码": "\\ud800", "c": 1.5}]}'.encode(),
    "xlsx": workbook(*ROWS),
    "shared": SHARED,
}


def read(content: bytes) -> None:
    """Reads all of it, or meets a refusal that says what to do."""
    try:
        for row in open_table(content, "cameras").rows:
            assert row.cells or row.faults
            "".join(row.cells.values()).encode()  # nothing that can't be stored
    except FileRefused as error:
        refused = error
    else:
        return
    assert refused.code
    assert str(refused)[-1] in ".)"


mangles = st.lists(
    st.one_of(
        st.tuples(st.just("cut"), st.floats(0, 1), st.just(b"")),
        st.tuples(st.just("flip"), st.floats(0, 1), st.binary(min_size=1, max_size=4)),
        st.tuples(st.just("insert"), st.floats(0, 1), st.binary(min_size=1, max_size=16)),
        st.tuples(st.just("drop"), st.floats(0, 1), st.binary(min_size=1, max_size=16)),
        st.tuples(st.just("again"), st.floats(0, 1), st.binary(min_size=1, max_size=64)),
    ),
    min_size=1,
    max_size=4,
)


def mangled(content: bytes, steps: list[tuple[str, float, bytes]]) -> bytes:
    for step, where, data in steps:
        at = int(where * len(content))
        size = len(data)
        if step == "cut":
            content = content[:at]
        elif step == "flip":
            piece = bytes(a ^ b for a, b in zip(content[at:], data, strict=False))
            content = content[:at] + piece + content[at + len(piece) :]
        elif step == "insert":
            content = content[:at] + data + content[at:]
        elif step == "drop":
            content = content[:at] + content[at + size :]
        else:
            content = content[: at + size] + content[at:]
    return content


@pytest.mark.parametrize("name", FILES)
@given(steps=mangles)
@settings(max_examples=300, deadline=None)
def test_a_mangled_file_is_a_table_or_a_sentence(
    name: str, steps: list[tuple[str, float, bytes]]
) -> None:
    read(mangled(FILES[name], steps))


@pytest.mark.parametrize("file", ["xlsx", "shared"])
@given(data=st.data(), steps=mangles)
@settings(max_examples=400, deadline=None)
def test_so_is_a_workbook_of_which_one_part_is_mangled(
    file: str, data: st.DataObject, steps: list[tuple[str, float, bytes]]
) -> None:
    content = parts(FILES[file])
    name = data.draw(st.sampled_from(sorted(content)))
    content[name] = mangled(content[name], steps)
    read(packed(content))


@given(
    number=st.text("0123456789.-+eE _xnaif", max_size=24),
    kind=st.sampled_from(["n", "b", "d", "e", "s", "str", "inlineStr", "", "z"]),
    style=st.sampled_from(["0", "1", "2", "-1", "x", "1e9"]),
    reference=st.sampled_from(["A2", "B2", "2", "IV2", "IW2", "XFD2", "AAAA2", "a2", "A", "$A$2"]),
)
@example(number="1e400", kind="n", style="0", reference="A2")
@example(number="-1", kind="n", style="1", reference="A2")
@settings(max_examples=400, deadline=None)
def test_so_is_a_cell_of_any_type_and_style(
    number: str, kind: str, style: str, reference: str
) -> None:
    cell = f'<row><c r="{reference}" t="{kind}" s="{style}"><v>{number}</v></c></row>'
    head = '<row><c t="str"><v>code</v></c><c t="str"><v>name</v></c></row>'
    styles = (
        '<numFmts><numFmt numFmtId="170" formatCode="0000"/></numFmts>'
        '<cellXfs><xf/><xf numFmtId="14"/><xf numFmtId="170"/></cellXfs>'
    )
    read(by_hand(head + cell, styles=styles, shared="<si><t>a</t></si>"))


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_so_are_any_bytes(content: bytes) -> None:
    read(content)
    read(b"PK\x03\x04" + content)
    read(b'[{"a":' + content)

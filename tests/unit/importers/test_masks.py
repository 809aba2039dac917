"""Files come back without their passwords, and a mark is never taken for one."""

from __future__ import annotations

import io
import json
from typing import Literal

import openpyxl
import pytest
from openpyxl.comments import Comment

from camera_registry.importers.annotate import annotated
from camera_registry.importers.masks import MARK, is_mark, masked, secret_headings
from camera_registry.importers.readers import open_table
from camera_registry.importers.rows import Finding
from camera_registry.importers.templates import shipped
from camera_registry.importers.texts import secret_heading
from support.workbooks import parts, saved, workbook

WORD = "s3cret-word"
HEADINGS = ("设备编码", "设备名称", "主码流地址", "设备用户名", "设备口令", "备注")
ROW = ("1", "东门", f"rtsp://ops:{WORD}@192.0.2.9:8554/a?b=1", "ops", WORD, f"口令：{WORD}")


def back(content: bytes, kind: Literal["csv", "xlsx", "json"], **secret: bool) -> bytes:
    out = io.BytesIO()
    annotated(content, kind, [Finding(2, "设备编码", "bad", "It is bad.")], out, secret=secret)
    return out.getvalue()


def told(content: bytes) -> bytes:
    return b"\n".join(parts(content).values())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://ops:pw@192.0.2.9/a", "rtsp://ops:***@192.0.2.9/a"),
        (" rtsp://ops:p@w@192.0.2.9/a", " rtsp://ops:***@192.0.2.9/a"),
        ("rtsp://ops:@192.0.2.9/a", "rtsp://ops:***@192.0.2.9/a"),
        ("rtsp://ops@192.0.2.9/a", "rtsp://ops@192.0.2.9/a"),
        ("rtsp://ops:p/w@192.0.2.9/a", MARK),  # no address of ours
        ("http://ops:pw@192.0.2.9/a", MARK),
        ("rtsp://192.0.2.9/a?user=ops&password=pw", MARK),
        ("ops:pw@192.0.2.9", MARK),
        ("password: pw", MARK),
        ("rtsp://ops:***@192.0.2.9/a", "rtsp://ops:***@192.0.2.9/a"),
        ("rtsp://192.0.2.9:8554/a", "rtsp://192.0.2.9:8554/a"),
        ("someone@example.org", "someone@example.org"),
        ("东门 12:30", "东门 12:30"),
        ("", ""),
    ],
)
def test_a_text_is_shown_without_its_password(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert masked(shown) == shown


@pytest.mark.parametrize(
    ("text", "mark"),
    [("***", True), (" ****** ", True), ("•••", True), ("**", False), ("a***", False), ("", False)],
)
def test_marks_of_ours_and_of_other_programs_are_known(text: str, mark: bool) -> None:
    assert is_mark(text) is mark


@pytest.mark.parametrize("kind", ["csv", "xlsx", "json"])
def test_no_kind_of_file_comes_back_with_a_password(kind: Literal["csv", "xlsx", "json"]) -> None:
    content = {
        "csv": "\n".join((",".join(HEADINGS), ",".join(ROW))).encode(),
        "xlsx": workbook(HEADINGS, ROW),
        "json": json.dumps([dict(zip(HEADINGS, ROW, strict=True))]).encode(),
    }[kind]
    made = back(content, kind)
    assert WORD.encode() not in told(made)
    [row] = open_table(made, "x").rows
    shown = ("1", "东门", "rtsp://ops:***@192.0.2.9:8554/a?b=1", "ops", MARK, MARK)
    assert tuple(row.cells[heading] for heading in HEADINGS) == shown


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_camera_that_is_taken_for_the_headings_is_masked_too(
    kind: Literal["csv", "xlsx"],
) -> None:
    first = ("东门", f"rtsp://ops:{WORD}@192.0.2.9/a", f"口令：{WORD}", "ops:x")
    rows = (first, ("西门", "", "", ""))
    lines = "\n".join(",".join(row) for row in rows)
    content = lines.encode() if kind == "csv" else workbook(*rows)
    out = io.BytesIO()
    of_heading = Finding(2, first[1], "bad", f"{first[1]} is bad.")
    annotated(content, kind, [of_heading, Finding(2, first[2], "bad", "It is bad.")], out)
    made = out.getvalue()
    assert WORD.encode() not in told(made)
    sheet = openpyxl.load_workbook(io.BytesIO(made)).worksheets[0]
    shown = "rtsp://ops:***@192.0.2.9/a"
    assert [cell.value for cell in sheet[1]][:4] == ["东门", shown, MARK, "ops:x"]
    assert sheet["F2"].value == f"{shown} is bad.\n***: It is bad."


def test_a_heading_of_the_form_stands_whatever_it_sounds_like() -> None:
    made = back(
        "\n".join(("设备名称,密码:8位", f"东门,{WORD}")).encode(), "csv", **{"密码:8位": True}
    )
    sheet = openpyxl.load_workbook(io.BytesIO(made)).worksheets[0]
    assert [cell.value for cell in sheet[1]][:2] == ["设备名称", "密码:8位"]
    assert sheet["B2"].value == MARK


@pytest.mark.parametrize(
    ("heading", "secret"),
    [
        *((each, True) for each in ("pw", "PW", "psw", "Pass", "登录pw", "user_pass", "userPass")),
        *((each, True) for each in ("rtsp-psw", "pass 1", "pass（必填）", "loginpw", "passwd")),
        *(
            (each, False)
            for each in ("bypass", "Overpass", "upward", "passage", "upswing", "Compass")
        ),
    ],
)
def test_headings_that_announce_passwords_are_known(heading: str, secret: bool) -> None:
    assert secret_heading(heading) is secret
    shown = back("\n".join((f"设备名称,{heading}", f"东门,{WORD}")).encode(), "csv")
    assert (WORD.encode() not in told(shown)) is secret


def test_a_form_says_which_of_its_columns_are_passwords() -> None:
    """By its field, whatever the heading sounds like."""
    known = secret_headings(shipped("full"))
    assert (known["设备口令"], known["主码流地址"]) == (True, False)
    assert "设备名称" not in known
    content = "\n".join(("设备编码,设备名称,登录码", f"1,东门,{WORD}")).encode()
    assert WORD.encode() in told(back(content, "csv"))
    assert WORD.encode() not in told(back(content, "csv", 登录码=True))


def book_without() -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["设备编码", "设备名称", "设备口令"])
    sheet.append(["1", "东门", None])
    sheet["B2"].font = openpyxl.styles.Font(bold=True)
    book.create_sheet("代码表").append(["1", "海康威视"])
    return book


def test_a_workbook_without_a_password_comes_back_as_it_was() -> None:
    made = openpyxl.load_workbook(io.BytesIO(back(saved(book_without()), "xlsx")))
    assert made.sheetnames == ["Sheet", "代码表"]
    assert made["Sheet"]["B2"].font.bold


@pytest.mark.parametrize("where", ["another sheet", "a hidden sheet", "a note", "a formula"])
def test_what_lies_beside_the_sheet_that_is_read_does_not_come_back(where: str) -> None:
    book = book_without()
    if where == "a note":
        book["Sheet"]["B2"].comment = Comment(f"口令：{WORD}", "x")
    elif where == "a formula":
        book["Sheet"]["C2"] = f'="{WORD}"'
    else:
        other = book.create_sheet("old")
        other.append(["设备", "密码"])
        other.append(["1", WORD])
        other.sheet_state = "hidden" if where == "a hidden sheet" else "visible"
    content = saved(book)
    assert WORD.encode() in told(content)
    made = back(content, "xlsx")
    assert WORD.encode() not in told(made)
    [row] = open_table(made, "x").rows
    assert row.cells["设备名称"] == "东门"

"""The text that a channel is found by, the pieces of a question, and their runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_registry.domain import Channel, DeviceClass
from camera_registry.pinyin import MAX_READINGS, POLYPHONES, readings
from camera_registry.search_text import BORDER, pieces, runs, runs_of, search_text


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("新华大街3号", [("xinhuadajie3hao", "xhdj3h")]),
        ("重庆路", [("chongqinglu", "cql"), ("zhongqinglu", "zql")]),  # the word's reading first
        ("绿地Gate", [("lvdiGate", "ldGate")]),
        ("Gate 3", []),
        ("", []),
    ],
)
def test_names_are_read_as_they_are_typed(name: str, found: list[tuple[str, str]]) -> None:
    assert readings(name) == found


def test_readings_of_a_name_are_few_and_each_once() -> None:
    many = readings("".join(POLYPHONES))
    assert len(many) == len(set(many)) == MAX_READINGS
    for usual, *_ in POLYPHONES.values():
        assert usual.isascii()


def test_a_text_has_each_part_once_and_none_runs_over_a_border() -> None:
    facts = {"common_name": "a座 东门", "address": "Road 12"}
    code, kind = "11011200001320000001", DeviceClass.ALLEY
    channel = Channel("c", "d", "a", code, "Ａ座　东门", kind, "rtsp://h/", None, facts=facts)
    assert search_text(channel).split(BORDER) == [
        "XaX座X",
        "X东X门X",
        "XrXoXaXdX",
        "X1X2X",
        "XaXzXdXmX",
        "road",
        "azuodongmen",
        "azdm",
        "11011200001320000001",
    ]


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        (" 新华  街 ", ("X新X华X", "X街X")),
        ("XHDJ xh", ("xhdj", "XxXhX")),
        ("新华dajie", ("X新X华X", "dajie")),
        ("12号", ("X1X2X号X",)),
        ("ＡＢＣ", ("abc",)),
        ("街 街", ("X街X",)),
        ("a\0", ("XaX", "X\N{REPLACEMENT CHARACTER}X")),  # beside a letter: another word
        ("\n", ()),
    ],
)
def test_a_question_is_its_words_folded(question: str, asked: tuple[str, ...]) -> None:
    assert pieces(question) == asked


@pytest.mark.parametrize(
    ("piece", "asked"),
    [
        ("X街X", ("X街X",)),
        ("X新X华X", ("新X华",)),
        ("X新X华X街X", ("新X华", "华X街")),
        ("abc", ("abc",)),
        ("abcd", ("abc", "bcd")),
        ("abcdef", ("abc", "def")),
        ("abcdefg", ("abc", "def", "efg")),
        ("aaaaaa", ("aaa",)),
    ],
)
def test_runs_cover_a_piece_by_as_few_as_can_be(piece: str, asked: tuple[str, ...]) -> None:
    assert runs(piece) == asked


@given(name=st.text(min_size=1, max_size=20), start=st.integers(0, 20), chars=st.integers(1, 20))
def test_what_a_part_of_a_name_is_asked_by_is_among_the_runs_of_its_text(
    name: str, start: int, chars: int
) -> None:
    part = name[start : start + chars]
    channel = Channel("c", "d", "a", "11011200001320000001", name, DeviceClass.ALLEY, "", None)
    text = search_text(channel).replace("\0", "\N{REPLACEMENT CHARACTER}")  # as PostgreSQL has it
    for piece in pieces(part):
        if piece in text:
            assert set(runs(piece)) <= runs_of(search_text(channel))

"""JSON: lists of objects, their numbers as written, their faults by row and key."""

from __future__ import annotations

import json

import pytest

from camera_registry.importers import read_json
from camera_registry.importers.readers import open_table
from camera_registry.importers.rows import FileRefused, SourceRow, SourceTable


def read(text: str | bytes) -> tuple[SourceTable, list[SourceRow]]:
    table = open_table(text.encode() if isinstance(text, str) else text, "cameras.json")
    return table, list(table.rows)


@pytest.mark.parametrize("key", ["", "cameras", "channels", "rows"])
def test_a_list_is_read_bare_or_under_a_name(key: str) -> None:
    entries = '[{"code": 1, "name": "东门"}, {}, {"code": "2", "lat": 39.900}]'
    text = f'{{"version": [1], "{key}": {entries}, "by": {{}}}}' if key else f"\ufeff {entries}\n"
    table, rows = read(text)
    assert (table.kind, table.headings) == ("json", ("code", "name", "lat"))
    assert rows == [
        SourceRow(1, {"code": "1", "name": "东门"}),
        SourceRow(3, {"code": "2", "lat": "39.900"}),
    ]


def test_a_number_keeps_all_the_digits_that_are_written() -> None:
    _, rows = read('[{"a": 11011200001320000001, "b": 0.1000000000000000055, "c": -0}]')
    assert rows[0].cells == {"a": "11011200001320000001", "b": "0.1000000000000000055", "c": "-0"}


def test_null_is_empty_and_booleans_are_words() -> None:
    _, rows = read('[{"a": null, "b": true, "c": false, "d": " ", "e": " x "}]')
    assert rows[0].cells == {"b": "true", "c": "false", "e": "x"}


@pytest.mark.parametrize(
    ("entry", "key", "code"),
    [
        ('{"a": [1]}', "a", "nested_value"),
        ('{"a": {"b": 1}}', "a", "nested_value"),
        ('{"a": []}', "a", "nested_value"),
        ('{"a": "\\u0000"}', "a", "control_character"),
        ('{"a": "\\ud800"}', "a", "control_character"),
        (json.dumps({"a": "x" * 4097}), "a", "cell_too_long"),
        ('{"a": 1, "a ": 2}', "", "key_twice"),
        ('{"": 1}', "", "key_unreadable"),
        ('{"\\ud800": 1}', "", "key_unreadable"),
        ('"a"', "", "not_an_object"),
        ("[1, 2]", "", "not_an_object"),
        ("null", "", "not_an_object"),
    ],
)
def test_a_bad_entry_is_a_fault_of_its_row(entry: str, key: str, code: str) -> None:
    _, rows = read(f'[{{"code": 1}}, {entry}, {{"code": 2}}]')
    assert [row.number for row in rows] == [1, 2, 3]
    assert {k: fault.code for k, fault in rows[1].faults.items()} == {key: code}
    assert rows[0].faults == rows[2].faults == {}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('[{"a": 1}', "json_broken"),
        ('[{"a": 1},]', "json_broken"),
        ('[{"a": 1}] x', "json_broken"),
        ('[{"a": "x', "json_broken"),
        ('{"cameras": [{"a": 1}]', "json_broken"),
        ("[" * 100_000, "json_broken"),
        ('[{"a":' * 50_000, "json_broken"),
        ('{"streams": [1]}', "json_shape"),
        ('{"cameras": 5}', "json_shape"),
        ('{"cameras": [], "rows": []}', "json_shape"),
        (b'[{"a": "\xff"}]', "undecodable"),
        (json.dumps([{f"c{n}": 1 for n in range(257)}]), "too_many_columns"),
    ],
)
def test_a_broken_file_is_a_sentence(text: str | bytes, code: str) -> None:
    with pytest.raises(FileRefused) as refused:
        read(text)
    assert refused.value.code == code
    assert str(refused.value).endswith(".")


def test_where_it_breaks_is_told() -> None:
    with pytest.raises(FileRefused, match="line 2, column 7"):
        read('[{"a":\n    1 2}]')


def test_more_entries_than_rows_of_a_file_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_json, "MAX_ROWS", 2)
    assert len(read('[{"a":1},{"a":2}]')[1]) == 2
    with pytest.raises(FileRefused) as refused:
        read('[{"a":1},{"a":2},{"a":3}]')
    assert refused.value.code == "too_many_rows"

"""The 20-digit code: taken apart, checked, and the next free one made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_registry import gb_code, validation
from camera_registry.errors import ValidationFailed

STEM = "11011201001321"
SERIALS = st.lists(st.integers(1, 30), unique=True).map(sorted)


@given(st.from_regex(r"[0-9]{20}", fullmatch=True))
def test_parts_are_the_code_again(text: str) -> None:
    code = gb_code.parse(text)
    assert str(code) == text
    assert code.stem + code.serial == text
    assert [len(p) for p in (code.division, code.industry, code.type, code.network)] == [8, 2, 3, 1]


@pytest.mark.parametrize("text", ["", "1101120100132100001", "1101120100132100000１", "x" * 20])
def test_anything_else_is_no_code(text: str) -> None:
    with pytest.raises(ValidationFailed, match="20 digits") as refused:
        gb_code.parse(text)
    assert (refused.value.field, refused.value.code) == ("code", "code_not_20_digits")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("11011201002001000001", "code_not_a_camera"),
        ("11011201001321000000", "code_without_serial"),
        ("11011301001321000001", "code_of_another_division"),
        ("1101120100132100000", "code_not_20_digits"),
    ],
)
def test_the_registry_refuses_by_the_same_codes(text: str, fault: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        validation.channel_code(text, "110112")
    assert refused.value.code == fault


def test_every_part_has_labels_in_both_languages() -> None:
    for table, digits in ((gb_code.industries(), 2), (gb_code.types(), 3), (gb_code.networks(), 1)):
        assert table
        for code, label in table.items():
            assert code.isdigit()
            assert len(code) == digits
            assert label.zh
            assert label.en
    assert gb_code.types()["132"] == ("网络摄像机", "Network camera")
    assert gb_code.industries()["00"].zh == "社会治安路面"
    assert gb_code.networks()["6"].en == "Government extranet"


def test_a_stem_is_made_of_known_parts() -> None:
    assert gb_code.stem("110112", "00", "132", "1") == "11011200001321"
    assert gb_code.stem("11011201", "00", "132", "1") == STEM


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        (("1101", "00", "132", "1"), "division_malformed"),
        (("11011２", "00", "132", "1"), "division_malformed"),
        (("110112", "60", "132", "1"), "industry_unknown"),
        (("110112", "00", "200", "1"), "code_not_a_camera"),
        (("110112", "00", "119", "1"), "code_not_a_camera"),
        (("110112", "00", "", "1"), "code_not_a_camera"),
        (("110112", "00", "132", "12"), "network_unknown"),
    ],
)
def test_a_stem_of_unknown_parts_is_refused(parts: tuple[str, str, str, str], fault: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        gb_code.stem(*parts)
    assert refused.value.code == fault


@given(SERIALS)
def test_the_next_code_is_beyond_all_and_a_gap_only_on_request(used: list[int]) -> None:
    after = gb_code.next_code(STEM, used)
    assert after == gb_code.next_code(STEM, max(used, default=0))
    assert int(after[14:]) == max(used, default=0) + 1
    lowest = gb_code.next_code(STEM, used, reuse_gaps=True)
    assert int(lowest[14:]) == min(set(range(1, 32)) - set(used))
    for code in (after, lowest):
        assert validation.channel_code(code, "110112") == code


def test_used_up_serials_are_a_sentence() -> None:
    assert gb_code.next_code(STEM, 999_998) == f"{STEM}999999"
    with pytest.raises(ValidationFailed, match="used up") as refused:
        gb_code.next_code(STEM, 999_999)
    assert refused.value.code == "serials_exhausted"
    assert gb_code.next_code(STEM, [1, 2, 999_999], reuse_gaps=True) == f"{STEM}000003"
    with pytest.raises(ValidationFailed, match="used up"):
        gb_code.next_code(STEM, range(1, 1_000_000), reuse_gaps=True)


def test_gaps_are_not_found_from_the_greatest_alone() -> None:
    with pytest.raises(TypeError, match="every serial"):
        gb_code.next_code(STEM, 5, reuse_gaps=True)

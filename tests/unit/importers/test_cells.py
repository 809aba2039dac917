"""Each kind of cell: what is taken, in which form, and by which code the rest is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_registry.errors import ValidationFailed
from camera_registry.importers.cells import clean
from camera_registry.importers.fields import Choice, Field, fields, tables

FIELDS = fields()
KINDS = sorted({field.kind for field in FIELDS.values()})
# Texts that come near to what cells hold, so that more than refusals is tried.
NEAR = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="0123456789.-/:°'\"NSEW东经北纬年月日 TZ+eE", max_size=24),
    st.text(alphabet="是否yesnoYN01,、;|/ 东西南北", max_size=8),
    st.floats(-200, 200).map(str),
    st.dates().map(str),
    st.ip_addresses().map(str),
    st.from_regex(r"([0-9A-F]{2}[:-]){5}[0-9A-F]{2}", fullmatch=True),
    st.from_regex(r"1101120100132[0-9]{7}", fullmatch=True),
    st.sampled_from([c.zh for table in tables().values() for c in table.values()]),
)


def refusal(key: str, text: str) -> str:
    with pytest.raises(ValidationFailed) as refused:
        clean(FIELDS[key], text, tables())
    assert str(refused.value).endswith((".", "…"))
    return refused.value.code


@given(st.sampled_from(sorted(FIELDS)), NEAR)
def test_any_text_is_a_value_that_stays_or_a_refusal(key: str, text: str) -> None:
    try:
        once = clean(FIELDS[key], text, tables())
    except ValidationFailed:
        return  # a refusal; any other exception fails the test
    assert clean(FIELDS[key], once, tables()) == once
    assert len(once) <= 1_024
    once.encode()  # storable


def test_the_choices_are_all_named_when_they_fit() -> None:
    for key in (each.key for each in FIELDS.values() if each.kind == "choice"):
        with pytest.raises(ValidationFailed) as refused:
            clean(FIELDS[key], "?", tables())
        *_, last = tables()[FIELDS[key].table or ""].values()
        assert refused.value.sentence.endswith(f"{last.zh}.")
    many = {"many": {f"{n}": Choice(f"{n}", "甲" * 9, "A") for n in range(100)}}
    with pytest.raises(ValidationFailed, match=r"甲 …$"):
        clean(Field("x", "x", "x", kind="choice", table="many"), "?", many)


def test_every_kind_has_a_way_to_be_cleaned() -> None:
    for kind in KINDS:
        field = Field("x", "x", "x", kind=kind, table="direction")
        assert clean(field, "  ", tables()) == ""


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("code", " 11011201 00132 1000001", "11011201001321000001"),
        ("code", "'１１011201001321000001", "11011201001321000001"),
        ("direction", "东", "1"),
        ("direction", "south-EAST", "5"),
        ("direction", "0８", "8"),
        ("device_class", "公安高清", "police_hd"),
        ("device_class", "Police HD", "police_hd"),
        ("encoding", "h265", "4"),
        ("manufacturer", "15", "15"),
        ("position_type", "11", "11"),
        ("function_type", "普通监控、车辆卡口", "1/5"),
        ("function_type", "05/01/5", "1/5"),
        ("function_type", "high-altitude probe", "6"),
        ("enabled", "是", "true"),
        ("enabled", "NO", "false"),
        ("enabled", "１", "true"),
        ("main_url", " rtsp://u:p@192.0.2.1/a?b=c ", "rtsp://192.0.2.1/a?b=c"),
        ("lon", "116.65730000", "116.6573"),
        ("lon", "E116.6573°", "116.6573"),
        ("lon", "东经116.6573度", "116.6573"),
        ("lon", "116°39′26.28″E", "116.6573"),
        ("lon", "１１６．６５７３", "116.6573"),
        ("lon", "-0.00000001", "0"),
        ("lat", "39.9 S", "-39.9"),
        ("lat", "北纬39度54分0秒", "39.9"),
        ("ipv4", " 192.0.2.１", "192.0.2.1"),
        ("ipv6", "[2001:DB8:0:0::1]", "2001:db8::1"),
        ("mac", "00-00-5E-00-53-AF", "00:00:5e:00:53:af"),
        ("mac", "0000.5e00.53af", "00:00:5e:00:53:af"),
        ("mac", "\u202a00005E0053AF", "00:00:5e:00:53:af"),
        ("access_port", "0554", "554"),
        ("access_port", "554.0", "554"),
        ("view_angle_h", "+090.50", "90.5"),
        ("view_angle_h", "-0.0", "0"),
        ("installed_on", "2024-01-02", "2024-01-02"),
        ("installed_on", "2024/1/2", "2024-01-02"),
        ("installed_on", "2024.1.2", "2024-01-02"),
        ("installed_on", "20240102", "2024-01-02"),
        ("installed_on", "2024年1月2日", "2024-01-02"),
        ("installed_on", "2024-01-02 08:30:00", "2024-01-02"),
        ("installed_on", "2024-01-02T00:00:00+08:00", "2024-01-02"),
        ("name", "\ufeff 东门\n 1号 ", "东门 1号"),
        ("name", "two  spaces", "two  spaces"),
        ("password", " p w ", " p w "),
    ],
)
def test_a_cell_is_taken(key: str, text: str, value: str) -> None:
    assert clean(FIELDS[key], text, tables()) == value


@pytest.mark.parametrize(
    ("key", "text", "code"),
    [
        ("code", "1101120100132100001", "code_not_20_digits"),
        ("code", "1.10112E+19", "code_as_number"),
        ("code", "11011201002001000001", "code_not_a_camera"),
        ("code", "11011201001321000000", "code_without_serial"),
        ("direction", "up", "unknown_value"),
        ("direction", "-", "unknown_value"),
        ("direction", "-1", "unknown_value"),
        ("manufacturer", "1.5", "unknown_value"),
        ("enabled", "-1", "boolean_malformed"),
        ("function_type", "1/7", "unknown_value"),
        ("function_type", "/", "unknown_value"),
        ("enabled", "maybe", "boolean_malformed"),
        ("main_url", "http://192.0.2.1/", "url_not_rtsp"),
        ("main_url", "rtsp://192.0.2.1:99999/", "url_malformed"),
        ("main_url", "rtsp://:pw@192.0.2.1/", "url_without_username"),
        ("main_url", "rtsp://h/" + "x" * 1_100, "url_too_long"),
        ("lon", "nan", "degrees_malformed"),
        ("lon", "116,6573", "degrees_malformed"),
        ("lon", "E116E", "degrees_malformed"),
        ("lon", "E-116", "degrees_malformed"),
        ("lon", "116°61′", "degrees_malformed"),
        ("lon", "39.9N", "position_swapped"),
        ("lat", "116.6573", "position_swapped"),
        ("lat", "E39.9", "position_swapped"),
        ("lon", "180.1", "out_of_range"),
        ("lat", "181", "out_of_range"),
        ("ipv4", "192.0.2.256", "ipv4_malformed"),
        ("ipv4", "192.0.2.1:554", "ipv4_malformed"),
        ("ipv6", "fe80::1%eth0", "ipv6_malformed"),
        ("mac", "00:00:5e:00:53", "mac_malformed"),
        ("mac", "00:00:00:00:00:00", "mac_malformed"),
        ("access_port", "0", "out_of_range"),
        ("access_port", "65536", "out_of_range"),
        ("access_port", "554.5", "number_malformed"),
        ("record_days", "30天", "number_malformed"),
        ("view_angle_h", "1e2", "number_malformed"),
        ("installed_on", "45293", "date_as_number"),
        ("installed_on", "45293.5", "date_as_number"),
        ("installed_on", "2024-02-30", "date_malformed"),
        ("installed_on", "1/2/2024", "date_malformed"),
        ("installed_on", "0001-01-01", "date_malformed"),
        ("name", "a\x00b", "text_unprintable"),
        ("name", "a\ud800", "text_unprintable"),
        ("name", "x" * 81, "text_too_long"),
        ("password", "p\n", "secret_unprintable"),
        ("password", "p" * 257, "secret_too_long"),
    ],
)
def test_a_cell_is_refused(key: str, text: str, code: str) -> None:
    assert refusal(key, text) == code


def test_a_label_of_two_codes_is_refused_with_both() -> None:
    own = {"floor": {"1": Choice("1", "东", "E"), "2": Choice("2", "东", "East")}}
    field = Field("floor", "层", "Floor", kind="choice", table="floor")
    with pytest.raises(ValidationFailed, match="1, 2") as refused:
        clean(field, "东", own)
    assert refused.value.code == "choice_ambiguous"
    assert clean(field, "east", own) == "2"
    many = Field("floor", "层", "Floor", kind="choices", table="floor")
    assert clean(many, "2,1", own) == "1/2"


def test_a_joint_within_a_label_is_part_of_it() -> None:
    own = {"t": {"1": Choice("1", "车站/码头", "Station"), "2": Choice("2", "码头", "Quay")}}
    field = Field("t", "t", "t", kind="choices", table="t")
    assert clean(field, "车站/码头", own) == "1"


@pytest.mark.parametrize("key", ["direction", "enabled", "lon", "installed_on", "ipv4", "mac"])
@pytest.mark.parametrize("text", ["rtsp://admin:s3cret@192.0.2.1/", "admin:s3cret@192.0.2.1"])
def test_a_url_in_the_wrong_column_is_not_repeated(key: str, text: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        clean(FIELDS[key], text, tables())
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("text", ["s3cret\x00", "s3cret" * 60])
def test_a_refused_password_is_not_repeated(text: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        clean(FIELDS["password"], text, tables())
    assert "s3cret" not in str(refused.value)

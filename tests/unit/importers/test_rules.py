"""What cells of a row say together, and rows of a file: by code, in the row's order."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_registry import geo
from camera_registry.demo_places import DISTRICT_OUTLINE
from camera_registry.domain import Area, AreaKind
from camera_registry.importers import templates
from camera_registry.importers.context import Context, context
from camera_registry.importers.fields import fields
from camera_registry.importers.rows import CameraRow, Finding
from camera_registry.importers.rules import CheckedRow, validate
from camera_registry.secret import Secret

FULL = templates.shipped("full")
TODAY = date(2026, 11, 26)
OUTLINE = DISTRICT_OUTLINE
# Where the outline's east side is straight, north to south.
EAST, MIDDLE = 116.92, 39.75


def area(code: str, name: str, kind: AreaKind, parent: str | None) -> Area:
    return Area(f"ar_{code}", parent, kind, code, name)


def district(*, schematic: bool = False, boundary: bool = True) -> Area:
    return Area(
        "ar_110112",
        None,
        AreaKind.DISTRICT,
        "110112",
        "通州区",
        OUTLINE if boundary else None,
        schematic,
    )


AREAS = [
    district(),
    area("110112001", "中仓街道", AreaKind.STREET, "ar_110112"),
    area("110112001001", "新华社区", AreaKind.COMMUNITY, "ar_110112001"),
    area("110112002", "新华街道", AreaKind.STREET, "ar_110112"),
    area("110112002001", "新华社区", AreaKind.COMMUNITY, "ar_110112002"),
]
GOOD = {
    "code": "11011200001321000001",
    "name": "东门",
    "main_url": "rtsp://10.0.0.1/main",
    "lon": "116.7",
    "lat": "39.8",
}


def where(datum: geo.Datum = "wgs84", of: Area | None = None) -> Context:
    return context(of or district(), AREAS, TODAY, datum)


def row(number: int = 2, **values: str) -> CameraRow:
    columns = {key: field.zh for key, field in fields().items()}
    return CameraRow(number, values, columns)


def check(of: Context | None = None, **values: str) -> CheckedRow:
    (checked,) = validate([row(**values)], of or where(), FULL)
    return checked


def good(of: Context | None = None, **values: str) -> CheckedRow:
    return check(of, **{**GOOD, **values})


def told(checked: CheckedRow) -> list[tuple[str | None, str, str]]:
    return [(f.field, f.code, f.severity) for f in checked.findings]


def test_a_good_row_has_nothing_said_of_it() -> None:
    checked = good()
    assert checked.findings == []
    assert checked.values == GOOD
    assert not checked.refused


def test_findings_of_the_file_come_first_and_name_row_and_heading() -> None:
    given_row = row(17, **{**GOOD, "ipv4": "x"})
    given_row.faults.append(Finding(17, "型号", "formula_cell", "Write the value."))
    (checked,) = validate([given_row], where(), FULL)
    assert [(f.row, f.column, f.code) for f in checked.findings] == [
        (17, "型号", "formula_cell"),
        (17, "IPv4地址", "ipv4_malformed"),
    ]
    assert checked.refused


def test_a_required_cell_that_shows_nothing_is_empty() -> None:
    assert told(good(name="\ufeff")) == [("name", "required", "error")]
    assert told(good(address="\ufeff", main_url="\u200b", ipv4="\xa0")) == []


def test_a_form_may_read_a_fact_its_own_way(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        """
tables:
  floor: {"1": [一层, Ground floor]}
  device_class: {"1": [公安高清, Police HD]}
columns:
  - {field: code}
  - {field: device_class}
  - {field: capture_area, kind: choice, table: floor}
  - {field: record_days, kind: text}
  - {field: lon, kind: text}
  - {field: lat, kind: text}
  - {field: installed_on, kind: text}
""",
        encoding="utf-8",
    )
    own = templates.find("own", tmp_path)
    values = {
        **GOOD,
        "device_class": "公安高清",
        "capture_area": "一层",
        "record_days": "a month",
        "installed_on": "3000",
    }
    (checked,) = validate([row(**values)], where(), own)
    assert checked.findings == []
    assert checked.values["capture_area"] == "1"
    assert checked.values["device_class"] == "police_hd"  # what the registry's column holds
    assert checked.values["record_days"] == "a month"
    (archive,) = validate(
        [row(code=GOOD["code"], department="99")], where(), templates.shipped("archive-27")
    )
    assert ("department", "unknown_value", "error") in told(archive)
    (wrong,) = validate([row(**{**values, "lon": "east"})], where(), own)
    assert told(wrong) == [("lon", "degrees_malformed", "error")]


@pytest.mark.parametrize(
    ("code", "findings"),
    [
        ("11011300001321000001", [("code", "code_of_another_division", "error")]),
        ("11010000001321000001", []),
        ("11011200601321000001", [("code", "industry_unknown", "warning")]),
        ("11011200001191000001", [("code", "type_unknown", "warning")]),
    ],
)
def test_a_code_is_the_districts(code: str, findings: list[tuple[str, str, str]]) -> None:
    assert told(good(code=code)) == findings


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("110112001", "110112001"),
        ("110112", "110112"),
        ("11011200", "110112"),
        ("110112000000", "110112"),
        ("110112001000", "110112001"),
        (" 中仓 街道", "110112001"),
        ("通州区", "110112"),
    ],
)
def test_an_area_is_found_by_code_or_name(text: str, code: str) -> None:
    checked = good(area=text)
    assert checked.findings == []
    assert checked.values["area"] == code


def test_an_area_that_is_not_one_is_refused() -> None:
    both = good(area="新华社区")
    assert told(both) == [("area", "area_ambiguous", "error")]
    assert "110112001001, 110112002001" in both.findings[0].sentence
    assert "area" not in both.values
    for text in ("110113", "新华", "1101120011"):
        assert told(good(area=text)) == [("area", "area_unknown", "error")]


def test_credentials_of_a_url_move_to_their_columns() -> None:
    checked = good(main_url="rtsp://admin:s3cret@10.0.0.1/main")
    assert checked.findings == []
    assert checked.values["main_url"] == "rtsp://10.0.0.1/main"
    assert checked.values["username"] == "admin"
    assert checked.secrets == {"password": Secret("s3cret")}
    assert "s3cret" not in repr(checked)


def test_a_password_is_a_secret_and_nowhere_shown() -> None:
    checked = good(username="admin", password="s3cret")
    assert checked.secrets == {"password": Secret("s3cret")}
    assert "password" not in checked.values
    assert "s3cret" not in repr(checked)


@pytest.mark.parametrize(
    ("values", "findings"),
    [
        ({"password": "s3cret"}, [("username", "password_without_username", "error")]),
        (
            {"username": "root", "main_url": "rtsp://admin:s3cret@10.0.0.1/main"},
            [("main_url", "credentials_conflict", "error")],
        ),
        (
            {"main_url": "rtsp://a:s3cret@10.0.0.1/1", "sub_url": "rtsp://b:s3cret@10.0.0.1/2"},
            [("sub_url", "credentials_conflict", "error")],
        ),
        (
            {"main_url": f"rtsp://{'a' * 257}:s3cret@10.0.0.1/1"},
            [("main_url", "credentials_too_long", "error")],
        ),
        # What is wrong with the cell is not said twice.
        (
            {"username": "x" * 300, "password": "s3cret"},
            [("username", "text_too_long", "error")],
        ),
    ],
)
def test_credentials_agree(values: dict[str, str], findings: list[tuple[str, str, str]]) -> None:
    checked = good(**values)
    assert told(checked) == findings
    assert "s3cret" not in repr(checked)


def test_unknown_columns_are_kept_but_not_the_secrets_in_them() -> None:
    unknown = {
        "颜色": "red",
        "设备密码": "s3cret",
        "Camera Password": "s3cret",
        "取流": "rtsp://a:s3cret@10.0.0.1/",
        "主页": "http://10.0.0.1/a@b",
        "两行": "one\ntwo",
        "坏": "half a pair \ud800",
    }
    (checked,) = validate([CameraRow(2, dict(GOOD), unknown=dict(unknown))], where(), FULL)
    assert checked.unknown == {"颜色": "red", "主页": "http://10.0.0.1/a@b", "两行": "one\ntwo"}
    assert [(f.column, f.code, f.severity) for f in checked.findings] == [
        ("设备密码", "unknown_secret", "warning"),
        ("Camera Password", "unknown_secret", "warning"),
        ("取流", "unknown_secret", "warning"),
        ("坏", "text_unprintable", "warning"),
    ]
    assert "s3cret" not in repr(checked)


def test_where_a_form_has_no_column_for_a_secret_others_are_named() -> None:
    urls = {"主码流地址": "rtsp://a:s3cret@10.0.0.1/"}
    form = templates.shipped("archive-27")
    (checked,) = validate([CameraRow(2, dict(GOOD), unknown=urls)], where(), form)
    (finding,) = checked.findings
    assert "The form archive-27 has no such column" in finding.sentence
    assert "`full` with its headings 主码流地址, " in finding.sentence


def test_the_urls_host_is_the_address() -> None:
    assert told(good(ipv4="10.0.0.1")) == []
    assert told(good(ipv4="10.0.0.2")) == [("ipv4", "host_differs", "warning")]
    assert told(good(ipv4="10.0.0.2", main_url="rtsp://cam.example/1")) == []


def test_dates_are_past_and_in_order() -> None:
    assert told(good(installed_on="2026-11-26", retired_on="2036-01-01")) == []
    assert told(good(installed_on="2026-11-27")) == [("installed_on", "date_in_future", "error")]
    wrong = good(installed_on="2024-05-01", enabled_on="2024-04-30", retired_on="2024-04-29")
    assert told(wrong) == [
        ("enabled_on", "date_order", "error"),
        ("retired_on", "date_order", "error"),
    ]
    assert told(good(installed_on="2024-05-01", retired_on="2024-04-29")) == [
        ("retired_on", "date_order", "error")
    ]


def test_less_recording_than_wanted_is_a_warning() -> None:
    assert told(good(record_days="30")) == []
    assert told(good(record_days="29")) == [("record_days", "below_wanted", "warning")]


class TestPosition:
    def test_missing_is_a_warning_and_half_an_error(self) -> None:
        bare = {key: text for key, text in GOOD.items() if key not in ("lon", "lat")}
        assert told(check(**bare)) == [("lon", "position_missing", "warning")]
        assert told(check(**bare, lon="116.7")) == [("lat", "position_half_given", "error")]
        assert told(check(**bare, lon="116.7", lat="x")) == [("lat", "degrees_malformed", "error")]

    def test_a_form_without_the_columns_is_not_asked(self) -> None:
        (checked,) = validate([CameraRow(2, {"code": GOOD["code"]})], where(), FULL)
        assert checked.findings == []

    def test_what_the_form_wants_is_not_said_twice(self) -> None:
        binding = templates.shipped("archive-73").bind(["设备编码", "设备名称", "经度", "纬度"])
        source = row(code=GOOD["code"], name="x")
        source.faults = [
            Finding(2, heading, "wanted", "It is empty.", "warning", key)
            for heading, key in (("经度", "lon"), ("纬度", "lat"))
        ]
        (checked,) = validate([source], where(), binding.template)
        assert [f.code for f in checked.findings] == ["wanted", "wanted"]

    def test_outside_is_an_error_with_the_distance(self) -> None:
        checked = good(lon="117.92")
        assert told(checked) == [("lon", "position_outside", "error")]
        assert "85 km" in checked.findings[0].sentence
        unchecked = told(good(where(of=district(boundary=False)), lon="117.92"))
        assert unchecked == [("lon", "position_unchecked", "warning")]

    @pytest.mark.parametrize("datum", ["gcj02", "bd09"])
    def test_another_datum_is_recognised_and_converted_on_request(self, datum: geo.Datum) -> None:
        inside = (EAST - 0.0005, MIDDLE)
        lon, lat = (f"{degrees:.9f}" for degrees in geo.from_wgs84(datum, *inside))
        (finding,) = good(lon=lon, lat=lat).findings
        assert finding.code == "position_outside"
        assert f"--datum {datum}" in finding.sentence
        converted = good(where(datum), lon=lon, lat=lat)
        assert converted.findings == []
        assert float(converted.values["lon"]) == pytest.approx(inside[0], abs=1e-6)
        assert float(converted.values["lat"]) == pytest.approx(inside[1], abs=1e-6)

    def test_a_conversion_too_many_is_recognised(self) -> None:
        west = good(where("gcj02"), lon="116.5005", lat="39.75")
        (finding,) = west.findings
        assert finding.code == "position_outside"
        assert "--datum wgs84" in finding.sentence

    def test_a_drawn_boundary_is_not_taken_to_the_metre(self) -> None:
        degree_m = 85_400  # of longitude, at this latitude
        near, far = (f"{EAST + metres / degree_m:.6f}" for metres in (190, 210))
        drawn = where(of=district(schematic=True))
        assert told(good(drawn, lon=near, lat=str(MIDDLE))) == [
            ("lon", "position_near_boundary", "warning")
        ]
        assert told(good(drawn, lon=far, lat=str(MIDDLE))) == [("lon", "position_outside", "error")]
        assert told(good(lon=near, lat=str(MIDDLE))) == [("lon", "position_outside", "error")]

    def test_swapped_is_said(self) -> None:
        assert told(good(lon="39.8", lat="116.7")) == [("lat", "position_swapped", "error")]
        west = Area(
            "ar_650000",
            None,
            AreaKind.DISTRICT,
            "653101",
            "喀什市",
            ((75.5, 39.2), (76.5, 39.2), (76.5, 39.8), (75.5, 39.8)),
        )
        values = {"code": "65310100001321000001", "lon": "39.5", "lat": "76.0"}
        assert told(good(where(of=west), **values)) == [("lon", "position_swapped", "error")]


class TestAnyRow:
    KEYS = st.sampled_from(sorted(fields()))
    TEXTS = st.one_of(
        st.text(max_size=30),
        st.sampled_from(
            ["11011200001321000001", "116.7", "39.8", "2024-01-02", "rtsp://a:b@h/1", "10.0.0.1"]
        ),
    )

    @given(st.lists(st.dictionaries(KEYS, TEXTS, max_size=12), max_size=4))
    def test_is_checked_without_a_trace_and_stays_as_it_is_checked(
        self, rows: list[dict[str, str]]
    ) -> None:
        source = [row(number, **values) for number, values in enumerate(rows, 2)]
        first = list(validate(source, where(), FULL))
        assert [checked.number for checked in first] == [given_row.number for given_row in source]
        again = [row(c.number, **c.values) for c in first if not c.refused]
        for once, twice in zip(
            (c for c in first if not c.refused), validate(again, where(), FULL), strict=True
        ):
            assert twice.values == once.values


def test_texts_that_are_all_different_do_not_pile_up() -> None:
    rows = (CameraRow(number, {"remark": f"{number:0500}"}) for number in range(8_000))
    tracemalloc.start()
    try:
        assert sum(1 for _ in validate(rows, where(), FULL)) == 8_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000  # half of the texts alone


def test_rows_are_checked_as_they_come() -> None:
    taken: list[int] = []

    def rows() -> Iterator[CameraRow]:
        for number in (2, 3, 4):
            taken.append(number)
            yield row(number, **GOOD)

    checked = validate(rows(), where(), FULL)
    assert next(checked).number == 2
    assert taken == [2]

"""Vendor addresses are data: shipped ones, a site's own, by name or by manufacturer's code."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_registry.errors import ValidationFailed
from camera_registry.importers import vendors
from camera_registry.importers.fields import tables
from camera_registry.importers.vendors import StreamUrls, VendorRefused
from camera_registry.validation import rtsp_url


@pytest.mark.parametrize(
    ("vendor", "channel", "main", "sub"),
    [
        ("hikvision", 1, "/Streaming/Channels/101", "/Streaming/Channels/102"),
        ("hikvision-nvr", 16, "/Streaming/Channels/1601", "/Streaming/Channels/1602"),
        ("hikvision-old", 1, "/h264/ch1/main/av_stream", "/h264/ch1/sub/av_stream"),
        (
            "dahua",
            4,
            "/cam/realmonitor?channel=4&subtype=0",
            "/cam/realmonitor?channel=4&subtype=1",
        ),
        ("uniview", 1, "/media/video1", "/media/video2"),
        ("uniview-nvr", 3, "/unicast/c3/s0/live", "/unicast/c3/s1/live"),
        ("reolink", 2, "/h264Preview_02_main", "/h264Preview_02_sub"),
        ("reolink-h265", 1, "/h265Preview_01_main", "/h264Preview_01_sub"),
        ("tapo", 1, "/stream1", "/stream2"),
        ("vivotek", 1, "/live.sdp", None),
    ],
)
def test_a_vendors_channel_has_its_addresses(
    vendor: str, channel: int, main: str, sub: str | None
) -> None:
    root = "rtsp://192.0.2.7:8554"
    assert vendors.urls(vendor, "192.0.2.7", 8554, channel) == StreamUrls(
        root + main, sub and root + sub
    )


def test_every_shipped_vendor_gives_urls_of_ours_or_says_why_not() -> None:
    for name, vendor in vendors.every().items():
        assert vendor.zh
        assert vendor.en
        assert not vendor.verified, "a template is verified on a device, and the note says which"
        if vendor.manufacturer:
            assert vendor.manufacturer in tables()["manufacturer"]
        if vendor.needs_credentials_in_url:
            with pytest.raises(VendorRefused, match="ONVIF") as caught:
                vendors.urls(name, "cam.example")
            assert caught.value.code == "needs_credentials_in_url"
            continue
        made = vendors.urls(name, "cam.example")
        for url in filter(None, (made.main, made.sub)):
            assert rtsp_url("main_url", url).username is None
        assert made.main != made.sub


def test_the_table_of_the_documents_is_the_data() -> None:
    text = (Path(__file__).parents[3] / "docs" / "import-foreign.md").read_text(encoding="utf-8")
    table = text.partition("| name | vendor |")[2].splitlines()[2:]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table if line]
    assert [[row[i] for i in (0, 2, 3, 5)] for row in rows] == [
        [v.name, v.manufacturer or "", v.form, v.sub or ""] for v in vendors.every().values()
    ]
    assert [row[4] for row in rows if "refused" not in row[4]] == [
        v.main for v in vendors.every().values() if not v.needs_credentials_in_url
    ]


def test_a_manufacturers_code_means_its_usual_camera_or_its_recorder() -> None:
    assert vendors.find("1").name == "hikvision"
    assert vendors.find("1", "nvr").name == "hikvision-nvr"
    assert vendors.find("9", "nvr").name == "uniview-nvr"
    assert vendors.find("uniview-nvr", "camera").name == "uniview"


def test_an_ipv6_host_stands_in_brackets() -> None:
    assert vendors.urls("tapo", "2001:db8::7").main == "rtsp://[2001:db8::7]:554/stream1"
    assert vendors.urls("tapo", "[2001:db8::7]").main == "rtsp://[2001:db8::7]:554/stream1"


@pytest.mark.parametrize(
    ("vendor", "channel", "form", "code"),
    [
        ("nobody", 1, None, "unknown_vendor"),
        ("4", 1, None, "unknown_vendor"),  # in the table of makers, without addresses
        ("uniview", 2, None, "one_channel_only"),
        ("tapo", 1, "nvr", "unknown_form"),
    ],
)
def test_what_cannot_be_made_is_refused_with_a_code(
    vendor: str, channel: int, form: vendors.Form | None, code: str
) -> None:
    with pytest.raises(VendorRefused) as caught:
        vendors.urls(vendor, "192.0.2.7", channel=channel, form=form)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("host", "port", "channel"),
    [("a b", 554, 1), ("u:p@h", 554, 1), ("h/x", 554, 1), ("h", 0, 1), ("h", 554, 0)],
)
def test_a_host_is_no_way_into_the_url(host: str, port: int, channel: int) -> None:
    with pytest.raises(ValidationFailed):
        vendors.urls("dahua", host, port, channel)


def test_a_site_adds_its_own_and_replaces_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "vendors.yaml").write_text(
        "- {vendor: kedacom, zh: 科达, manufacturer: '4', main: '/id={channel}/main'}\n"
        "- {vendor: tapo, main: /hd, verified: true}\n",
        encoding="utf-8",
    )
    assert vendors.urls("4", "h", channel=3, site_dir=tmp_path).main == "rtsp://h:554/id=3/main"
    assert vendors.find("tapo", site_dir=tmp_path).verified
    assert vendors.find("dahua", site_dir=tmp_path).name == "dahua"
    assert vendors.find("dahua", site_dir=tmp_path / "empty").name == "dahua"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not YAML"),
        ("a: b", "list of vendors"),
        ("- {vendor: a, main: /x, colour: red}", "use the keys"),
        ("- {vendor: 'A b', main: /x}", "name like"),
        ("- {vendor: a, main: [x]}", "is a text"),
        ("- {vendor: a}", "main has to be a path"),
        ("- {vendor: a, main: 'rtsp://h/x'}", "main has to be a path"),
        ("- {vendor: a, main: '/{channel.__class__}'}", "main has to be a path"),
        ("- {vendor: a, main: '/u=a&password=b'}", "main has to be a path"),
        ("- {vendor: a, main: /x, sub: y}", "sub has to be a path"),
        ("- {vendor: a, main: /x, form: dvr}", "form is one of"),
        ("- {vendor: a, main: /x, manufacturer: '77'}", "no manufacturer"),
        ("- {vendor: a, main: /x}\n- {vendor: a, main: /y}", "is taken"),
        ("[" * 5000, "not YAML"),
    ],
)
def test_a_site_file_in_disorder_is_a_sentence(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "vendors.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(VendorRefused, match=says) as caught:
        vendors.find("dahua", site_dir=tmp_path)
    assert caught.value.code == "vendors_invalid"


def test_a_site_file_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "vendors.yaml").write_bytes(b"#" * (vendors.MAX_SITE_BYTES + 1))
    with pytest.raises(VendorRefused, match="longer than"):
        vendors.find("dahua", site_dir=tmp_path)


@given(st.text(max_size=60), st.integers(), st.integers())
def test_whatever_the_host_the_url_names_it_and_nothing_else(
    host: str, port: int, channel: int
) -> None:
    try:
        made = vendors.urls("hikvision", host, port, channel)
    except ValidationFailed:
        return
    read = rtsp_url("main_url", made.main)
    assert (read.username, read.password, read.port) == (None, None, port)
    assert read.host == host.strip().removeprefix("[").removesuffix("]").lower()

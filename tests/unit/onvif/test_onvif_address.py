"""What a device names as its address is put right, and no password stays in it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.onvif.address import (
    DeviceAddress,
    NamedUri,
    ReachableUri,
    media_uri,
    read_uri,
    service_url,
)
from gateways.onvif.errors import AddressInvalid

US = DeviceAddress("10.1.2.3", 8106)


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (US, "http://10.1.2.3:8106/onvif/device_service"),
        (DeviceAddress("fe80::1", path="/x", tls=True), "https://[fe80::1]:80/x"),
        (DeviceAddress("camera-7.district"), "http://camera-7.district:80/onvif/device_service"),
    ],
)
def test_an_address_is_a_url(address: DeviceAddress, url: str) -> None:
    assert address.url == url


@pytest.mark.parametrize(
    "parts",
    [
        ("", 80),
        ("a b", 80),
        ("h/evil", 80),
        ("user@h", 80),
        ("h", 0),
        ("h", 65536),
        ("h", 80, "x"),
        ("h", 80, "/a\r\nb"),
    ],
)
def test_what_cannot_be_dialled_is_no_address(parts: tuple[str, int]) -> None:
    with pytest.raises(AddressInvalid) as caught:
        DeviceAddress(*parts)
    assert caught.value.code == "bad_address"


@pytest.mark.parametrize(
    ("xaddr", "url"),
    [
        ("http://192.168.1.64/onvif/media", "http://10.1.2.3:8106/onvif/media"),
        ("http://192.168.1.64:8106:8106/onvif/media", "http://10.1.2.3:8106/onvif/media"),
        ("http://0.0.0.0:80/onvif/m?x=1", "http://10.1.2.3:8106/onvif/m?x=1"),
        ("http://[fe80::4619]/onvif/media", "http://10.1.2.3:8106/onvif/media"),
        ("http://admin:pw@h/onvif/media", "http://10.1.2.3:8106/onvif/media"),
        ("http://h", "http://10.1.2.3:8106/"),
        ("ftp://h/onvif/media", None),
        ("/onvif/media", None),
        ("http://h/a b", None),
        ("", None),
    ],
)
def test_a_service_is_asked_at_the_server_that_answered(xaddr: str, url: str | None) -> None:
    assert service_url(US, xaddr) == url


@pytest.mark.parametrize(
    ("written", "uri", "secret_left_out"),
    [
        ("rtsp://192.168.1.64:554/Streaming/1?a=b", "rtsp://10.1.2.3:554/Streaming/1?a=b", False),
        ("rtsp://192.168.1.64/live", "rtsp://10.1.2.3/live", False),
        ("rtsp://h:554:554/live", "rtsp://10.1.2.3:554/live", False),
        ("rtsp://admin:p@ss:w0rd@h:554/live", "rtsp://10.1.2.3:554/live", False),
        (
            "rtsp://h:554/user=admin_password=tlJwpbo6_channel=1_stream=0.sdp?real_stream",
            "rtsp://10.1.2.3:554/user=admin_password=_channel=1_stream=0.sdp?real_stream",
            True,
        ),
        ("http://h/snap?user=a&pwd=secret&x=1", "http://10.1.2.3/snap?user=a&pwd=&x=1", True),
        ("http://h:80/snap.jpg", "http://10.1.2.3:8106/snap.jpg", False),
        ("http://h:8080/snap.jpg", "http://10.1.2.3:8080/snap.jpg", False),
    ],
)
def test_a_stream_is_dialled_at_the_host_that_answered_and_holds_no_password(
    written: str, uri: str, secret_left_out: bool
) -> None:
    # The device believes its ONVIF server to be on port 80; we reached it on 8106.
    wanted = ReachableUri(uri, secret_left_out)
    found = media_uri(US, written, web_port=None if "snap?" in written else 80)
    assert found == wanted


@pytest.mark.parametrize(
    "written",
    [
        "",
        "file:///etc/passwd",
        "rtsp:/h",
        "gopher://h/x",
        "x" * 9000,
        "rtsp://admin:pa/ss@h:554/live",
        "rtsp://admin:12/ss@h:554/live",
    ],
)
def test_what_is_no_stream_or_may_hold_a_password_is_none(written: str) -> None:
    assert media_uri(US, written) is None


@settings(deadline=None)
@given(st.text(max_size=80), st.sampled_from(["rtsp://", "http://", ""]))
def test_any_text_is_taken_apart_or_is_none(text: str, scheme: str) -> None:
    read = read_uri(scheme + text)
    assert read is None or isinstance(read, NamedUri)
    found = media_uri(US, scheme + text, 80)
    assert found is None or found.uri.partition("://")[2].startswith("10.1.2.3")


@settings(deadline=None)
@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=20))
def test_no_userinfo_stays_whatever_the_password(middle: str) -> None:
    found = media_uri(US, f"rtsp://admin:s3cret{middle}t4il@192.168.1.64:554/live")
    assert found is None or ("s3cret" not in found.uri and "t4il" not in found.uri)

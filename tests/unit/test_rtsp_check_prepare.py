"""From an address to a source spec, and the small parsers of the check."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from camera_registry.secret import Secret
from gateways.challenge import authorization, best_challenge
from gateways.rtsp import AddressInvalid, prepare
from gateways.rtsp.dialogue import redacted
from gateways.rtsp.prepare import split_userinfo
from gateways.rtsp.sdp import h264_starts_picture, join_control, video_track


@dataclass(frozen=True)
class Address:
    url: str
    username: str | None = None
    password: Secret | None = None


@pytest.mark.parametrize(
    ("url", "plain", "username", "password"),
    [
        ("rtsp://h/p", "rtsp://h/p", None, None),
        ("rtsp://h:8554/p?a=1&b=2", "rtsp://h:8554/p?a=1&b=2", None, None),
        ("rtsp://u:w@h:554/p", "rtsp://h:554/p", "u", "w"),
        ("rtsp://u@h/p", "rtsp://h/p", "u", None),
        ("rtsp://u:a%40b@h/p", "rtsp://h/p", "u", "a@b"),
        ("rtsp://u:a@b:c@h/p", "rtsp://h/p", "u", "a@b:c"),
        ("rtsp://u:a/b@h:554/p", "rtsp://h:554/p", "u", "a/b"),
        ("rtsp://h:554/user@home/p", "rtsp://h:554/user@home/p", None, None),
        ("rtsp://[::1]:554/p", "rtsp://[::1]:554/p", None, None),
        ("RTSP://h/p", "rtsp://h/p", None, None),
    ],
)
def test_userinfo_is_taken_out_of_the_url(
    url: str, plain: str, username: str | None, password: str | None
) -> None:
    found = split_userinfo(url)
    assert found == (plain, username, None if password is None else Secret(password))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h/p",
        "http://h/p",
        "rtsp://",
        "rtsp:///p",
        "rtsp://h:99999/p",
        "rtsp://h:x/p",
        "rtsp://h/a b",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(AddressInvalid):
        prepare(Address(url), "sub")


def test_the_registrys_credentials_win_over_the_urls() -> None:
    spec = prepare(Address("rtsp://old:old@h/p", "admin", Secret("new")), "main")
    assert (spec.url, spec.username, spec.password) == ("rtsp://h/p", "admin", Secret("new"))
    assert (spec.protocol, spec.profile) == ("rtsp", "main")
    assert "new" not in repr(spec)


def test_the_digest_is_that_of_the_rfc() -> None:
    """The example of RFC 2617 section 3.5, its cnonce put in place of a random one."""
    nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093"
    challenge = best_challenge(
        [f'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="{nonce}"']
    )
    assert challenge is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateways.challenge.secrets.token_hex", lambda _: "0a4f113b")
        value = authorization(challenge, "GET", "/dir/index.html", "Mufasa", "Circle Of Life")
    assert 'response="6629fae49393a05397450978507c4ef1"' in value
    assert 'qop=auth, nc=00000001, cnonce="0a4f113b"' in value
    del challenge["qop"]  # the older form, which most cameras send
    assert "qop" not in authorization(challenge, "GET", "/dir/index.html", "Mufasa", "x")


def test_the_strongest_challenge_is_answered() -> None:
    md5, sha = 'Digest realm="r", nonce="n"', 'Digest realm="r", nonce="n", algorithm=SHA-256'
    for values, algorithm in (([md5, sha], "SHA-256"), ([md5, 'Basic realm="r"'], None)):
        challenge = best_challenge(values)
        assert challenge is not None
        assert challenge["scheme"] == "digest"
        assert challenge.get("algorithm") == algorithm
    basic = best_challenge(['Basic realm="r"', "Negotiate abc", "Digest algorithm=MD5-sess"])
    assert basic is not None
    assert authorization(basic, "OPTIONS", "rtsp://h/", "a", "b") == "Basic YTpi"
    assert best_challenge(["Negotiate abc"]) is None


def test_redaction() -> None:
    text = "DESCRIBE rtsp://u:p@h/x?user=a&password=b&c=1 RTSP/1.0\r\nauthorization: Digest x=y\r\n"
    assert redacted(text) == (
        "DESCRIBE rtsp://***@h/x?user=a&password=***&c=1 RTSP/1.0\r\nauthorization: Digest ***\n"
    )


def test_controls_are_concatenated_as_cameras_mean_it() -> None:
    base = "rtsp://h/live?channel=1&subtype=0"
    assert join_control(base, "trackID=0") == base + "/trackID=0"
    assert join_control(base + "/", "trackID=0") == base + "/trackID=0"
    assert join_control(base, "*") == base
    assert join_control(base, "rtsp://h/t1") == "rtsp://h/t1"


def test_sdp_without_rtpmap_or_with_bad_lines_is_survived() -> None:
    assert video_track("", "rtsp://h") is None
    track = video_track("m=video 0 RTP/AVP 96\nm=\nnonsense\na=control", "rtsp://h/x")
    assert track is not None
    assert (track.codec, track.control_url) == ("", "rtsp://h/x")


@pytest.mark.parametrize(
    ("payload", "starts"),
    [
        (b"", False),
        (b"\x65\x88", True),
        (b"\x61\x88", False),
        (b"\x7c\x85", True),
        (b"\x7c\x05", False),
        (b"\x7c", False),
        (b"\x78\x00\x02\x67\x42\x00\x02\x65\x88", True),
        (b"\x78\x00\x02\x67\x42\x00", False),
        (b"\x78\xff\xff", False),
    ],
)
def test_keyframes_are_seen_in_payloads(payload: bytes, starts: bool) -> None:
    assert h264_starts_picture(payload) is starts

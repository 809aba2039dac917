"""Addresses taken apart: credentials leave the URL, or the URL is not taken."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_registry.importers.foreign.config import Gathering
from camera_registry.importers.foreign.urls import Address, Unusable, parse, put
from camera_registry.importers.rows import CameraRow

HOST = "192.0.2.10"


@pytest.mark.parametrize(
    ("text", "url", "username", "password"),
    [
        (f"rtsp://{HOST}/1", f"rtsp://{HOST}/1", "", ""),
        (f"RTSP://u:p@{HOST}:8554/a?b=c&d=1", f"rtsp://{HOST}:8554/a?b=c&d=1", "u", "p"),
        (f"rtsp://u@{HOST}/1", f"rtsp://{HOST}/1", "u", ""),
        (f"rtsp://u:@{HOST}/1", f"rtsp://{HOST}/1", "u", ""),
        (f"rtsp://ops:p%40ss%2Fw%C3%B6rd@{HOST}/1", f"rtsp://{HOST}/1", "ops", "p@ss/wörd"),
        (f"rtsp://u:a@b@{HOST}/1", f"rtsp://{HOST}/1", "u", "a@b"),
        (f"rtsp://u:a:b@{HOST}/1", f"rtsp://{HOST}/1", "u", "a:b"),
        (f"rtsp://u:a/b?c#d@{HOST}/1", f"rtsp://{HOST}/1", "u", "a/b?c#d"),
        (f"rtsp://u:p@{HOST}/1#timeout=5", f"rtsp://{HOST}/1", "u", "p"),
        ("rtsp://u:p@[2001:db8::1]:554/1", "rtsp://[2001:db8::1]:554/1", "u", "p"),
        ("rtsp://摄像:密码@h/1", "rtsp://h/1", "摄像", "密码"),
    ],
)
def test_credentials_leave_the_url(text: str, url: str, username: str, password: str) -> None:
    address = parse(text)
    assert (address.url, address.username, address.password.reveal()) == (url, username, password)
    assert "password=***" in repr(address)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "not_rtsp"),
        ("rtsps://u:hunter2@h/1", "not_rtsp"),
        ("http://u:hunter2@h/1", "not_rtsp"),
        ("rtsp:hunter2", "url_malformed"),
        ("rtsp://", "url_malformed"),
        ("rtsp://u:hunter2@/1", "url_malformed"),
        ("rtsp://u:hunter2@h:0/1", "url_malformed"),
        ("rtsp://u:hunter2@h:99999/1", "url_malformed"),
        ("rtsp://u:hunter2@h o/1", "url_malformed"),
        ("rtsp://:hunter2@h/1", "url_without_username"),
        # Either reading is a URL: a host `u` with the port 12, or a password `12/hunter2`.
        ("rtsp://u:12/hunter2@h/1", "url_ambiguous"),
        ("rtsp://u/hunter2@h/1", "url_ambiguous"),
        ("rtsp://u:a@h/hunter2@x", "url_ambiguous"),
        ("rtsp://u:hunter2%0d%0a@h/1", "credentials_unprintable"),
        ("rtsp://u:hunter2%ff@h/1", "credentials_unreadable"),
        ("rtsp://h/user=admin_password=hunter2_channel=1", "password_in_path"),
        ("rtsp://h/1?Passwd=hunter2", "password_in_path"),
        ("rtsp://{FRIGATE_HOST}/1", "placeholder"),
        ("rtsp://${CAM:u:hunter2@h}/1", "placeholder"),
        ("rtsp://h/$G1", "placeholder"),
        ("rtsp://h/" + "x" * 2000, "url_too_long"),
    ],
)
def test_what_cannot_be_taken_is_a_sentence_without_its_password(text: str, code: str) -> None:
    with pytest.raises(Unusable) as caught:
        parse(text)
    assert caught.value.code == code
    assert "hunter2" not in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (f"rtsp://admin:{{FRIGATE_RTSP_PASSWORD}}@{HOST}/1", "FRIGATE_RTSP_PASSWORD"),
        (f"rtsp://{{FRIGATE_USER}}:{{FRIGATE_PW}}@{HOST}/1", "FRIGATE_USER"),
        (f"rtsp://${{CAM_USER:admin}}:${{CAM_PW:hunter2@!}}@{HOST}/1", "CAM_USER"),
    ],
)
def test_a_placeholder_stands_for_no_password(text: str, name: str) -> None:
    address = parse(text)
    assert (address.url, address.username, address.placeholder) == (f"rtsp://{HOST}/1", "", name)
    assert not address.password


def read(text: str) -> Address | Unusable:
    try:
        return parse(text)
    except Unusable as error:
        return error


def row_of(*texts: str) -> tuple[CameraRow, Gathering]:
    found = Gathering("go2rtc")
    row = found.row(3)
    if put(found, row, "streams.a", [(f"streams.a.{i}", t) for i, t in enumerate(texts)], "a"):
        found.take(row)
    return row, found


@pytest.mark.parametrize(
    ("texts", "main", "sub", "code"),
    [
        (("rtsp://u:p@h/1", "rtsp://u:p@h/2"), "rtsp://h/1", "rtsp://h/2", None),
        (("rtsp://u:p@h/1", "rtsp://h/2"), "rtsp://h/1", "rtsp://h/2", None),
        (("rtsp://h/1", "rtsp://u:p@h/2"), "rtsp://h/1", "rtsp://h/2", None),
        (("rtsp://h/1", "rtsp://h/1"), "rtsp://h/1", None, None),
        (("rtsp://u:p@h/1", "rtsp://u:q@h/2"), "rtsp://h/1", None, "sub_credentials"),
        (("rtsp://u:p@h/1", "rtsp://u:p@g/2"), "rtsp://h/1", None, "sub_elsewhere"),
        (("rtsp://h/1", "rtsp://h/2", "rtsp://h/3"), "rtsp://h/1", "rtsp://h/2", "third_stream"),
        (("rtsp://h/1", "rtsps://h/2"), "rtsp://h/1", None, "not_rtsp"),
    ],
)
def test_two_addresses_are_one_camera_with_one_account(
    texts: tuple[str, ...], main: str, sub: str | None, code: str | None
) -> None:
    row, found = row_of(*texts)
    assert found.cameras == [row]
    assert (row.values["main_url"], row.values.get("sub_url")) == (main, sub)
    assert row.values.get("username") == ("u" if any("u:" in t for t in texts) else None)
    assert row.values.get("password") == ("p" if any("u:" in t for t in texts) else None)
    assert [fault.code for fault in row.faults] == ([code] if code else [])


def test_a_hosts_account_is_not_given_to_another_host() -> None:
    row, _ = row_of("rtsp://camera/1", "rtsp://u:hunter2@cloud.example/2", "rtsp://v:w@camera/3")
    assert row.values == {"main_url": "rtsp://camera/1"}
    assert [fault.code for fault in row.faults] == ["third_stream", "sub_elsewhere"]


def test_a_literal_account_of_one_stream_does_for_the_placeholder_of_the_other() -> None:
    row, _ = row_of("rtsp://admin:{FRIGATE_PW}@h/1", "rtsp://u:p@h/2")
    assert (row.values["username"], row.values["password"], row.faults) == ("u", "p", [])


def test_what_stands_where_a_scheme_should_is_not_told() -> None:
    _, found = row_of("hunter2:554/x")
    assert [f.code for f in found.skipped] == ["not_rtsp"]
    assert "hunter2" not in repr(found)


def test_a_camera_without_a_usable_address_is_skipped_with_each_reason() -> None:
    _, found = row_of("rtsp://u:12/hunter2@h/1", "rtsps://u:hunter2@h/2")
    assert [(f.row, f.column, f.code) for f in found.skipped] == [
        (3, "streams.a.0", "url_ambiguous"),
        (3, "streams.a.1", "not_rtsp"),
    ]
    assert not found.cameras


WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp", "Zs", "Co", "Cn"]))


@given(WORDS.filter(bool), WORDS)
def test_encoded_credentials_come_back_as_they_were(username: str, password: str) -> None:
    address = parse(f"rtsp://{quote(username, safe='')}:{quote(password, safe='')}@{HOST}:8554/1")
    assert address.url == f"rtsp://{HOST}:8554/1"
    assert (address.username, address.password.reveal()) == (username, password)


@given(st.text(st.sampled_from("ab1:/?#@%[]"), max_size=12))
def test_written_as_it_is_a_password_is_read_right_or_not_at_all(password: str) -> None:
    address = read(f"rtsp://root:SeCrEt{password}SeCrEt@{HOST}/1")
    if isinstance(address, Unusable):
        assert "SeCrEt" not in str(address)
        return
    assert address.url == f"rtsp://{HOST}/1"
    assert "SeCrEt" in address.password.reveal()


@given(st.text() | st.text().map("rtsp://".__add__))
def test_any_text_is_an_address_of_ours_or_a_sentence(text: str) -> None:
    address = read(text)
    if isinstance(address, Unusable):
        assert address.code
        return
    assert parse(address.url).url == address.url
    assert "@" not in address.url.split("/")[2]

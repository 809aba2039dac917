"""Input checks give a clean value or a field, a code and a sentence; nothing else ever."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_registry import validation as check
from camera_registry.devices import credentials
from camera_registry.errors import ValidationFailed
from camera_registry.importers import texts
from camera_registry.secret import Secret

WORD = st.text(min_size=1, max_size=30)


def test_brackets_that_are_closed_in_the_user_name_are_no_address() -> None:
    with pytest.raises(ValidationFailed) as refused:
        check.rtsp_url("main_url", "rtsp://a%40]K@[::")
    assert refused.value.code == "url_malformed"


@given(st.text(max_size=60))
def test_any_text_is_a_url_without_userinfo_or_a_refusal(text: str) -> None:
    for candidate in (text, f"rtsp://{text}", f"rtsp://user:{text}@192.0.2.1/x"):
        try:
            found = check.rtsp_url("main_url", candidate)
        except ValidationFailed:
            continue  # a refusal; any other exception fails the test
        assert urlsplit(found.url).username is None
        assert found.url.startswith("rtsp://")
        assert 1 <= found.port <= 65_535
        assert check.rtsp_url("main_url", found.url).url == found.url


@given(WORD, WORD)
def test_credentials_survive_the_url(username: str, password: str) -> None:
    try:
        username.encode()
        password.encode()
    except UnicodeEncodeError:
        return
    url = f"rtsp://{quote(username, safe='')}:{quote(password, safe='')}@192.0.2.1:8554/a?b=c"
    if texts.unprintable(username + password) or {*username, *password} & {"\u2028", "\u2029"}:
        # No store keeps a NUL alike, and no log a line feed.
        with pytest.raises(ValidationFailed):
            check.rtsp_url("main_url", url)
        return
    found = check.rtsp_url("main_url", url)
    assert found.url == "rtsp://192.0.2.1:8554/a?b=c"
    assert (found.username, found.password) == (username, Secret(password))
    assert (found.host, found.port) == ("192.0.2.1", 8554)


@pytest.mark.parametrize(
    ("url", "host", "port", "clean"),
    [
        ("rtsp://cam.example/a", "cam.example", 554, "rtsp://cam.example/a"),
        ("RTSP://h:1/", "h", 1, "rtsp://h:1/"),
        ("rtsp://u:p@[2001:db8::1]:8554/x", "2001:db8::1", 8554, "rtsp://[2001:db8::1]:8554/x"),
        ("rtsp://u:a@b@h/x", "h", 554, "rtsp://h/x"),  # an unescaped @ in the password
        ("rtsp://h/x#frag", "h", 554, "rtsp://h/x"),
    ],
)
def test_urls_are_taken_apart(url: str, host: str, port: int, clean: str) -> None:
    found = check.rtsp_url("main_url", url)
    assert (found.host, found.port, found.url) == (host, port, clean)


def test_a_refusal_does_not_repeat_the_password() -> None:
    for url in ("http://u:s3cret@h/", "rtsp://u:s3cret@h:99999/", "rtsp://:s3cret@h/", "s3cret"):
        with pytest.raises(ValidationFailed) as caught:
            check.rtsp_url("main_url", url)
        assert "s3cret" not in str(caught.value)


@given(st.text(alphabet="0123456789", min_size=20, max_size=20))
def test_a_code_is_taken_exactly_when_it_keeps_the_rules(code: str) -> None:
    good = 111 <= int(code[10:13]) <= 199 and code[14:] != "000000"
    if good:
        assert check.channel_code(code, None) == code
    else:
        with pytest.raises(ValidationFailed, match=r"."):
            check.channel_code(code, None)


@pytest.mark.parametrize(
    ("code", "taken"),
    [
        ("11011201001321000001", True),  # the district's
        ("11010000001321000001", True),  # the city's
        ("11000000001321000001", True),  # the province's
        ("11011301001321000001", False),
        ("32061201001321000001", False),
    ],
)
def test_a_code_belongs_to_the_district_or_above(code: str, taken: bool) -> None:
    if taken:
        assert check.channel_code(code, "110112") == code
    else:
        with pytest.raises(ValidationFailed, match="division"):
            check.channel_code(code, "110112")


@given(st.text(max_size=100))
def test_a_name_is_clean_or_refused(text: str) -> None:
    try:
        clean = check.name("name", text)
    except ValidationFailed:
        return
    assert 1 <= len(clean) <= check.MAX_NAME_CHARS
    assert clean == clean.strip()
    clean.encode()  # storable


def test_pairs_of_credentials_must_agree() -> None:
    one = check.rtsp_url("main_url", "rtsp://a:x@h/1")
    two = check.rtsp_url("sub_url", "rtsp://a:x@h/2")
    other = check.rtsp_url("sub_url", "rtsp://b:x@h/2")
    found = credentials([("main_url", one), ("sub_url", two)], "a", Secret("x"))
    assert found is not None
    assert (found.username, found.password) == ("a", Secret("x"))
    assert credentials([], None, None) is None
    with pytest.raises(ValidationFailed, match="different"):
        credentials([("main_url", one), ("sub_url", other)], None, None)
    with pytest.raises(ValidationFailed, match="at most"):
        credentials([], "u" * 300, None)

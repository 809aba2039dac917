"""New passwords: long enough, and not among the first that are tried."""

from __future__ import annotations

import pytest

from streamhub.access.password_rules import PasswordTooWeak, _common, check_new


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "x" * 257,
        "password",
        "Password123!",
        "PASSWORD",
        "2026admin!!",
        "qwertyuiop",
        "1qaz2wsx",
        "woaini1314",
        "12345678",
        "987654321",
        "abcdefghij",
        "aaaaaaaa",
        "1212121212",
        "StreamHub2026",
        "yongshun",
        "Yongshun2026!",
        "ｐａｓｓｗｏｒｄ",  # full width
    ],
)
def test_what_is_refused(password: str) -> None:
    with pytest.raises(PasswordTooWeak) as caught:
        check_new(password, "yongshun")
    assert password not in str(caught.value).removeprefix("This password")


@pytest.mark.parametrize(
    "password",
    [
        "yongshun-pass",
        "quiet harbour maple",
        "长安街十二号院东门",
        "tgk2vq8w",
        "84629173",
        "x" * 8 + "yz" + "w" * 246,
    ],
)
def test_what_is_taken(password: str) -> None:
    check_new(password, "yongshun")


def test_a_site_may_ask_for_longer_ones() -> None:
    check_new("tgk2vq8w", "ada")
    with pytest.raises(PasswordTooWeak, match="12 to 256"):
        check_new("tgk2vq8w", "ada", min_chars=12)


def test_the_list_is_there_and_in_its_own_form() -> None:
    words = _common()
    assert len(words) > 200
    assert all(word == word.strip().casefold() for word in words)

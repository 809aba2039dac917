"""What a new password must not be. Length, and not what is tried first: no rules of composition,
and none of age (NIST SP 800-63B, section 5.1.1.2).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise

MIN_PASSWORD_CHARS = 8
# argon2 reads all of it: a megabyte password must not become work.
MAX_PASSWORD_CHARS = 256
SERVICE_NAME = "streamhub"
LIST = "common_passwords.txt"
_AROUND = re.compile(r"^[\W\d_]+|[\W\d_]+$")


class PasswordTooWeak(ValueError):
    """The new password is too short, too long, or one that is tried first."""


def check_new(password: str, username: str, *, min_chars: int = MIN_PASSWORD_CHARS) -> None:
    """Raises PasswordTooWeak, with what to do."""
    check_length(password, min_chars=min_chars)
    folded = unicodedata.normalize("NFKC", password).casefold()
    core = _AROUND.sub("", folded)
    names = {SERVICE_NAME, username.casefold(), _AROUND.sub("", username.casefold())}
    if _is_run(folded) or len(set(folded)) <= 2 or {folded, core} & (_common() | names):
        raise PasswordTooWeak(
            "This password is among the first that are tried; choose one that is not a common "
            "word, a name or a row of keys."
        )


def check_length(password: str, *, min_chars: int = MIN_PASSWORD_CHARS) -> None:
    """Raises PasswordTooWeak."""
    if not min_chars <= len(password) <= MAX_PASSWORD_CHARS:
        raise PasswordTooWeak(f"A password has {min_chars} to {MAX_PASSWORD_CHARS} characters.")


def _is_run(text: str) -> bool:
    """12345678, 87654321, abcdefgh."""
    steps = {ord(after) - ord(before) for before, after in pairwise(text)}
    return steps in ({1}, {-1})


@lru_cache(maxsize=1)
def _common() -> frozenset[str]:
    text = files("streamhub.access").joinpath(LIST).read_text()
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))

"""Bearer tokens for scripts: JWT (RFC 7519), HS256, short lived, for this service only.

The key is a file in the data directory, made at first start, readable by its owner only.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

import jwt

from .errors import Known, Unauthenticated
from .principal import Principal

TOKEN_LIFETIME_S = 15 * 60
AUDIENCE = "streamhub"
KEY_FILE = "token.key"
KEY_BYTES = 32
# A script sends the same one for 15 minutes, and its signature does not change; what may change is
# asked each time. As many as sub-platforms and their workers have at once.
TOKENS_REMEMBERED = 1024
_ALGORITHM = "HS256"


def load_key(data_dir: Path) -> bytes:
    """Read the signing key, making it at first. Raises OSError, or ValueError when it is cut."""
    path = data_dir / KEY_FILE
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(handle, "wb") as out:
            out.write(secrets.token_bytes(KEY_BYTES))
            out.flush()
            os.fsync(out.fileno())
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise ValueError(f"{path} is damaged: remove it; scripts then ask for new tokens.")
    return key


class Tokens:
    """Issue and read bearer tokens."""

    def __init__(self, key: bytes, now: Callable[[], datetime]) -> None:
        self._key = key
        self._now = now
        self._claims = lru_cache(maxsize=TOKENS_REMEMBERED)(self._verified)

    def issue(self, *, subject_id: str, username: str, version: int, sign_in_id: str) -> str:
        """A token that holds for `TOKEN_LIFETIME_S`, while its sign-in is there."""
        now = self._now()
        claims = {
            "sub": subject_id,
            "name": username,
            "ver": version,
            "sid": sign_in_id,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + timedelta(seconds=TOKEN_LIFETIME_S),
            "jti": secrets.token_urlsafe(12),
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def read(self, token: str, *, remote: str) -> Principal:
        """Who it was issued to; whether its sign-in is there still is for the caller to look.
        Raises Unauthenticated (token_invalid, token_expired)."""
        subject_id, username, version, sign_in_id, expires = self._claims(token)
        if expires <= self._now().timestamp():
            raise Unauthenticated(
                "The token has expired; ask for a new one.",
                code="token_expired",
                known=Known(subject_id, sign_in_id),
            )
        return Principal(
            subject_id=subject_id,
            username=username,
            remote=remote,
            via="bearer",
            version=version,
            credential_id=sign_in_id,
        )

    def _verified(self, token: str) -> tuple[str, str, int, str, float]:
        """What a token of ours says: subject id, name, version, sign-in, and until when (s since
        1970)."""
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                audience=AUDIENCE,
                # The clock is ours (tests move it), so the expiry is checked by `read`.
                options={
                    "require": ["sub", "exp", "aud"],
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            return (
                str(claims["sub"]),
                str(claims["name"]),
                int(claims["ver"]),
                str(claims["sid"]),
                float(claims["exp"]),
            )
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError) as error:
            raise Unauthenticated("The token is not valid.", code="token_invalid") from error

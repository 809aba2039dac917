"""The page's cookie: HttpOnly (no script reads it), SameSite=Strict, Secure behind https."""

from __future__ import annotations

from http.cookies import SimpleCookie

from streamhub.access.sign_in import SIGN_IN_IDLE

from .rights import COOKIE


def cookie_header(value: str, *, secure: bool) -> str:
    """The Set-Cookie value that signs in, or renews."""
    return _header(value, max_age_s=int(SIGN_IN_IDLE.total_seconds()), secure=secure)


def gone_cookie_header(*, secure: bool) -> str:
    """The Set-Cookie value that makes the browser forget it."""
    return _header("", max_age_s=0, secure=secure)


def flow_cookie_header(name: str, value: str, *, max_age_s: int, secure: bool) -> str:
    """The Set-Cookie value of what comes back from another site: Lax, since Strict would not."""
    return _header(
        value, max_age_s=max_age_s, secure=secure, name=name, path="/api/v1/oidc", same_site="Lax"
    )


def _header(
    value: str,
    *,
    max_age_s: int,
    secure: bool,
    name: str = COOKIE,
    path: str = "/",
    same_site: str = "Strict",
) -> str:
    jar: SimpleCookie = SimpleCookie()
    jar[name] = value
    morsel = jar[name]
    morsel["path"] = path
    morsel["max-age"] = max_age_s
    morsel["httponly"] = True
    morsel["samesite"] = same_site
    if secure:
        morsel["secure"] = True
    return morsel.OutputString()

"""Why signing in by the provider did not go on."""

from __future__ import annotations


class OidcRefused(Exception):
    """`code` is stable, `why` is for the audit and the log; the message is one sentence."""

    def __init__(self, code: str, message: str, *, why: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.why = why or code


def bad_answer(why: str) -> OidcRefused:
    """The provider said something that can't be taken."""
    return OidcRefused(
        "oidc_bad_answer",
        "The sign-in service gave an answer that can't be trusted; try again, then tell the"
        " administrator.",
        why=why,
    )


def unreachable(why: str) -> OidcRefused:
    return OidcRefused(
        "oidc_unreachable", "The sign-in service does not answer; try again soon.", why=why
    )

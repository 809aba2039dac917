"""What this package raises. Every message is a sentence with the next step.

OnvifError
├── AddressInvalid   the address can't be dialled              bad_address
├── SweepInvalid     what to sweep, or where to resume         bad_sweep, sweep_too_large,
│                                                              bad_cursor
├── Unreachable      nobody there; no password was tried       connect_refused, connect_timeout,
│                                                              unknown_host, unreachable, no_answer,
│                                                              closed_by_peer, tls_failed
├── BadAnswer        what came is not a SOAP answer            not_onvif, bad_answer,
│                                                              answer_too_large, doctype_refused,
│                                                              encoding_refused, redirect_refused,
│                                                              http_error
├── Faulted          the device answered with a SOAP fault     fault, not_supported
└── AuthRefused      it wants another password, or none        auth_required, auth_failed,
                                                               auth_scheme_unsupported,
                                                               account_locked, not_permitted,
                                                               tries_spent
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Of a device's own words in our sentences: enough to recognise them, too little to fill a page.
MAX_QUOTED_CHARS = 200

NEXT_STEP: dict[str, str] = {
    "bad_address": "Write the address as a host and a port, for instance 10.1.2.3 and 80.",
    "bad_sweep": "Write networks as 10.1.0.0/22 and ports as numbers.",
    "sweep_too_large": "Split the networks: a sweep asks at most a million addresses and ports.",
    "bad_cursor": "Resume with the networks and ports that the sweep began with, or begin anew.",
    "connect_refused": "The host is there, but nothing listens on this port; look up the ONVIF port"
    " in the camera's settings (80, 8000, 2020 and 8899 are usual) and whether ONVIF is on.",
    "connect_timeout": "Nothing answered; check the cable, the IP address and the firewall between"
    " here and the camera.",
    "unknown_host": "The host's name is not known here; try its IP address, or mend the DNS.",
    "unreachable": "There is no network route to the host; check the address and the routing.",
    "no_answer": "The connection stands but the device does not answer; restart it, or check that"
    " this port really is its web port.",
    "closed_by_peer": "The device closed the connection; it may be busy: try again in a minute.",
    "tls_failed": "The device's certificate is not trusted here; use HTTP, or trust its issuer.",
    "not_onvif": "A web server answers here, but it knows no ONVIF; switch ONVIF on in the camera,"
    " or look up its port.",
    "bad_answer": "What answers on this port is not ONVIF; check the port.",
    "answer_too_large": "The answer is longer than any camera's (2 MB at most); check that this"
    " address is a camera's.",
    "doctype_refused": "The answer holds a document type, which ONVIF never needs; do not trust"
    " this device before someone has looked at it.",
    "encoding_refused": "The answer is packed or in an unknown character set; check that this"
    " address is a camera's.",
    "redirect_refused": "The device sends us to another address, which is not followed; enter the"
    " address that it names, if you trust it.",
    "http_error": "The device's web server refused the request; restart the device, or look for a"
    " newer firmware.",
    "fault": "The device refused the request; its own words stand above.",
    "not_supported": "The device does not know this request; its firmware lacks the service.",
    "auth_required": "The device asks for a password; give a user name and a password. Some cameras"
    " have users of their own for ONVIF.",
    "auth_failed": "The user name or the password is wrong; some cameras have users of their own"
    " for ONVIF. Do not try many times, most lock the account after five.",
    "auth_scheme_unsupported": "The device asks for the password in the clear or in a way that is"
    " not known here; allow digest in its settings.",
    "account_locked": "The device has locked the account or forbids it; wait half an hour, or"
    " unlock it in the camera, before anything else is tried.",
    "not_permitted": "The device knows this user, but does not allow this request, or its password"
    " was changed meanwhile; use an operator or administrator of the device.",
    "tries_spent": "As many wrong passwords as are safe were tried on this device; enter the right"
    " one, then allow it to be tried again.",
}


class OnvifError(Exception):
    """The root; `code` is stable snake_case, `str()` is a sentence with the next step.

    `detail`: what was seen, in few words, without secrets.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        self.code = code
        self.detail = quoted(detail)
        said = f"{self.detail.rstrip('.')}. " if self.detail else ""
        super().__init__(said + NEXT_STEP[code])


class AddressInvalid(OnvifError):
    """Host, port or path can't be dialled."""

    def __init__(self, detail: str = "") -> None:
        super().__init__("bad_address", detail)


class SweepInvalid(OnvifError):
    """Networks and ports that can't be swept, or a cursor of another sweep."""


class Unreachable(OnvifError):
    """No HTTP answer came. Never a failed try of a password."""


class BadAnswer(OnvifError):
    """HTTP came, but not what ONVIF answers. `status`: of HTTP, 0 if it is not known."""

    def __init__(self, code: str, detail: str = "", status: int = 0) -> None:
        super().__init__(code, detail)
        self.status = status


@dataclass(frozen=True, slots=True)
class Fault:
    """A SOAP fault (SOAP 1.2 part 1 section 5.4; 1.1 as well). Names without their prefix."""

    code: str
    subcodes: tuple[str, ...]
    reason: str

    @property
    def not_authorized(self) -> bool:
        """It is about who asks (ONVIF Core section 5.11.2.3), by its code or its words."""
        if {"NotAuthorized", "FailedAuthentication"} & {self.code, *self.subcodes}:
            return True
        return not self.subcodes and bool(_NOT_AUTHORIZED.search(self.reason))

    @property
    def locked(self) -> bool:
        """The device says that it listens to no password for a while."""
        return bool(_LOCKED.search(self.reason))

    @property
    def not_supported(self) -> bool:
        return bool({"ActionNotSupported", "NoSuchService"} & {self.code, *self.subcodes})

    def said(self) -> str:
        """For a sentence: the codes and the reason."""
        return quoted(f"{'/'.join((self.code, *self.subcodes))}: {self.reason}")


_NOT_AUTHORIZED = re.compile(r"not authori[sz]ed|unauthori[sz]ed|authority failure", re.IGNORECASE)
_LOCKED = re.compile(r"\block(ed)?\b", re.IGNORECASE)


class Faulted(OnvifError):
    """The device answered with a fault that is not about who asks."""

    def __init__(self, fault: Fault) -> None:
        super().__init__("not_supported" if fault.not_supported else "fault", fault.said())
        self.fault = fault


class AuthRefused(OnvifError):
    """The device did not let us in.

    `tried`: names of the credential sets that it refused, in order; never a password.
    """

    def __init__(self, code: str, detail: str = "", tried: tuple[str, ...] = ()) -> None:
        super().__init__(code, detail)
        self.tried = tried


def quoted(text: str) -> str:
    """A device's words as one short line without control characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MAX_QUOTED_CHARS else line[: MAX_QUOTED_CHARS - 1] + "…"

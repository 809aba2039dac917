"""What an operation of a service is: the call it gets, and what it may give back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .device import Channel, Device, Profile
from .ptz import Head
from .soap import TT, Element, Fault


@dataclass(frozen=True, slots=True)
class Waiting:
    """A pull without messages: `event_service.poll` may answer it before `until`."""

    subscription: str
    pull: int
    until: float
    limit: int
    message_id: str | None


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operation: its element and its namespace, where it went to, and when."""

    device: Device
    element: Element
    path: str
    message_id: str | None
    now: float

    @property
    def namespace(self) -> str:
        return self.element.name[0]

    def value(self, local: str) -> str | None:
        """The text of a child in the operation's namespace."""
        return self.element.value((self.namespace, local))

    def profile(self) -> Profile:
        """The profile that `ProfileToken` names. Raises Fault."""
        found = self.device.profiles.get(self.value("ProfileToken") or "")
        if found is None:
            raise Fault("Sender", "No such profile.", "ter:InvalidArgVal", "ter:NoProfile")
        return found

    def head(self) -> tuple[Channel, Head]:
        """The PTZ head of the profile's channel. Raises Fault when it has none."""
        channel = self.profile().channel
        if not channel.has_ptz:
            raise Fault("Receiver", "The profile has no PTZ.", "ter:Action", "ter:NoPTZProfile")
        return channel, self.device.head(channel)


@dataclass(frozen=True, slots=True)
class Operation:
    """`run` gives the body's content. `is_open`: answered to whoever asks (ONVIF Core 5.9.4)."""

    run: Callable[[Call], str | Waiting]
    is_open: bool = False


def size(width: int, height: int) -> str:
    return f"<tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height>"


def vector(element: Element | None, local: str) -> Element | None:
    """`PanTilt` or `Zoom` of a `tt:` vector."""
    return None if element is None else element.child(TT, local)

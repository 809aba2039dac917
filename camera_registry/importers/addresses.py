"""Cameras that may be one, though their URLs differ: by host and port, and by IPv4 address.

A recorder has many channels at one host and port, so what they share is no finding in itself. Each
camera is compared with those before it, and one device is told of once and not for every channel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from .. import validation as check
from ..domain import Channel
from .duplicates import Duplicate
from .vendors import channel_of

_DIGITS = re.compile(r"[0-9]+")


class Spot(NamedTuple):
    """Where a camera is."""

    name: str  # as a sentence begins with it
    main: check.RtspUrl | None = None
    ipv4: str | None = None
    access_port: str | None = None
    channel_number: str | None = None
    device_id: str | None = None  # None: not known
    id: str | None = None  # of a channel

    @classmethod
    def of(cls, channel: Channel, name: str) -> Self:
        facts = channel.facts
        return cls(
            name,
            check.rtsp_url("main_url", channel.main_url),
            facts.get("ipv4"),
            facts.get("access_port"),
            facts.get("channel_number"),
            channel.device_id,
            channel.id,
        )

    def is_where(self, other: Spot) -> bool:
        """Whether both say the same of where they are."""
        return (self.main and self.main.url, self.ipv4) == (
            other.main and other.main.url,
            other.ipv4,
        )

    @property
    def away(self) -> bool:
        """Whether its IPv4 address is not the host that is dialled."""
        return self.ipv4 is not None and (self.main is None or self.main.host != self.ipv4)

    @property
    def path(self) -> str:
        """What is behind host and port."""
        return self.main.url[len("rtsp://") :].partition("/")[2] if self.main else ""

    @property
    def number(self) -> str | None:
        """Its channel of the device: by the path where a maker's is known, else as the form says;
        None: not known."""
        return (channel_of("/" + self.path) if self.main else None) or self.channel_number


@dataclass(slots=True)
class _Place:
    """The cameras of one host and port."""

    first: Spot
    several: bool = False
    devices: set[str] = field(default_factory=set)
    numbers: dict[str, Spot] = field(default_factory=dict)  # filled once there are several

    def repeats(self, spot: Spot) -> tuple[Spot, str] | None:
        """Which camera here may be the same one, and what they share."""
        number, first = spot.number, self.first
        if not self.several and (its := first.number) is not None:
            self.numbers[its] = first
        twin = self.numbers.get(number) if number else None
        if twin is not None and not _same(twin, spot):
            return twin, f"the same address and port as channel {number} too"
        if _same(first, spot):
            return None
        # Of the second device alone: behind the one address of a gateway there are hundreds.
        if spot.device_id and len(self.devices) == 1 and spot.device_id not in self.devices:
            return first, "the same address and port, on a device of its own (other credentials?)"
        told_apart = number and first.number and number != first.number
        if not self.several and not told_apart and _shape(spot) != _shape(first):
            return first, "the same address and port, with a path of another kind"
        return None

    def add(self, spot: Spot) -> None:
        if spot is not self.first:
            self.several = True
            for each in (self.first, spot):
                if number := each.number:
                    self.numbers.setdefault(number, each)
        if spot.device_id:
            self.devices.add(spot.device_id)


class Addresses:
    """Remembers where cameras are. Three entries a camera, of at most `rows.MAX_ROWS` rows and
    those of the registry."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, int], _Place] = {}
        self._dialled: dict[str, Spot] = {}  # host of the URL -> first camera
        self._away: dict[str, Spot] = {}  # IPv4 address that is not dialled -> first camera
        self._told: set[tuple[str, str]] = set()  # IPv4 address, device

    def add(self, spot: Spot) -> None:
        """Remembers a camera, of which nothing is asked."""
        if spot.main is not None:
            key = (spot.main.host, spot.main.port)
            self._places.setdefault(key, _Place(spot)).add(spot)
            self._dialled.setdefault(spot.main.host, spot)
        if spot.away and spot.ipv4 is not None:
            self._away.setdefault(spot.ipv4, spot)

    def of(self, spot: Spot, key: str = "main_url") -> Duplicate | None:
        """The camera before it that may be the same one, as a warning; `key` is the field that
        says where it is dialled. It is remembered too."""
        found = None
        if spot.main is not None:
            place = self._places.get((spot.main.host, spot.main.port))
            found = place.repeats(spot) if place else None
        if found is None and (other := self._of_ipv4(spot)) is not None:
            key, found = "ipv4" if spot.away else key, (other, "the same IPv4 address")
        self.add(spot)
        if found is None:
            return None
        other, shared = found
        return Duplicate(
            key,
            "address_shared",
            f"{other.name} has {shared}; if they are the same camera keep one of them, if not "
            "correct the address, or number the channels of the recorder.",
            "warning",
        )

    def _of_ipv4(self, spot: Spot) -> Spot | None:
        """Of two of which one at least is not dialled at its IPv4 address. Its port is then often
        another service's, so that it tells them apart only where both have one."""
        if spot.away and spot.ipv4 is not None:
            host = spot.ipv4
            others = [self._dialled.get(host), self._away.get(host)]
        elif spot.main is not None:
            host = spot.main.host
            others = [self._away.get(host)]
        else:
            return None
        for other in others:
            if other is None or _same(other, spot) or _one_box(other, spot):
                continue
            if _differ(other.access_port, spot.access_port) or _differ(other.number, spot.number):
                continue
            told = (host, spot.device_id or "")
            if spot.device_id is None or told not in self._told:
                self._told.add(told)
                return other
        return None


def _same(one: Spot, other: Spot) -> bool:
    return one.id is not None and one.id == other.id


def _one_box(one: Spot, other: Spot) -> bool:
    """Dialled at one host and port: what they share is looked at there."""
    if one.main is None or other.main is None:
        return False
    return (one.main.host, one.main.port) == (other.main.host, other.main.port)


def _differ(one: str | None, other: str | None) -> bool:
    return bool(one and other and one != other)


def _shape(spot: Spot) -> str:
    """The path without its numbers: channels of one recorder have it in common."""
    return _DIGITS.sub("#", spot.path)

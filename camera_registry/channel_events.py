"""What is told outward of channels: events made of versions, and what of one a listener may know.

An event holds what every lister of the channel may see; addresses, credentials and the facts of
the archive forms are not in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from .domain import Channel, ChannelVersion, EventKind, new_id

MayList = Callable[[Channel], bool]
"""Whether the listener may list the channel as it is, or was: where it lies, and if filed."""

_COMPARED: Final = tuple(each.name for each in fields(Channel) if each.name not in ("id", "facts"))


class Said(StrEnum):
    """What a device may say by itself. Not here: whom it takes somebody in the picture for."""

    MOTION = "motion"
    TAMPER = "tamper"  # covered, turned away, too dark, too bright, out of focus
    DIGITAL_INPUT = "digital_input"
    CONNECTION_LOST = "connection_lost"  # the picture no longer comes to the device itself


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """What a device has said of itself. `active`: it began, or is over. `topic`: as the device
    names it, without prefixes; `source`: of what it is, e.g. an input; `device_time`: as written,
    by a clock that is often wrong."""

    kind: Said
    active: bool
    topic: str
    source: dict[str, str]
    device_time: str

    def body(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "kind": self.kind.value,
            "active": self.active,
            "topic": self.topic,
            "source": self.source,
            "device_time": self.device_time or None,
        }


@dataclass(frozen=True, slots=True)
class ChannelEvent:
    """One event about one channel, as it is after it (or was before it went)."""

    id: str
    kind: EventKind
    at: datetime
    channel: Channel
    was: Channel | None = None  # of CHANGED: what it was before
    cause: str | None = None  # of OFFLINE: a stable code, e.g. connect_failed
    version: int | None = None  # the version it tells of; None for what is no version
    said: DeviceEvent | None = None  # of DEVICE_EVENT

    @property
    def changed(self) -> tuple[str, ...]:
        """Names of the fields that differ; facts as `facts.<key>`. Their values are not told."""
        before, after = self.was, self.channel
        if before is None:
            return ()
        names = [name for name in _COMPARED if getattr(before, name) != getattr(after, name)]
        keys = sorted({*before.facts, *after.facts})
        return (
            *names,
            *(f"facts.{key}" for key in keys if before.facts.get(key) != after.facts.get(key)),
        )

    def seen_by(self, may_list: MayList) -> ChannelEvent | None:
        """The event as this listener may know it: a channel that went out of its sight (moved, or a
        draft again) is gone for it, one that came in is new. None: none of its business."""
        now = may_list(self.channel)
        if self.was is None:
            return self if now else None
        before = may_list(self.was)
        if now:
            return self if before else replace(self, kind=EventKind.ADDED, was=None)
        if before:
            return replace(self, kind=EventKind.REMOVED, channel=self.was, was=None)
        return None

    def body(self) -> dict[str, Any]:
        """JSON values, in the shape of the Standard Webhooks specification: type, timestamp,
        data; and the event's id."""
        channel = self.channel
        data: dict[str, Any] = {
            "channel": {
                "id": channel.id,
                "code": channel.code,
                "name": channel.name,
                "device_class": channel.device_class.value,
                "area_id": channel.area_id,
                "lon": channel.lon,
                "lat": channel.lat,
                "enabled": channel.enabled,
            },
            "changed": list(self.changed),
            "cause": self.cause,
            "version": self.version,
        }
        if self.said is not None:
            data["device_event"] = self.said.body()
        return {
            "type": self.kind.value,
            "id": self.id,
            "timestamp": self.at.isoformat(timespec="milliseconds"),
            "data": data,
        }


def of_version(version: ChannelVersion) -> ChannelEvent:
    """The event that a version is; its id is the same whenever it is made."""
    if version.before is None:
        kind = EventKind.ADDED
    elif version.after is None:
        kind = EventKind.REMOVED
    else:
        kind = EventKind.CHANGED
    return ChannelEvent(
        id=f"ev_{version.seq}",
        kind=kind,
        at=version.at,
        channel=version.channel,
        was=version.before if kind is EventKind.CHANGED else None,
        version=version.seq,
    )


def of_device(channel: Channel, said: DeviceEvent, at: datetime) -> ChannelEvent:
    """The event that the channel's device said something of it, which came at `at`."""
    return ChannelEvent(
        id=new_id("ev"), kind=EventKind.DEVICE_EVENT, at=at, channel=channel, said=said
    )


def of_state(channel: Channel, *, online: bool, cause: str | None, at: datetime) -> ChannelEvent:
    """The event that a channel came or went; `cause` is why it went."""
    return ChannelEvent(
        id=new_id("ev"),
        kind=EventKind.ONLINE if online else EventKind.OFFLINE,
        at=at,
        channel=channel,
        cause=None if online else cause,
    )

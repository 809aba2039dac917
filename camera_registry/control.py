"""Where a camera is asked to do something: its ONVIF address, as the registry knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .devices import DeviceCases
from .domain import Channel
from .errors import NotFound
from .secret import Secret

# ONVIF Core section 5.1: HTTP's own, unless the device is told another.
DEFAULT_PORT: Final = 80


@dataclass(frozen=True, slots=True)
class ControlAddress:
    """`channel_number` counts the device's channels from 1; None: it is not said."""

    channel_id: str
    device_id: str
    host: str
    port: int
    channel_number: int | None
    username: str | None
    password: Secret | None


@dataclass(frozen=True, slots=True)
class EventAddress:
    """Where a device's events are asked for. `channels`: (id, number or None), by number."""

    device_id: str
    host: str
    port: int
    username: str | None
    password: Secret | None
    channels: tuple[tuple[str, int | None], ...]

    @property
    def asks_which(self) -> bool:
        """Whether it matters which of the device's pictures something is of: it has several
        channels here, or one that says its number, as of a recorder whose others are not here."""
        return len(self.channels) > 1 or self.channels[0][1] is not None

    def channel_at(self, place: int | None) -> str | None:
        """Of the device's `place`th picture (0 is the first; None: of one it does not list): the
        channel of that number, or the only one, where that says none."""
        if not self.asks_which:
            return self.channels[0][0]
        if place is None:
            return None
        return next((each for each, number in self.channels if number == place + 1), None)


class ControlCases(DeviceCases):
    """The part of `Registry` about steering, and about listening to devices."""

    async def listened_devices(self) -> list[str]:
        """Ids of those whose events are asked for."""
        async with self._store.read() as tx:
            return [device.id for device in await tx.devices.listened()]

    async def events_of(self, device_id: str) -> EventAddress | None:
        """None: it is gone, not to be listened to, or that it speaks ONVIF stands nowhere.

        Raises SealBroken.
        """
        async with self._store.read() as tx:
            device = await tx.devices.get(device_id)
            if device is None or not device.listen_to_events:
                return None
            channels = await tx.channels.by_device(device_id)
            asked = next((each for each in channels if speaks_onvif(each)), None)
            if asked is None:
                return None
            password = await self._password(tx, device)
        numbered = [(each.id, _whole(each, "channel_number")) for each in channels]
        return EventAddress(
            device_id=device_id,
            host=device.host,
            port=_whole(asked, "access_port") or DEFAULT_PORT,
            username=device.username,
            password=password,
            channels=tuple(sorted(numbered, key=lambda each: (each[1] is None, each[1] or 0))),
        )

    async def control_for(self, channel_id: str) -> ControlAddress | None:
        """None: that the camera speaks ONVIF stands nowhere. A sweep's import writes it into the
        facts `protocol` and `access_port`, as the forms ask for them.

        Raises NotFound("channel"), SealBroken.
        """
        async with self._store.read() as tx:
            channel = await tx.channels.get(channel_id)
            if channel is None:
                raise NotFound("channel", channel_id)
            device = await tx.devices.get(channel.device_id)
            if device is None or not speaks_onvif(channel):
                return None
            password = await self._password(tx, device)
        return ControlAddress(
            channel_id=channel_id,
            device_id=device.id,
            host=device.host,
            port=_whole(channel, "access_port") or DEFAULT_PORT,
            channel_number=_whole(channel, "channel_number"),
            username=device.username,
            password=password,
        )


def speaks_onvif(channel: Channel) -> bool:
    """Whether the channel's facts say so."""
    return "onvif" in channel.facts.get("protocol", "").casefold()


def _whole(channel: Channel, key: str) -> int | None:
    text = channel.facts.get(key, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else None

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


class ControlCases(DeviceCases):
    """The part of `Registry` about steering."""

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

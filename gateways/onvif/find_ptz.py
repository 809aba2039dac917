"""Which profile of a device is steered: asked once, before the first move."""

from __future__ import annotations

from dataclasses import dataclass

from gateways.onvif.client import DeviceClient
from gateways.onvif.describe import find_services, list_sources


@dataclass(frozen=True, slots=True)
class PtzProfile:
    """`url` of the device's PTZ service, and the profile that its requests name."""

    url: str
    token: str


class NoPtz(Exception):
    """There is nothing to steer. `code`: no_ptz_service, no_ptz_profile, which_channel."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


async def find_ptz(client: DeviceClient, channel_number: int | None) -> PtzProfile:
    """`channel_number` counts the device's channels from 1, as a sweep does; None: its only one.

    Raises `NoPtz`, and `OnvifError` when the device can't be asked.
    """
    found = await find_services(client)
    url = found.url("ptz")
    if url is None:
        raise NoPtz("no_ptz_service")
    sources, _ = await list_sources(client, found)
    number = 1 if channel_number is None and len(sources) == 1 else channel_number
    if number is None or not 1 <= number <= len(sources):
        raise NoPtz("which_channel")
    token = sources[number - 1].ptz_profile_token
    if token is None:
        raise NoPtz("no_ptz_profile")
    return PtzProfile(url, token)

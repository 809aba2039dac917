"""All that one device says of itself, for a registry to be filled: the entry for other rooms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gateways.onvif import media, services
from gateways.onvif.address import DeviceAddress, media_uri
from gateways.onvif.client import DeviceClient, UtcNow, utc_now
from gateways.onvif.credentials import CredentialSet, TryLedger
from gateways.onvif.errors import AuthRefused, BadAnswer, Faulted, OnvifError, Unreachable
from gateways.onvif.services import Services
from gateways.onvif.soap import Operation
from gateways.onvif.transport import HttpTransport, Timeouts

# A recorder of 256 channels is asked some 770 times, one after the other; a camera about ten times.
DESCRIBE_DEADLINE_S = 120.0
# A clock further off than this shows in recordings and events.
CLOCK_NOTED_S = 5.0

NOTES: dict[str, str] = {
    "clock_off": "The device's clock is wrong; set its time server.",
    "clock_unknown": "The device does not tell its clock; if its password is refused though it is"
    " right, set the clock in the camera.",
    "no_stream_uri": "The device gives no stream address for this profile; enter it by hand.",
    "no_snapshot_uri": "The device offers no still picture by HTTP; one is taken from the stream.",
    "secret_left_out": "The device writes a password into this address; its value was left out, so"
    " fill it in by hand.",
    "no_mac": "The device does not tell its MAC address.",
    "media_failed": "One of the device's two media services failed; what it knows is missing here.",
    "cut_short": "The device answers so slowly that not all of its channels were asked; ask again,"
    " or look at its network.",
}


@dataclass(frozen=True, slots=True)
class Note:
    """What was odd or missing without spoiling the rest. `where`: a channel's or profile's token,
    "" for the device. `sentence` says the next step."""

    code: str
    where: str
    sentence: str


@dataclass(frozen=True, slots=True)
class StreamDescription:
    """One stream of a channel. `stream_uri` holds no credentials; None if the device gave none."""

    profile_token: str
    encoding: str
    width: int | None
    height: int | None
    fps: float | None
    bitrate_bps: int | None
    gov_length: int | None
    codec_profile: str
    stream_uri: str | None


@dataclass(frozen=True, slots=True)
class ChannelDescription:
    """One video source of a device. `ptz_profile_token`: what PTZ requests name; None: it has none.

    `snapshot_uri`: fetched by HTTP GET with the same user; holds no credentials.
    """

    source_token: str
    name: str
    main: StreamDescription
    sub: StreamDescription | None
    snapshot_uri: str | None
    ptz_profile_token: str | None


@dataclass(frozen=True, slots=True)
class DeviceDescription:
    """A device, as it describes itself.

    `clock_offset_s`: its clock minus ours, None if it does not tell. `credential_set`: the name of
    the one that served, None if it asked for no password.
    """

    address: DeviceAddress
    manufacturer: str
    model: str
    firmware: str
    serial: str
    hardware_id: str
    mac: str | None
    clock_offset_s: float | None
    credential_set: str | None
    channels: tuple[ChannelDescription, ...]
    services: Services
    notes: tuple[Note, ...]

    @property
    def snapshot_uri(self) -> str | None:
        """Of the first channel that has one."""
        return next((c.snapshot_uri for c in self.channels if c.snapshot_uri), None)

    @property
    def has_ptz(self) -> bool:
        return self.services.url("ptz") is not None and any(
            channel.ptz_profile_token is not None for channel in self.channels
        )

    @property
    def has_events(self) -> bool:
        return self.services.url("events") is not None


async def describe(
    address: DeviceAddress,
    credential_sets: Sequence[CredentialSet] = (),
    *,
    http: HttpTransport,
    ledger: TryLedger | None = None,
    timeouts: Timeouts | None = None,
    deadline_s: float = DESCRIBE_DEADLINE_S,
    now: UtcNow = utc_now,
) -> DeviceDescription:
    """Ask a device what it is and what it streams.

    Its clock first, then information, services, profiles and addresses, one request at a time. A
    `ledger` that is shared over calls keeps the account from being locked. What fails beside the
    point becomes a note; what is needed raises `Unreachable`, `BadAnswer`, `Faulted` or
    `AuthRefused`.
    """
    client = DeviceClient(address, http, credential_sets, ledger=ledger, timeouts=timeouts, now=now)
    return await _Description(client, deadline_s).run()


async def find_services(client: DeviceClient) -> Services:
    """GetServices, or GetCapabilities where the firmware is older. Raises `OnvifError`."""
    try:
        answer = await client.ask(client.address.url, services.GET_SERVICES)
        found = services.read_services(answer, client.address)
        if found.urls:
            return found
    except (Faulted, BadAnswer) as error:
        if isinstance(error, BadAnswer) and error.code == "not_onvif":
            raise
    answer = await client.ask(client.address.url, services.GET_CAPABILITIES)
    return services.read_capabilities(answer, client.address)


async def list_sources(
    client: DeviceClient, found: Services
) -> tuple[list[media.SourceProfiles], bool]:
    """The device's channels, and whether both media services answered: one may fail.

    Raises `OnvifError` when none tells of any.
    """
    listed: dict[str, list[media.MediaProfile]] = {"media2": [], "media": []}
    failed: OnvifError | None = None
    for name in listed:
        url = found.url(name)
        if url is None:
            continue
        request = media.GET_PROFILES_2 if name == "media2" else media.GET_PROFILES
        try:
            answer = await client.ask(url, request)
        except (Faulted, BadAnswer, Unreachable) as error:
            failed = error
            continue
        listed[name] = media.read_profiles(answer, media2=name == "media2")
    if failed is not None and not any(listed.values()):
        raise failed
    return media.by_source(listed["media"], listed["media2"]), failed is None


class _Description:
    """One run over one device."""

    def __init__(self, client: DeviceClient, deadline_s: float) -> None:
        self.client = client
        self.deadline_s = deadline_s
        self.notes: list[Note] = []

    async def run(self) -> DeviceDescription:
        until = asyncio.get_running_loop().time() + self.deadline_s
        client = self.client
        clock = await client.read_clock()
        self._note_clock(clock.offset_s if clock is not None else None)
        found = await find_services(client)
        answer = await client.ask(client.address.url, services.GET_DEVICE_INFORMATION)
        information = services.read_device_information(answer)
        mac = await self._mac()
        channels: list[ChannelDescription] = []
        for source in await self._sources(found):
            if asyncio.get_running_loop().time() > until:
                self._note("cut_short")
                break
            channels.append(await self._channel(source, found))
        return DeviceDescription(
            address=client.address,
            manufacturer=information.manufacturer,
            model=information.model,
            firmware=information.firmware,
            serial=information.serial,
            hardware_id=information.hardware_id,
            mac=mac,
            clock_offset_s=None if client.clock is None else client.clock.offset_s,
            credential_set=client.credential_set,
            channels=tuple(channels),
            services=found,
            notes=tuple(self.notes),
        )

    async def _mac(self) -> str | None:
        mac: str | None = None
        try:
            answer = await self.client.ask(self.client.address.url, services.GET_NETWORK_INTERFACES)
            mac = services.read_mac(answer)
        except OnvifError as error:
            if isinstance(error, AuthRefused) and error.code != "not_permitted":
                raise
        if mac is None:
            self._note("no_mac")
        return mac

    async def _sources(self, found: Services) -> list[media.SourceProfiles]:
        sources, whole = await list_sources(self.client, found)
        if not whole:
            self._note("media_failed")
        return sources

    async def _channel(self, source: media.SourceProfiles, found: Services) -> ChannelDescription:
        return ChannelDescription(
            source_token=source.source_token,
            name=source.name,
            main=await self._stream(source.main, found),
            sub=None if source.sub is None else await self._stream(source.sub, found),
            snapshot_uri=await self._uri(
                media.get_snapshot_uri, source.main, found, "no_snapshot_uri"
            ),
            ptz_profile_token=source.ptz_profile_token,
        )

    async def _stream(self, profile: media.MediaProfile, found: Services) -> StreamDescription:
        return StreamDescription(
            profile_token=profile.token,
            encoding=profile.encoding,
            width=profile.width,
            height=profile.height,
            fps=profile.fps,
            bitrate_bps=profile.bitrate_bps,
            gov_length=profile.gov_length,
            codec_profile=profile.codec_profile,
            stream_uri=await self._uri(media.get_stream_uri, profile, found, "no_stream_uri"),
        )

    async def _uri(
        self,
        request: Callable[[media.MediaProfile], Operation],
        profile: media.MediaProfile,
        found: Services,
        missing: str,
    ) -> str | None:
        """A fault in Media2 is asked of Media again: some firmwares have half of each."""
        asked = [profile, replace(profile, media2=False)] if profile.media2 else [profile]
        for one in asked:
            url = found.url("media2" if one.media2 else "media")
            if url is None:
                continue
            try:
                answer = await self.client.ask(url, request(one))
            except OnvifError as error:
                if not _beside_the_point(error, missing):
                    raise
                continue
            written = media.read_uri_answer(answer)
            reachable = media_uri(self.client.address, written, found.web_port)
            if reachable is not None:
                if reachable.secret_left_out:
                    self._note("secret_left_out", profile.token)
                return reachable.uri
        self._note(missing, profile.token)
        return None

    def _note_clock(self, offset_s: float | None) -> None:
        if offset_s is None:
            self._note("clock_unknown")
        elif abs(offset_s) > CLOCK_NOTED_S:
            self._note("clock_off")

    def _note(self, code: str, where: str = "") -> None:
        self.notes.append(Note(code, where, NOTES[code]))


def _beside_the_point(error: OnvifError, missing: str) -> bool:
    """Whether a failed question leaves a gap only. A device that is gone leaves more than that,
    unless it was asked for a still: firmwares hang over those."""
    if isinstance(error, AuthRefused):
        return error.code == "not_permitted"
    return missing == "no_snapshot_uri" or not isinstance(error, Unreachable)

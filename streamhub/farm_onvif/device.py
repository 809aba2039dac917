"""One simulated device: what it is, what it remembers, and the addresses it tells."""

from __future__ import annotations

from dataclasses import dataclass, field

from .auth import Gate
from .faults import FaultKind, FaultSet
from .identity import Identity
from .ptz import Head
from .pullpoint import PullPoints

CLOCK_OFF_S = 3600.0
# TEST-NET-1 (RFC 5737): no host has it, so who believes it fails.
WRONG_HOST = "192.0.2.1"
PATHS = {
    "device": "/onvif/device_service",
    "media": "/onvif/media",
    "media2": "/onvif/media2",
    "ptz": "/onvif/ptz",
    "events": "/onvif/events",
}
SNAPSHOT_PATH = "/onvif/snapshot"


@dataclass(frozen=True, slots=True)
class Stream:
    """What the farm sends at one profile (docs/farm.md, "Addresses")."""

    name: str
    width: int
    height: int
    fps: int
    bitrate_kbps: int
    gop_pictures: int


MAIN = Stream("main", 1920, 1080, 25, 4000, 50)
SUB = Stream("sub", 640, 360, 15, 512, 30)


@dataclass(frozen=True, slots=True)
class Profile:
    """One media profile: a stream of one channel under an opaque token."""

    token: str
    channel: Channel
    stream: Stream


@dataclass(frozen=True, slots=True)
class Channel:
    """One camera view of the device. `number` counts from 1 within it, `camera` in the farm."""

    number: int
    camera: int
    has_ptz: bool

    @property
    def source_token(self) -> str:
        return f"VideoSource_{self.number}"


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """What a device is from start to end."""

    number: int
    address: str
    port: int
    identity: Identity
    channels: int
    first_camera: int
    has_ptz: bool
    rtsp_port: int


@dataclass(slots=True)
class Counters:
    """What tests read of a device, besides its gate's."""

    requests: int = 0
    malformed: int = 0
    redirects_followed: int = 0
    snapshots: int = 0


@dataclass(slots=True)
class Device:
    """A device's state; changed by the services and by control lines, on one thread."""

    # given
    spec: DeviceSpec
    gate: Gate
    faults: FaultSet = field(default_factory=FaultSet)
    # owned
    counters: Counters = field(default_factory=Counters)
    heads: dict[int, Head] = field(default_factory=dict)
    # derived
    channels: tuple[Channel, ...] = field(init=False)
    profiles: dict[str, Profile] = field(init=False)
    pull_points: PullPoints = field(init=False)

    def __post_init__(self) -> None:
        spec, vendor = self.spec, self.spec.identity.vendor
        self.channels = tuple(
            Channel(number, spec.first_camera + number - 1, spec.has_ptz)
            for number in range(1, spec.channels + 1)
        )
        self.profiles = {}
        for channel in self.channels:
            for form, stream in ((vendor.main_token, MAIN), (vendor.sub_token, SUB)):
                token = form.format(channel=channel.number)
                self.profiles[token] = Profile(token, channel, stream)
        self.pull_points = PullPoints({each.source_token: each.camera for each in self.channels})

    @property
    def has_media1(self) -> bool:
        return FaultKind.MEDIA2_ONLY not in self.faults

    @property
    def has_media2(self) -> bool:
        """A device that has Media2 alone has it whatever its vendor's others have."""
        return self.spec.identity.vendor.has_media2 or not self.has_media1

    def clock(self, now: float) -> float:
        """What its own clock shows, in Unix seconds."""
        return now + (CLOCK_OFF_S if FaultKind.CLOCK_HOUR_OFF in self.faults else 0.0)

    def xaddr(self, service: str) -> str:
        """The address that the device tells of one of its services."""
        return self._http(PATHS[service])

    def subscription_address(self, token: str) -> str:
        return self._http(f"{PATHS['events']}/{token}")

    def snapshot_uri(self, channel: Channel) -> str:
        return self._http(f"{SNAPSHOT_PATH}/{channel.number}")

    def stream_uri(self, profile: Profile) -> str:
        host = self._host(self.spec.address)
        path = f"cam/{profile.channel.camera}/{profile.stream.name}"
        return f"rtsp://{host}:{self.spec.rtsp_port}/{path}"

    def head(self, channel: Channel) -> Head:
        return self.heads.setdefault(channel.number, Head())

    def scopes(self) -> list[str]:
        """As GetScopes and discovery tell them; percent-encoded."""
        vendor = self.spec.identity.vendor
        name = f"{vendor.manufacturer}%20{self.spec.identity.model}"
        kinds = ["Profile/Streaming", *(["Profile/T"] if self.has_media2 else [])]
        kinds += ["type/video_encoder", *(["type/ptz"] if self.spec.has_ptz else [])]
        facts = [*kinds, f"hardware/{self.spec.identity.model}", f"name/{name}", "location/farm"]
        return [f"onvif://www.onvif.org/{fact}" for fact in facts]

    def _http(self, path: str) -> str:
        return f"http://{self._host(self.spec.address)}:{self.spec.port}{path}"

    def _host(self, host: str) -> str:
        return WRONG_HOST if FaultKind.WRONG_HOST in self.faults else host

"""What the control plane may ask of the packet plane, and what it hears back.

Everything here is synchronous and returns at once: commands queue to a shard, results come back as
events. Times: `until` is unix seconds; `at_ms` is unix milliseconds; ages are milliseconds.
Ids: `stream_id` is `"<channel_id>/<profile>"`; a viewer id is the view id of the delivery room.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from camera_registry.secret import Secret
    from streamhub.access.permit import Permit

PROFILES: tuple[str, ...] = ("main", "sub")

# Steps of a stream (owner: stream id), then of a viewer (owner: viewer id), in their usual order.
STREAM_STEPS: tuple[str, ...] = (
    "dial",
    "connected",
    "describe",
    "setup",
    "play",
    "first_packet",
    "first_keyframe",
)
VIEWER_STEPS: tuple[str, ...] = ("permit", "ice", "dtls", "first_sent")
RTSP_VIEWER_STEPS: tuple[str, ...] = ("permit", "described", "playing", "first_sent")


def stream_id_of(channel_id: str, profile: str) -> str:
    """The id of one channel at one profile as it flows live."""
    return f"{channel_id}/{profile}"


def channel_of(stream_id: str) -> str:
    """The channel id inside a stream id."""
    return stream_id.rpartition("/")[0]


def profile_of(stream_id: str) -> str:
    """The stream profile inside a stream id."""
    return stream_id.rpartition("/")[2]


def require_permit(permit: Permit, channel_id: str, subject_id: str | None = None) -> None:
    """Every core asks for the proof of an allow. `ValueError` when it is of another channel, or
    subject where one is named: a bug of the caller."""
    if permit.channel_id != channel_id:
        raise ValueError("the permit is for another channel")
    if subject_id is not None and permit.subject_id != subject_id:
        raise ValueError("the permit is for another subject")


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """How the core reaches one stream. `url` carries no userinfo: secrets travel apart."""

    protocol: Literal["rtsp"]
    url: str
    username: str | None
    password: Secret | None
    profile: str


# --- errors -------------------------------------------------------------------------------------


class MediaError(Exception):
    """Root of what a core refuses. `code` is stable and machine-readable."""

    code = "media_error"


class MalformedOffer(MediaError):
    """The SDP offer could not be read; the message says where."""

    code = "malformed_sdp"


class NoCommonCodec(MediaError):
    """The offer lacks the codec that the camera sends; `codec` (`H264`, `H265`) is None where that
    is not known yet, and the offer has no codec of ours at all.
    """

    code = "no_common_codec"

    def __init__(self, message: str, codec: str | None = None) -> None:
        super().__init__(message)
        self.codec = codec


class OverCapacity(MediaError):
    """No room for one more; worth asking again after `retry_after_s`."""

    code = "over_capacity"

    def __init__(self, message: str = "no room for one more", *, retry_after_s: int = 5) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class CoreClosed(MediaError):
    """The core was shut down."""

    code = "shutting_down"


class IdentityRefused(MediaError):
    """The certificate and key can't be used by the RTSP door; the message says why."""

    code = "identity_refused"


class CoreUnavailable(MediaError):
    """The chosen core can't be started here; the message says what to do."""

    code = "core_unavailable"


# --- events -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StepTaken:
    """A stream or a viewer got one step further."""

    owner: str
    step: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class SourceLive:
    """The first keyframe of a source has come in (again, after each dial). `codec`: `H264` or
    `H265`.
    """

    stream_id: str
    codec: str
    width: int
    height: int
    profile: str


@dataclass(frozen=True, slots=True)
class SourceHasBSlices:
    """The source sends B-frames, which browsers show out of order. Once for each dial."""

    stream_id: str


@dataclass(frozen=True, slots=True)
class SourceLost:
    """The source is gone; its stream and viewers stay, until somebody dials again."""

    stream_id: str
    cause: str
    retryable: bool
    detail: str


@dataclass(frozen=True, slots=True)
class ViewerConnected:
    """ICE and DTLS are through; media may be sealed for this viewer."""

    viewer_id: str
    srtp_cipher: str


@dataclass(frozen=True, slots=True)
class ViewerSwitched:
    """The viewer shows this stream from here on: the one it was last sent to."""

    viewer_id: str
    stream_id: str


@dataclass(frozen=True, slots=True)
class ViewerClosed:
    """The viewer is gone from the core. Comes exactly once for every viewer that was opened."""

    viewer_id: str
    cause: str
    sent_bytes: int
    packets: int
    reception: Reception = field(default_factory=lambda: Reception())


@dataclass(frozen=True, slots=True)
class RtspAsked:
    """A client at the RTSP door has a genuine ticket for this stream, and waits (10 s) for
    `accept_rtsp` or `refuse_rtsp`. `expires` is the ticket's end, unix seconds; `remote` the
    client's address. Whether its subject may is not said by any of it.
    """

    connection_id: str
    channel_id: str
    profile: str
    subject_id: str
    subject_version: int
    ticket_id: str
    expires: float
    remote: str


@dataclass(frozen=True, slots=True)
class RtspTicketRefused:
    """Somebody showed the RTSP door a ticket that is not good. `cause`: `ticket_malformed`,
    `ticket_forged` or `ticket_expired`. Of very many in a second some are only counted
    (`rtsp_tickets_refused` of the figures)."""

    remote: str
    cause: str


@dataclass(frozen=True, slots=True)
class SwitchRefused:
    """The viewer stays where it is: the stream it was sent to turned out to be none for it.

    `cause`: `no_common_codec`.
    """

    viewer_id: str
    stream_id: str
    cause: str


@dataclass(frozen=True, slots=True)
class ViewerLagging:
    """The viewer fell behind the ring and skipped to a newer keyframe."""

    viewer_id: str


@dataclass(frozen=True, slots=True)
class KeyframeTaken:
    """Answer to `take_keyframe`: one access unit as Annex-B, parameter sets in front. `codec`:
    `H264`, `H265`.
    """

    request_id: str
    stream_id: str
    annexb: bytes
    age_ms: int
    width: int
    height: int
    codec: str = "H264"


@dataclass(frozen=True, slots=True)
class GsoRefused:
    """The kernel or the network card takes no runs of datagrams at once, so each goes alone."""

    detail: str


@dataclass(frozen=True, slots=True)
class WorkerFault:
    """A panic was caught; `owner` died of it, the rest lives."""

    owner: str
    detail: str


@dataclass(frozen=True, slots=True)
class EventsLost:
    """The event ring overflowed: what was believed must be compared with `*_stats`."""


Event = (
    StepTaken
    | SourceLive
    | SourceHasBSlices
    | SourceLost
    | ViewerConnected
    | ViewerSwitched
    | SwitchRefused
    | RtspAsked
    | RtspTicketRefused
    | ViewerClosed
    | ViewerLagging
    | KeyframeTaken
    | GsoRefused
    | WorkerFault
    | EventsLost
)


# --- figures ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CoreStats:
    """Totals since the core started, but for the two gauges in front."""

    sources: int
    viewers: int
    counters: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SourceStats:
    """One stream. `state` is `opening`, `live` or `lost`; `cause` says why when lost.
    `transport`: how its camera sends; UDP where it refuses TCP."""

    stream_id: str
    state: str
    last_packet_age_ms: int | None
    received_bytes: int
    packets: int
    cause: str | None = None
    transport: Literal["tcp", "udp"] = "tcp"


@dataclass(frozen=True, slots=True)
class Reception:
    """How a viewer's packets arrive, by its own receiver reports (RFC 3550 section 6.4.1), and how
    many it asked for again. `lost_percent` is of the last report; zeros before the first.
    `estimated_bps`: what its way takes by its own estimate (REMB), if the setting asks for it."""

    lost_percent: float = 0.0
    lost_packets: int = 0
    jitter_ms: float = 0.0
    rtt_ms: float = 0.0
    retransmitted: int = 0
    transport: Literal["udp", "tcp", "rtsp", "rtsps"] = "udp"
    estimated_bps: int | None = None


@dataclass(frozen=True, slots=True)
class ViewerStats:
    """One viewer. `last_packet_age_ms`: since a media packet was last sent to it, None before.
    `packets` are the picture's, `audio_packets` the sound's."""

    viewer_id: str
    stream_id: str
    connected: bool
    last_packet_age_ms: int | None
    sent_bytes: int
    packets: int
    dropped_units: int
    until: float
    reception: Reception = field(default_factory=Reception)
    audio_packets: int = 0


class MediaCore(Protocol):
    """The packet plane. One instance per process; call it from the event loop's thread only.

    From `shutdown` on commands do nothing, and `open_viewer` raises `CoreClosed`.
    """

    @property
    def udp_port(self) -> int:
        """The one UDP port that all viewers use."""

    @property
    def rtsp_port(self) -> int | None:
        """The TCP port of the RTSP door in the clear; None where there is none."""

    @property
    def rtsps_port(self) -> int | None:
        """The TCP port of the RTSP door by TLS; None where there is none."""

    def open_source(self, stream_id: str, spec: SourceSpec) -> None:
        """Dial. Replaces an earlier source of the stream; its viewers stay attached."""

    def close_source(self, stream_id: str) -> None:
        """Hang up. Unknown or already closed is no error; emits no `SourceLost`."""

    def open_viewer(
        self,
        *,
        viewer_id: str,
        stream_id: str,
        channel_id: str,
        subject_id: str,
        offer_sdp: str,
        until: float,
        permit: Permit,
    ) -> str:
        """Attach a viewer and return the SDP answer at once; the stream need not be open yet.

        Raises `MalformedOffer`, `NoCommonCodec`, `OverCapacity`, `CoreClosed`. The core closes the
        viewer by itself at `until` (cause `lease_expired`), and as soon as the camera turns out to
        send a codec that the offer lacks (cause `no_common_codec`).
        """

    def accept_rtsp(
        self,
        *,
        connection_id: str,
        viewer_id: str,
        stream_id: str,
        channel_id: str,
        subject_id: str,
        until: float,
        permit: Permit,
    ) -> None:
        """The yes to an `RtspAsked`: its client becomes a viewer like any other, closed at `until`
        by the core, and is answered when the stream has a keyframe. `ViewerClosed` follows also
        when the client is gone already. Raises `OverCapacity`, `CoreClosed`; then it still waits.
        """

    def refuse_rtsp(self, connection_id: str, status: int, *, retry_after_s: int = 0) -> None:
        """The no: the client is answered this RTSP status, with `Retry-After` unless that is 0.
        One that is gone is ignored.
        """

    def set_rtsp_identity(self, certificate: bytes, key: bytes) -> None:
        """Show this certificate (PEM, with its chain) to who comes by TLS from here on; connections
        that are there go on. Raises `IdentityRefused`; then the former stays."""

    def renew_viewers(self, leases: Sequence[tuple[str, float]]) -> None:
        """Set a new `until` (unix seconds) for each (viewer id, until). Unknown ids are ignored."""

    def set_viewer_audio(self, viewer_id: str, on: bool) -> None:
        """Turn a viewer's sound on or off; it opens with none. What is sent is the camera's G.711,
        where the camera has some and the offer took some. An unknown id is ignored.
        """

    def switch_viewer(self, viewer_id: str, stream_id: str, permit: Permit) -> None:
        """Send a viewer on to another stream of its channel, at a keyframe, in one RTP stream.

        It stays where it is until then; `ViewerSwitched` follows, also when it is there already. It
        stays for good when it does not take that stream's codec: `NoCommonCodec` where this is
        known by now, else `SwitchRefused` once it is.
        The last call counts. An unknown id is ignored. `ValueError`: the permit is for another
        channel.
        """

    def close_viewers(
        self,
        *,
        viewer_ids: Collection[str] | None = None,
        channel_id: str | None = None,
        subject_id: str | None = None,
        cause: str,
    ) -> None:
        """End viewers by any of the three; each ends with a `ViewerClosed(cause)`."""

    def request_keyframe(self, stream_id: str) -> None:
        """Ask the camera for a keyframe where its protocol can; otherwise nothing happens."""

    def take_keyframe(self, request_id: str, stream_id: str) -> None:
        """`KeyframeTaken` at once when one is cached, else with the next. No deadline here."""

    def stats(self) -> CoreStats:
        """Totals."""

    def source_stats(self, stream_ids: Collection[str]) -> dict[str, SourceStats]:
        """Rows of those that exist; a missing key means the core does not have that stream."""

    def viewer_stats(self, viewer_ids: Collection[str]) -> dict[str, ViewerStats]:
        """Rows of those that exist; a missing key means the core does not have that viewer."""

    def events(self) -> AsyncIterator[Event]:
        """All events in order. One consumer: `streamhub.media.pump`. Ends after `shutdown`."""

    async def shutdown(self, deadline_ms: int) -> None:
        """BYE and close_notify to each viewer, TEARDOWN to each source, then stop the threads."""

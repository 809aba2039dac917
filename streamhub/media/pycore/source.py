"""One camera's pull: FFmpeg (by PyAV) demuxes RTSP over TCP in a thread, without decoding.

FFmpeg takes credentials in the URL alone, and repeats the URL in its errors. So no text of an error
goes on from here: its type and number are looked at, and the sentence is ours.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import av
import av.error

from .h264 import keyframe_with_sets, picture_size, profile_of, sps_of

if TYPE_CHECKING:
    from av.container import InputContainer

    from streamhub.media.contract import SourceSpec

# The same as the native core's: for a camera that doesn't answer, and for one that falls silent.
OPEN_TIMEOUT_S = 5.0
STALL_AFTER_S = 10.0
# Access units handed over and not yet taken: past that the thread waits, and so does the camera.
MAX_UNITS_WAITING = 256
RTP_CLOCK_RATE = 90_000
# Without these two FFmpeg watches a stream for half a second or more before it gives its packets.
_OPTIONS = {
    "rtsp_transport": "tcp",
    "analyzeduration": "0",
    "probesize": "32",
    "user_agent": "StreamHub",
}
# Causes that stay until someone changes the camera or its entry.
_LASTING = frozenset({"bad_address", "auth_failed", "not_found", "no_video", "codec_unsupported"})


class PullFailed(Exception):
    """A pull ended. `cause` is stable; `detail` is a sentence for people, free of secrets."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.detail = detail

    @property
    def retryable(self) -> bool:
        """Whether trying again soon may help."""
        return self.cause not in _LASTING


@dataclass(frozen=True, slots=True)
class Picture:
    """What a keyframe says of the pictures to come."""

    width: int
    height: int
    profile: str


@dataclass(frozen=True, slots=True)
class PulledUnit:
    """One access unit in Annex B. `pts` in the camera's 90 kHz, where FFmpeg knew it; `recv_at` is
    monotonic seconds; `picture` is there for keyframes, which have parameter sets in front."""

    annexb: bytes
    pts: int | None
    recv_at: float
    picture: Picture | None


@dataclass(frozen=True, slots=True)
class Playing:
    """The camera has agreed to send."""


Heard = Playing | PulledUnit | PullFailed


def failure_of(error: Exception, *, playing: bool) -> PullFailed:
    """What an error of FFmpeg's means. Its text is not used: it holds the URL with the password."""
    if isinstance(error, PullFailed):
        return error
    match error:
        case av.error.HTTPUnauthorizedError() | av.error.HTTPForbiddenError():
            return PullFailed(
                "auth_failed", "the camera refuses this user name and password; correct its entry"
            )
        case av.error.HTTPNotFoundError():
            return PullFailed(
                "not_found", "the camera has no stream at this address; check the path"
            )
        case av.error.HTTPError():
            return PullFailed("bad_response", "the camera refused with an RTSP error status")
        case ConnectionRefusedError():
            return PullFailed("connect_refused", "nothing listens at the camera's address and port")
        case av.error.ExitError() | TimeoutError() if playing:
            return PullFailed("stalled", f"nothing came for {STALL_AFTER_S:.0f} s")
        case av.error.ExitError() | TimeoutError():
            return PullFailed(
                "connect_timeout",
                f"the camera did not answer within {OPEN_TIMEOUT_S:.0f} s; FFmpeg can't tell at "
                "which step",
            )
        case ConnectionError() | av.error.EOFError():
            return PullFailed("closed_by_peer", "the camera closed the connection")
        case OSError(errno=errno.ENETUNREACH | errno.EHOSTUNREACH | errno.EHOSTDOWN):
            return PullFailed("unreachable", "there is no way to the camera's address")
        case _ if playing:
            kind = type(error).__name__
            return PullFailed("closed_by_peer", f"the camera's stream broke off ({kind})")
        case _:
            kind = type(error).__name__
            return PullFailed("bad_response", f"the camera's answer makes no sense ({kind})")


def url_with_credentials(spec: SourceSpec) -> str:
    """As FFmpeg wants it. It never leaves this file. Raises `PullFailed`."""
    parts = urlsplit(spec.url)
    if parts.scheme != "rtsp" or not parts.hostname:
        raise PullFailed("bad_address", "the camera's address is not an rtsp:// URL with a host")
    netloc = parts.netloc.rpartition("@")[2]
    if spec.username is not None:
        password = "" if spec.password is None else spec.password.reveal()
        netloc = f"{quote(spec.username, safe='')}:{quote(password, safe='')}@{netloc}"
    return parts._replace(netloc=netloc, fragment="").geturl()


def _check_host(spec: SourceSpec) -> None:
    """FFmpeg's error for an unknown name is a mere "input/output error"."""
    host = urlsplit(spec.url).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        try:
            socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError:
            raise PullFailed("host_not_found", "the camera's name has no address") from None


class Pull:
    """`hear` is called from the pull's thread, with each unit after a place in the queue was free;
    whoever takes a unit calls `taken`. After a `PullFailed`, or `abandon`, nothing follows."""

    def __init__(
        self, stream_id: str, spec: SourceSpec, hear: Callable[[Pull, Heard], None]
    ) -> None:
        self.stream_id = stream_id
        self._spec = spec
        self._hear = hear
        self._abandoned = threading.Event()
        self._room = threading.Semaphore(MAX_UNITS_WAITING)
        self._sps: bytes | None = None
        self._picture: Picture | None = None
        # A daemon: FFmpeg may hold it for a few seconds more than the process wants to live.
        self._thread = threading.Thread(target=self._run, name=f"pull-{stream_id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def abandon(self) -> None:
        """Hang up at the next packet, or when FFmpeg gives up waiting for one."""
        self._abandoned.set()
        self._room.release()

    def taken(self) -> None:
        self._room.release()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _run(self) -> None:
        playing = False
        try:
            _check_host(self._spec)
            # A url that FFmpeg can't open raises, and so does everything that follows.
            with self._open() as container:
                playing = True
                self._tell(Playing())
                self._demux(container)
            raise PullFailed("closed_by_peer", "the camera ended the stream")
        except Exception as error:
            self._tell(failure_of(error, playing=playing))

    def _open(self) -> InputContainer:
        return av.open(
            url_with_credentials(self._spec),
            options=_OPTIONS,
            timeout=(OPEN_TIMEOUT_S, STALL_AFTER_S),
        )

    def _demux(self, container: InputContainer) -> None:
        if not container.streams.video:
            raise PullFailed("no_video", "the camera offers no video at this address")
        video = container.streams.video[0]
        codec = video.codec_context
        if codec is None or codec.name != "h264":
            name = "unknown to FFmpeg" if codec is None else codec.name
            raise PullFailed("codec_unsupported", f"the video is {name}, not H.264; set it there")
        sets = codec.extradata or b""
        for packet in container.demux(video):
            if self._abandoned.is_set():
                return
            if packet.size:
                unit = self._unit(packet, sets)
                self._room.acquire()
                self._tell(unit)

    def _unit(self, packet: av.Packet[Any], sets: bytes) -> PulledUnit:
        annexb, picture = bytes(packet), None
        if packet.is_keyframe and (whole := keyframe_with_sets(annexb, sets)) is not None:
            annexb, picture = whole, self._look_at(whole)
        return PulledUnit(annexb, packet.pts, time.monotonic(), picture)

    def _look_at(self, keyframe: bytes) -> Picture:
        sps = sps_of(keyframe) or b""
        if self._picture is None or sps != self._sps:
            self._sps = sps
            self._picture = Picture(*picture_size(keyframe), profile_of(sps))
        return self._picture

    def _tell(self, heard: Heard) -> None:
        if not self._abandoned.is_set():
            self._hear(self, heard)

"""The Python core's parts: times, queues, causes, the event queue, strangers' datagrams."""

from __future__ import annotations

import asyncio
import errno
import socket
import subprocess
import sys
import time
from itertools import pairwise

import av
import av.error
import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from camera_registry.secret import Secret
from streamhub.app import _core
from streamhub.media.contract import (
    CoreUnavailable,
    Event,
    EventsLost,
    SourceSpec,
    StepTaken,
    ViewerLagging,
)
from streamhub.media.pycore import events as events_module
from streamhub.media.pycore import open_pycore
from streamhub.media.pycore.events import EventQueue
from streamhub.media.pycore.figures import Totals, ViewerRow
from streamhub.media.pycore.h264 import keyframe_with_sets, nal_type, nal_units
from streamhub.media.pycore.ice import IcePath, UdpPort, bind_udp
from streamhub.media.pycore.source import (
    Picture,
    PulledUnit,
    PullFailed,
    failure_of,
    url_with_credentials,
)
from streamhub.media.pycore.stream import MAX_GOP_UNITS, Stream, Timeline, Unit
from streamhub.media.pycore.viewer import MAX_LAG_S, UnitTrack
from streamhub.settings import load_settings
from support.patience import PATIENCE_S
from support.scripted_camera import clip_units

PICTURE = Picture(640, 360, "66")
PASSWORD = "p@ss:w/rd#1"
URL = "rtsp://camera.example:554/Streaming/Channels/101?transport=tcp"
TICKS = 3600


# --- times ----------------------------------------------------------------------------------------


@given(
    dials=st.lists(st.lists(st.integers(0, 2**33), min_size=1, max_size=8), min_size=1, max_size=4),
    step_s=st.floats(0.001, 30),
)
def test_a_streams_time_goes_on_whatever_cameras_say(dials: list[list[int]], step_s: float) -> None:
    timeline, now, out = Timeline(), 100.0, list[int]()
    for times in dials:
        timeline.restart()
        for pts in times:
            now += step_s
            out.append(timeline.next(pts, now))
    for earlier, later in pairwise(out):
        assert -90_000 <= later - earlier <= max(900_000, (step_s + 1) * 90_000)


def test_a_time_that_ffmpeg_does_not_know_is_told_by_the_clock() -> None:
    timeline = Timeline()
    assert timeline.next(None, 1.0) == 0
    assert timeline.next(6_000, 1.1) == 9_000
    assert timeline.next(12_000, 1.2) == 15_000


# --- what a stream keeps --------------------------------------------------------------------------


def pulled(number: int, *, key: bool = False, recv_at: float | None = None) -> PulledUnit:
    at = number / 25 if recv_at is None else recv_at
    return PulledUnit(b"\0\0\0\1\x65unit", number * TICKS, at, PICTURE if key else None)


def filled(*keys: bool) -> tuple[Stream, list[Unit]]:
    stream = Stream("ch_1/sub")
    return stream, [stream.take(pulled(n, key=key)) for n, key in enumerate(keys)]


def test_the_cached_gop_begins_with_the_newest_keyframe() -> None:
    stream, units = filled(False, True, False, True, False)
    assert stream.gop == units[3:]
    assert stream.keyframe is units[3]


def test_a_gop_that_is_too_long_is_not_kept() -> None:
    stream, units = filled(True, *[False] * MAX_GOP_UNITS)
    assert stream.gop == []
    stream.take(pulled(MAX_GOP_UNITS + 1))
    assert stream.gop == []
    assert stream.keyframe is units[0]
    stream.take(pulled(MAX_GOP_UNITS + 2, key=True))
    assert len(stream.gop) == 1


def test_pictures_shown_before_their_predecessor_are_noticed() -> None:
    stream, _ = filled(True, False, False)
    assert not stream.has_b_slices
    stream.take(pulled(1))
    assert stream.has_b_slices


# --- a viewer's queue -----------------------------------------------------------------------------


class Watching:
    def __init__(self, *gop: Unit, until: float | None = None) -> None:
        self.row = ViewerRow("v1", "ch_1/sub", until or time.time() + 60)
        self.lags: list[int] = []
        self.track = UnitTrack(self.row, self.lags.append)
        self.track.join(gop)

    async def take(self, count: int) -> list[int]:
        async with asyncio.timeout(PATIENCE_S):
            return [(await self.track.recv()).pts or 0 for _ in range(count)]


async def test_a_joiner_gets_the_cached_gop_and_what_follows() -> None:
    stream, units = filled(True, False, False)
    watching = Watching(*stream.gop)
    watching.track.put(stream.take(pulled(3)))
    assert await watching.take(4) == [n * TICKS for n in range(4)]
    assert watching.row.dropped_units == 0
    assert units[0].is_keyframe


async def test_without_a_cached_gop_it_begins_with_the_next_keyframe() -> None:
    _, units = filled(False, False, True, False)
    watching = Watching()
    for unit in units:
        watching.track.put(unit)
    assert await watching.take(2) == [2 * TICKS, 3 * TICKS]
    assert watching.row.dropped_units == 2


async def test_who_falls_behind_goes_on_at_the_next_keyframe() -> None:
    stream, _ = filled(True)
    watching = Watching(*stream.gop)
    await watching.take(1)
    late = MAX_LAG_S + 0.1
    for number, (key, at) in enumerate(
        [(False, 0.0), (False, 0.1), (False, late), (False, late), (True, late), (False, late)], 1
    ):
        watching.track.put(stream.take(pulled(number, key=key, recv_at=at)))
    assert watching.lags == [3]
    assert watching.row.dropped_units == 4
    assert len(await watching.take(2)) == 2


async def test_nothing_is_given_after_the_lease_even_if_no_timer_ran() -> None:
    from aiortc.mediastreams import MediaStreamError

    stream, _ = filled(True)
    watching = Watching(*stream.gop, until=time.time() - 0.001)
    with pytest.raises(MediaStreamError):
        await watching.take(1)


# --- cameras --------------------------------------------------------------------------------------


def ffmpeg_error(code: int, kind: type[Exception] | None = None) -> Exception:
    """As PyAV raises it: the URL with the password is in its text."""
    secret = f"rtsp://admin:{PASSWORD}@192.0.2.1/x"
    made = kind or av.error.classes.get(code, av.error.OSError)
    error: Exception = made(code, "words", secret)
    assert PASSWORD in str(error)
    return error


@pytest.mark.parametrize(
    ("error", "playing", "cause", "retryable"),
    [
        (ffmpeg_error(1, av.error.HTTPUnauthorizedError), False, "auth_failed", False),
        (ffmpeg_error(1, av.error.HTTPForbiddenError), False, "auth_failed", False),
        (ffmpeg_error(1, av.error.HTTPNotFoundError), False, "not_found", False),
        (ffmpeg_error(1, av.error.HTTPOtherClientError), False, "bad_response", True),
        (ffmpeg_error(1, av.error.HTTPServerError), False, "bad_response", True),
        (ffmpeg_error(errno.ECONNREFUSED), False, "connect_refused", True),
        (ffmpeg_error(errno.ETIMEDOUT), False, "connect_timeout", True),
        (ffmpeg_error(1, av.error.ExitError), False, "connect_timeout", True),
        (ffmpeg_error(1, av.error.ExitError), True, "stalled", True),
        (ffmpeg_error(errno.ECONNRESET), True, "closed_by_peer", True),
        (ffmpeg_error(errno.EPIPE), True, "closed_by_peer", True),
        (ffmpeg_error(1, av.error.EOFError), True, "closed_by_peer", True),
        (ffmpeg_error(errno.EHOSTUNREACH), False, "unreachable", True),
        (ffmpeg_error(errno.ENETUNREACH), False, "unreachable", True),
        (ffmpeg_error(1, av.error.InvalidDataError), False, "bad_response", True),
        (ffmpeg_error(errno.EIO), True, "closed_by_peer", True),
    ],
)
def test_an_error_of_ffmpeg_is_a_cause_without_its_words(
    error: Exception, playing: bool, cause: str, retryable: bool
) -> None:
    failure = failure_of(error, playing=playing)
    assert (failure.cause, failure.retryable) == (cause, retryable)
    assert failure.detail
    for text in (str(failure), repr(failure)):
        assert PASSWORD not in text
        assert "words" not in text


def test_credentials_go_into_the_url_whatever_they_hold() -> None:
    url = url_with_credentials(SourceSpec("rtsp", URL, "a:b@c", Secret(PASSWORD), "main"))
    assert url == URL.replace("rtsp://", "rtsp://a%3Ab%40c:p%40ss%3Aw%2Frd%231@")
    assert url_with_credentials(SourceSpec("rtsp", URL, None, None, "main")) == URL


@pytest.mark.parametrize("url", ["http://camera.example/x", "rtsp:///x", "x"])
def test_what_is_no_camera_address_is_said_so(url: str) -> None:
    with pytest.raises(PullFailed) as raised:
        url_with_credentials(SourceSpec("rtsp", url, "admin", Secret(PASSWORD), "main"))
    assert raised.value.cause == "bad_address"
    assert not raised.value.retryable


def test_a_keyframe_has_parameter_sets_in_front() -> None:
    nals = clip_units()[0]
    annexb = b"".join(b"\0\0\0\1" + nal for nal in nals)
    assert list(nal_units(annexb)) == [nal.rstrip(b"\0") for nal in nals]
    assert keyframe_with_sets(annexb, b"") == annexb
    sets = b"".join(b"\0\0\0\1" + nal for nal in nals if nal_type(nal) in (7, 8))
    bare = b"".join(b"\0\0\0\1" + nal for nal in nals if nal_type(nal) not in (7, 8))
    assert keyframe_with_sets(bare, sets) == sets + bare
    assert keyframe_with_sets(bare, b"") is None
    assert keyframe_with_sets(b"".join(b"\0\0\1" + nal for nal in clip_units()[1]), sets) is None


# --- events ---------------------------------------------------------------------------------------


async def test_a_full_queue_loses_the_newest_and_says_so_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events_module, "CAPACITY", 3)
    queue = EventQueue()
    told: list[Event] = [StepTaken("s", str(n), n) for n in range(5)]
    for event in told:
        queue.push(event)
    queue.close()
    assert [event async for event in queue.read()] == [*told[:3], EventsLost()]


async def test_threads_wake_the_reader_and_nothing_is_lost_between() -> None:
    queue, count = EventQueue(), 2_000

    def push() -> None:
        for _ in range(count):
            queue.push(ViewerLagging("v"))

    async def read() -> int:
        return len([event async for event in queue.read()])

    reading = asyncio.create_task(read())
    await asyncio.gather(*(asyncio.to_thread(push) for _ in range(3)))
    queue.close()
    async with asyncio.timeout(PATIENCE_S):
        assert await reading == 3 * count


# --- strangers ------------------------------------------------------------------------------------


class Door:
    """A UDP port with one viewer, and a stranger's socket."""

    def __init__(self) -> None:
        self.totals = Totals()
        bound = bind_udp("127.0.0.1", 0)
        self.address = bound.getsockname()
        self.port = UdpPort(bound, self.totals)
        self.path = IcePath(
            ufrag="ours",
            password="password-of-ours-0123456",
            row=ViewerRow("v1", "ch_1/sub", time.time() + 60),
            port=self.port,
            rtx_payload_type=None,
            on_first_sent=lambda: None,
        )
        self.port.start()
        self.port.add(self.path)
        self.stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.stranger.bind(("127.0.0.1", 0))
        self.stranger.setblocking(False)

    def check(self, *, password: str, nominate: bool = True) -> bytes:
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = "ours:theirs"
        request.attributes["PRIORITY"] = 1
        if nominate:
            request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(password.encode())
        return bytes(request)

    async def refused(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.totals.datagrams_refused < count:
                await asyncio.sleep(0.001)

    def close(self) -> None:
        self.stranger.close()
        self.port.close()


async def test_only_a_check_with_the_password_opens_the_way() -> None:
    door = Door()
    good = door.check(password=door.path.password)
    hostile = [
        door.check(password="another-password-0123456"),
        good[:-1],
        good[:30],
        good[:2] + b"\xff\xff" + good[4:],
        b"\0",
        b"\0\1\0\0" + bytes(16),
        bytes([22, 254, 253]) + bytes(20),  # DTLS from an address that no check has validated
        bytes([0x80, 96]) + bytes(20),
    ]
    for datagram in hostile:
        door.stranger.sendto(datagram, door.address)
    await door.refused(len(hostile))
    assert not door.path.nominated.is_set()
    assert door.path.addresses == []
    door.stranger.sendto(good, door.address)
    async with asyncio.timeout(PATIENCE_S):
        await door.path.nominated.wait()
    answer = stun.parse_message(door.stranger.recv(2048))
    assert answer.message_class == stun.Class.RESPONSE
    assert answer.check_message_integrity(door.path.password.encode())
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == door.stranger.getsockname()
    door.path.close()
    door.stranger.sendto(good, door.address)
    await door.refused(len(hostile) + 1)
    door.close()


# --- being chosen ---------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_an_error_with_the_next_step() -> None:
    with (
        bind_udp("127.0.0.1", 0) as taken,
        pytest.raises(CoreUnavailable, match="STREAMHUB_MEDIA__UDP_PORT"),
    ):
        open_pycore(udp_host="127.0.0.1", udp_port=taken.getsockname()[1], advertise=[])


@pytest.mark.parametrize(
    ("room", "setting", "means"),
    [
        ("media", "udp_port", "STREAMHUB_MEDIA__UDP_PORT"),
        ("media", "tcp_port", "STREAMHUB_MEDIA__TCP_PORT"),
        ("rtsp", "listen", "STREAMHUB_RTSP__LISTEN"),
    ],
)
def test_a_port_that_the_native_core_can_t_have_is_one_too(
    room: str, setting: str, means: str
) -> None:
    kind = socket.SOCK_DGRAM if setting == "udp_port" else socket.SOCK_STREAM
    with socket.socket(type=kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        value = f"127.0.0.1:{port}" if setting == "listen" else port
        settings = load_settings(**{room: {setting: value}})
        with pytest.raises(CoreUnavailable) as refused:
            _core(settings, rtsp_key=bytes(32))
    assert str(refused.value).startswith("Can't listen for ")
    assert f" on 127.0.0.1:{port} (Address already in use); stop what" in str(refused.value)
    assert str(refused.value).endswith(f"or set {means}.")


@pytest.mark.parametrize(
    ("blocked", "core", "ends"),
    [
        ("aiortc", "python", "pip install"),
        # The Python core needs no native one, and the native one no aiortc.
        ("streamhub._core", "python", "PyCore"),
        ("aiortc", "native", "NativeCore"),
    ],
)
def test_each_core_needs_only_its_own_parts(blocked: str, core: str, ends: str) -> None:
    script = f"""
import sys
sys.modules[{blocked!r}] = None
from streamhub.app import _core
from streamhub.media.contract import CoreUnavailable
from streamhub.settings import MediaSettings, Settings
try:
    core = _core(Settings(media=MediaSettings(core={core!r})))
except CoreUnavailable as error:
    print(error)
else:
    print(type(core).__name__)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert ends in done.stdout, done.stdout + done.stderr

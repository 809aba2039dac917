"""One look at one camera: the dialogue of a check, then its packets measured for a few seconds.

It dials as a pull would (TCP, by UDP where the camera refuses that) and never raises for what a
camera does; `Facts` tell how far it came. Runs in a process of its own (`inspect_worker`).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final

from camera_registry.inspection.card import Facts
from camera_registry.secret import Secret
from gateways.rtsp.check import CheckReport, CheckRun
from gateways.rtsp.dialogue import BadResponse, RtspDialogue, host_and_port, redacted
from gateways.rtsp.interleaved import Desynchronised, InterleavedReader
from gateways.rtsp.measure import StreamMeasure
from gateways.rtsp.prepare import AddressInvalid, split_userinfo
from gateways.rtsp.sdp import audio_codec, parameter_sets

# Two GOPs of 5 s; a longer one is told by its being longer.
LOOK_S: Final = 12.0
# Without a second of packets neither bit rate nor pictures a second mean anything.
LOOK_AT_LEAST_S: Final = 2.0
# A look at 16 Mbit/s takes 24 MB; whatever sends more is told by less of it.
MAX_LOOK_BYTES: Final = 32 << 20
# The answer to TEARDOWN comes behind what the camera has sent already; nobody waits for long.
GOODBYE_S: Final = 1.0
RTCP_CHANNEL: Final = 1


class LookBroken(Exception):
    """There is no result, by no fault of the camera: the process that looked has ended, or
    stumbled. Another try may do."""

    code = "not_inspected"


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen. `keyframe`: Annex B with its parameter sets in front, for a still."""

    facts: Facts
    keyframe: bytes | None = field(default=None, repr=False)


async def inspect(
    url: str,
    *,
    username: str | None = None,
    password: Secret | None = None,
    timeout_s: float = 5.0,
    look_s: float = LOOK_S,
) -> Looked:
    """Look at the stream at `url`. `timeout_s` bounds each step of the dialogue, `look_s` the
    packets: it ends earlier when two whole groups of pictures were seen."""
    try:
        plain_url, url_username, url_password = split_userinfo(url)
    except AddressInvalid:
        return Looked(Facts(failed_step="address", failure="bad_address"))
    if username is None:
        username, password = url_username, url_password
    host, port = host_and_port(plain_url)
    dialogue = RtspDialogue(host, port, username, password)
    report = CheckReport(redacted(plain_url))
    look = _Look(dialogue, plain_url, report, timeout_s, look_s)
    try:
        await look.all_steps()
    finally:
        await look.close()
    return look.looked()


@dataclass(slots=True)
class _Look(CheckRun):
    """A check that looks on after its first keyframe."""

    measure: StreamMeasure | None = None
    reader: InterleavedReader = field(default_factory=InterleavedReader)
    bytes_seen: int = 0
    first_packet_at: float | None = None
    described_wall: float = 0.0

    async def all_steps(self) -> None:
        await self.take(self.opening())
        if self.report.ok:
            assert self.track is not None  # noqa: S101  (describe found one)
            self.described_wall = time.time()
            self.measure = StreamMeasure(
                self.track.codec, self.track.payload_type, parameter_sets(self.track.fmtp)
            )
            await self.take(
                [
                    ("first_packet", self.first_packet, self.timeout_s),
                    ("first_keyframe", self.first_keyframe, self.keyframe_wait_s),
                    ("look", self.look, self.keyframe_wait_s + self.timeout_s),
                ]
            )
        if self.dialogue.rtsp_session_id is not None:
            await self.say_goodbye()

    async def first_packet(self) -> str:
        while self._measure.packets == 0:
            await self._read()
        self.first_packet_at = time.monotonic()
        return "RTP"

    async def first_keyframe(self) -> str:
        while self._measure.keyframes == 0:
            await self._read()
        return f"after {self._measure.packets} packets"

    async def look(self) -> str:
        """Until all is known, or the time or the bytes for it are over."""
        assert self.first_packet_at is not None  # noqa: S101  (first_packet came before)
        deadline = self.first_packet_at + self.keyframe_wait_s
        with suppress(TimeoutError):
            async with asyncio.timeout_at(
                asyncio.get_running_loop().time() + deadline - time.monotonic()
            ):
                while not self._done(deadline):
                    await self._read()
        return f"{self._measure.packets} packets"

    def _done(self, deadline: float) -> bool:
        if self.bytes_seen > MAX_LOOK_BYTES:
            return True
        assert self.first_packet_at is not None  # noqa: S101
        now = time.monotonic()
        if now - self.first_packet_at < LOOK_AT_LEAST_S:
            return False
        if self._measure.enough():
            return True
        due = self._measure.expects_by()
        return due is not None and due > deadline and self._measure.keyframe is not None

    @property
    def _measure(self) -> StreamMeasure:
        assert self.measure is not None  # noqa: S101  (describe came first)
        return self.measure

    async def _read(self) -> None:
        """Whatever has come goes to the measure."""
        if self.ports is not None:
            packets = [(0, await self.ports.packet())]
        else:
            packets = self.dialogue.early()
            if not packets:
                try:
                    packets = self.reader.feed(await self.dialogue.chunk())
                except Desynchronised as error:
                    raise BadResponse(str(error)) from error
        now = time.monotonic()
        for channel, packet in packets:
            self.bytes_seen += len(packet)
            if not self._measure.packet(now, packet) and (channel == RTCP_CHANNEL or self.ports):
                self._measure.report(time.time(), packet)

    async def say_goodbye(self) -> None:
        """TEARDOWN: a place that is left open is missed by the next one."""
        with suppress(OSError, EOFError, TimeoutError, Desynchronised, BadResponse):
            async with asyncio.timeout(GOODBYE_S):
                await self.dialogue.send("TEARDOWN", self.base_url)
                heard = self.reader.messages
                while self.reader.messages == heard:
                    self.reader.feed(await self.dialogue.chunk())

    def looked(self) -> Looked:
        """The facts of all that went before."""
        done = [step.name for step in self.report.steps if step.ok]
        facts: dict[str, object] = {
            "failed_step": self.report.failed_step,
            "failure": self.report.code,
            "connected": "connect" in done,
            "authenticated": self._authenticated(),
            "codec": self.report.codec,
        }
        if "setup" in done:
            facts["transport"] = "udp" if self.ports is not None else "tcp"
        if self.described is not None:
            facts["audio"] = audio_codec(self.described.text)
        keyframe = None
        if self.measure is not None:
            keyframe = self.measure.keyframe
            facts |= self._measured(self.measure)
        return Looked(Facts.of(facts), keyframe)

    def _authenticated(self) -> bool | None:
        if self.described is not None:
            return True
        return False if self.report.code in ("auth_failed", "auth_required") else None

    def _measured(self, measure: StreamMeasure) -> dict[str, object]:
        found = measure.measured()
        started = self.dialogue.started
        facts: dict[str, object] = {
            "fps_measured": found.fps,
            "bit_rate_bps": found.bit_rate_bps,
            "gop_ms": found.gop_ms,
            "gop_pictures": found.gop_pictures,
            "gop_at_least_ms": found.gop_at_least_ms,
            "gop_varies": found.gop_varies,
            "b_frames": found.b_frames if measure.keyframes else None,
            "packets": found.packets,
            "packets_lost": found.lost,
            "clock_skew_ms": found.clock_skew_ms,
            "clock_source": None if found.clock_skew_ms is None else "rtcp_sender_report",
        }
        if found.clock_skew_ms is None and (skew_ms := self._date_skew_ms()) is not None:
            facts |= {"clock_skew_ms": skew_ms, "clock_source": "rtsp_date"}
        if self.first_packet_at is not None:
            facts["first_packet_ms"] = round((self.first_packet_at - started) * 1000)
            facts["watched_ms"] = round((time.monotonic() - self.first_packet_at) * 1000)
        if found.first_keyframe_at is not None:
            facts["first_keyframe_ms"] = round((found.first_keyframe_at - started) * 1000)
        if (shape := found.format) is not None:
            facts |= {
                "profile": shape.profile,
                "level": shape.level,
                "width": shape.width,
                "height": shape.height,
                "chroma": shape.chroma,
                "bit_depth": shape.bit_depth,
                "interlaced": shape.interlaced,
                "fps_declared": shape.fps,
            }
        return facts

    def _date_skew_ms(self) -> int | None:
        """By the `Date` of the answer to DESCRIBE (RFC 2326 section 12.18): whole seconds."""
        text = None if self.described is None else self.described.header("date")
        if text is None:
            return None
        try:
            return round((parsedate_to_datetime(text).timestamp() - self.described_wall) * 1000)
        except (ValueError, TypeError, OverflowError):
            return None  # some cameras write their own forms

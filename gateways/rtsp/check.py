"""`streamhub camera check`: talk to one camera as a pull would, and say where it stops and why."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from camera_registry.secret import Secret
from gateways.rtsp.dialogue import (
    BadResponse,
    Exchange,
    Response,
    RtspDialogue,
    host_and_port,
    redacted,
)
from gateways.rtsp.prepare import AddressInvalid, split_userinfo
from gateways.rtsp.sdp import VideoTrack, starts_picture, video_track
from gateways.rtsp.udp_ports import UdpPorts, server_ports

# The longest GOP of the "smart" codecs is 30 s; a check is allowed to be less patient.
KEYFRAME_WAIT_S = 12.0
RTP_HEADER_BYTES = 12

# The failing step's code -> what a person does next.
NEXT_STEP: dict[str, str] = {
    "bad_address": "Write the address as rtsp://host:554/path.",
    "unknown_host": "The host's name is not known here; try its IP address, or mend the DNS.",
    "connect_refused": "The host is there, but nothing listens on this port; look up the RTSP port"
    " in the camera's settings and whether RTSP is switched on.",
    "connect_timeout": "Nothing answered; check the cable, the IP address and the firewall between"
    " here and the camera.",
    "unreachable": "There is no network route to the host; check the address and the routing.",
    "no_answer": "The connection stands but the camera does not answer; restart it, or check that"
    " this port really is RTSP.",
    "auth_required": "The camera asks for a password; give a user name and a password.",
    "auth_failed": "The user name or the password is wrong; do not try many times, most cameras"
    " lock the account after five.",
    "not_found": "The camera does not know this path; look up the stream's path for its model.",
    "busy": "All of the camera's connections are taken; close other viewers or recorders, or wait"
    " a minute for dead ones to time out.",
    "unsupported_transport": "The camera refuses RTP over TCP and by UDP; allow TCP in the camera's"
    " settings.",
    "no_video": "The camera announces no video track; check that this is the video's path.",
    "codec_unsupported": "The stream is neither H.264 nor H.265; set it to H.264 in the camera.",
    "refused": "The camera refused the request; the status line above says why.",
    "bad_response": "What answers on this port is not RTSP; check the port.",
    "closed_by_peer": "The camera closed the connection; other clients may take its last place.",
    "no_packets": "The camera said yes to PLAY but sends nothing; restart it, or try its other"
    " stream.",
    "no_keyframe": "Packets come, but no keyframe within 12 s; set the keyframe interval (I-frame"
    " interval) to two seconds.",
}
_CODE_OF_STATUS = {401: "auth_failed", 403: "auth_failed", 404: "not_found", 453: "busy"}
_CODE_OF_STATUS |= {461: "unsupported_transport", 503: "busy"}
Step = tuple[str, Callable[[], Awaitable[str]], float]
"""Its name, what it does (gives what was learnt), and the seconds it may take."""
# Said of RTP over TCP by cameras that send by UDP only; the pull asks for UDP then.
_TRANSPORT_REFUSED = (400, 451, 461)


@dataclass(frozen=True, slots=True)
class CheckStep:
    """One step of the dialogue. `note`: what was learnt."""

    name: str
    ok: bool
    elapsed_ms: int
    note: str = ""


@dataclass(slots=True)
class CheckReport:
    """What a check saw. `code` and `sentence` are set when it failed."""

    url: str
    steps: list[CheckStep] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    failed_step: str | None = None
    code: str | None = None
    sentence: str | None = None
    codec: str | None = None

    @property
    def ok(self) -> bool:
        return self.failed_step is None

    def lines(self) -> list[str]:
        """The dialogue and the verdict, to print. Holds no secret."""
        lines: list[str] = []
        for exchange in self.exchanges:
            lines.append(
                f"--- {'to' if exchange.direction == '>' else 'from'} the camera"
                f" at {exchange.at_ms} ms"
            )
            lines += [f"{exchange.direction} {line}" for line in exchange.text.splitlines()]
        for step in self.steps:
            mark = "ok    " if step.ok else "FAILED"
            lines.append(f"{mark} {step.name:<15} {step.elapsed_ms:>6} ms  {step.note}".rstrip())
        if self.failed_step is not None:
            lines.append(f"Failed at {self.failed_step} ({self.code}). {self.sentence}")
        else:
            lines.append("The camera can be pulled.")
        return lines


class Stop(Exception):
    """A step that failed: its code in `NEXT_STEP`, and what was learnt."""

    def __init__(self, code: str, note: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.note = note


async def check(
    url: str,
    *,
    username: str | None = None,
    password: Secret | None = None,
    timeout_s: float = 5.0,
    keyframe_wait_s: float = KEYFRAME_WAIT_S,
) -> CheckReport:
    """Connect, OPTIONS, DESCRIBE, SETUP over TCP (by UDP where the camera refuses that), PLAY,
    first packet, first keyframe, TEARDOWN.

    `timeout_s` bounds each step but the keyframe's. Never raises for what a camera does.
    """
    try:
        plain_url, url_username, url_password = split_userinfo(url)
    except AddressInvalid as error:
        report = CheckReport(url="")
        _fail(report, "address", 0, Stop("bad_address", str(error)))
        return report
    if username is None:
        username, password = url_username, url_password
    host, port = host_and_port(plain_url)
    dialogue = RtspDialogue(host, port, username, password)
    report = CheckReport(url=redacted(plain_url), exchanges=dialogue.exchanges)
    run = CheckRun(dialogue, plain_url, report, timeout_s, keyframe_wait_s)
    try:
        await run.all_steps()
    finally:
        await run.close()
    return report


@dataclass(slots=True)
class CheckRun:
    """The dialogue step by step. An inspection goes the same way and looks on (`inspect`)."""

    dialogue: RtspDialogue
    url: str
    report: CheckReport
    timeout_s: float
    keyframe_wait_s: float
    base_url: str = ""
    described: Response | None = None
    track: VideoTrack | None = None
    ports: UdpPorts | None = None
    packets: int = 0
    keyframe: bool = False

    async def all_steps(self) -> None:
        await self.take(
            [
                *self.opening(),
                ("first_packet", self.first_packet, self.timeout_s),
                ("first_keyframe", self.first_keyframe, self.keyframe_wait_s),
            ]
        )
        if self.dialogue.rtsp_session_id is not None:
            await self.say_goodbye()

    def opening(self) -> list[Step]:
        """The steps up to the first packet."""
        return [
            ("connect", self.connect, self.timeout_s),
            ("options", self.options, self.timeout_s),
            ("describe", self.describe, self.timeout_s),
            ("setup", self.setup, self.timeout_s),
            ("play", self.play, self.timeout_s),
        ]

    async def take(self, steps: Sequence[Step]) -> None:
        """One after the other, each within its limit, up to the first that fails."""
        for name, step, limit_s in steps:
            began = time.monotonic()
            try:
                async with asyncio.timeout(limit_s):
                    note = await step()
            except Exception as error:
                stop = _stop_of(error, name)
                if stop.code == "no_packets" and self.ports is not None:
                    stop.note = "by UDP, which a firewall between may stop"
                _fail(self.report, name, _ms_since(began), stop)
                break
            self.report.steps.append(CheckStep(name, True, _ms_since(began), note))

    async def close(self) -> None:
        if self.ports is not None:
            self.ports.close()
        await self.dialogue.close()

    async def connect(self) -> str:
        await self.dialogue.connect()
        return f"{self.dialogue.host} port {self.dialogue.port}"

    async def options(self) -> str:
        response = await self.dialogue.request("OPTIONS", self.url)
        if response.status == 401 and self.dialogue.sent_credentials:
            self._expect(response)  # a second try would only bring us nearer to a locked account
        if response.status in (404, 405, 501, 401):
            return f"answered {response.status}, which is tolerated"
        self._expect(response)
        return response.header("public") or "no Public header"

    async def describe(self) -> str:
        response = await self.dialogue.request("DESCRIBE", self.url, Accept="application/sdp")
        self._expect(response)
        base = response.header("content-base") or response.header("content-location") or ""
        # Behind NAT cameras name an address that is theirs, not the one that we reach.
        same_host = base.lower().startswith("rtsp://") and host_and_port(base) == host_and_port(
            self.url
        )
        self.base_url = base if same_host else self.url
        self.described = response
        self.track = video_track(response.text, self.base_url)
        if self.track is None:
            raise Stop("no_video")
        self.report.codec = self.track.codec
        if self.track.codec not in ("H264", "H265"):
            raise Stop("codec_unsupported", f"codec {self.track.codec or 'not named'}")
        note = f"{self.track.codec}, payload type {self.track.payload_type}"
        return note + ("; few browsers take H.265" if self.track.codec == "H265" else "")

    async def setup(self) -> str:
        assert self.track is not None  # noqa: S101  (describe came first)
        response = await self.dialogue.request(
            "SETUP", self.track.control_url, Transport="RTP/AVP/TCP;unicast;interleaved=0-1"
        )
        if response.status in _TRANSPORT_REFUSED:
            response = await self._setup_by_udp()
        self._expect(response)
        rtsp_session_id = (response.header("session") or "").partition(";")[0].strip()
        if not rtsp_session_id:
            raise Stop("bad_response", "SETUP was answered without a Session header")
        self.dialogue.rtsp_session_id = rtsp_session_id
        transport = response.header("transport") or "no Transport header"
        if self.ports is None:
            return transport
        if (camera_ports := server_ports(transport)) is not None:
            self.ports.punch(camera_ports)
        return f"by UDP, since the camera refuses TCP: {transport}"

    async def _setup_by_udp(self) -> Response:
        assert self.track is not None  # noqa: S101
        ours, camera = self.dialogue.addresses()
        self.ports = UdpPorts(ours, camera)
        await self.ports.open()
        first, second = self.ports.rtp_port, self.ports.rtp_port + 1
        return await self.dialogue.request(
            "SETUP",
            self.track.control_url,
            Transport=f"RTP/AVP;unicast;client_port={first}-{second}",
        )

    async def play(self) -> str:
        response = await self.dialogue.request("PLAY", self.base_url, Range="npt=0.000-")
        self._expect(response)
        return "accepted"

    async def first_packet(self) -> str:
        while not await self._rtp():
            pass
        return "RTP"

    async def first_keyframe(self) -> str:
        while not self.keyframe:
            await self._rtp()
        return f"after {self.packets} packets"

    async def _rtp(self) -> bool:
        """Read one packet; whether it was RTP of the video track."""
        assert self.track is not None  # noqa: S101
        if self.ports is not None:
            packet = await self.ports.packet()
        else:
            _, packet = await self.dialogue.packet()
        if len(packet) < RTP_HEADER_BYTES or packet[0] >> 6 != 2:
            return False
        if packet[1] & 0x7F != self.track.payload_type:
            return False
        self.packets += 1
        at = RTP_HEADER_BYTES + 4 * (packet[0] & 0x0F)
        if packet[0] & 0x10 and at + 4 <= len(packet):
            at += 4 + 4 * int.from_bytes(packet[at + 2 : at + 4])
        self.keyframe = self.keyframe or starts_picture(self.track.codec, packet[at:])
        return True

    async def say_goodbye(self) -> None:
        """TEARDOWN also after a failure: a place that is left open is missed by the next one."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.timeout_s):
                response = await self.dialogue.request("TEARDOWN", self.base_url)
            note = f"answered {response.status}"
        except Exception as error:
            note = f"not answered ({_stop_of(error, 'teardown').code}), which is tolerated"
        self.report.steps.append(CheckStep("teardown", True, _ms_since(began), note))

    def _expect(self, response: Response) -> None:
        if 200 <= response.status < 300:
            return
        code = _CODE_OF_STATUS.get(response.status, "refused")
        if response.status == 401 and not self.dialogue.sent_credentials:
            code = "auth_required"
        raise Stop(code, f"{response.status} {response.reason}")


def _stop_of(error: Exception, step: str) -> Stop:
    """Which of the known ways to fail this is."""
    match error:
        case Stop():
            return error
        case TimeoutError():
            codes = {
                "connect": "connect_timeout",
                "first_packet": "no_packets",
                "first_keyframe": "no_keyframe",
            }
            return Stop(codes.get(step, "no_answer"))
        case ConnectionRefusedError():
            return Stop("connect_refused")
        case socket.gaierror():
            return Stop("unknown_host")
        case UnicodeError() if step == "connect":  # no name at all: a label is empty, or too long
            return Stop("unknown_host")
        case BadResponse():
            return Stop("bad_response", str(error))
        case EOFError() | ConnectionError():
            return Stop("closed_by_peer")
        case OSError():
            return Stop("unreachable", error.strerror or "")
        case _:
            raise error


def _fail(report: CheckReport, step: str, elapsed_ms: int, stop: Stop) -> None:
    report.steps.append(CheckStep(step, False, elapsed_ms, stop.note))
    report.failed_step, report.code = step, stop.code
    report.sentence = NEXT_STEP[stop.code]


def _ms_since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)

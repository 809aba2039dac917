"""`camera check`: the dialogue with a scripted camera, the step it stops at, what to do next."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from camera_registry.secret import Secret
from gateways.rtsp import CheckReport, check
from gateways.rtsp.check import NEXT_STEP
from support.patience import PATIENCE_S
from support.serving import serving

PASSWORD = "p@ss:w/ord"
WAIT_S = 1.5  # for what does not come
SDP = (
    "v=0\r\ns=cam\r\na=control:*\r\nm=audio 0 RTP/AVP 8\r\na=control:trackID=1\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    "a=fmtp:96 packetization-mode=1\r\na=control:trackID=2\r\n"
)
SPS, P_SLICE, IDR_START = b"\x67\x42\xe0\x1e", b"\x61\xe0", b"\x7c\x85\x88"


def rtp(payload: bytes, payload_type: int = 96) -> bytes:
    packet = bytes([0x80, payload_type]) + bytes(10) + payload
    return b"$\x00" + len(packet).to_bytes(2) + packet


@dataclass
class Camera:
    """An RTSP server that does what cameras do; each field is one way to be difficult."""

    answers: dict[str, str] = field(default_factory=dict)  # method -> status line instead of 200
    password: str | None = PASSWORD
    algorithm: str = "MD5"
    sdp: str = SDP
    media: bytes = rtp(P_SLICE) + rtp(SPS) + rtp(IDR_START)
    silent_at: str | None = None
    closes_at: str | None = None
    says_instead: bytes | None = None
    requests: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                if self.says_instead is not None:
                    writer.write(self.says_instead)
                    await writer.drain()
                    break
                if not await self.answer(head, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, head: str, writer: asyncio.StreamWriter) -> bool:
        method, uri = head.split(" ")[:2]
        cseq = re.findall(r"CSeq: (\d+)", head)[0]
        self.requests.append(method)
        if method == self.closes_at:
            return False
        if method == self.silent_at:
            return True
        status, extra, body = self.answers.get(method, "200 OK"), "", ""
        if self.password is not None and not self.knows(method, uri, head):
            status = "401 Unauthorized"
            extra = (
                'WWW-Authenticate: Basic realm="cam"\r\nWWW-Authenticate: Digest realm="cam", '
                f'nonce="n{len(self.requests)}", algorithm={self.algorithm}, qop="auth"\r\n'
            )
        elif method == "DESCRIBE":
            body = self.sdp
            extra = "Content-Base: rtsp://10.0.0.9/behind-nat/\r\n"
        elif method == "SETUP":
            extra = "Session: 4711;timeout=60\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n"
        elif method == "PLAY":
            writer.write(rtp(P_SLICE))  # data may come before the answer
        writer.write(
            f"RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n{extra}"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        if method == "PLAY" and status.startswith("200"):
            writer.write(self.media)
        await writer.drain()
        return True

    def knows(self, method: str, uri: str, head: str) -> bool:
        found = re.findall(r'(\w+)="?([^",\r]+)', head.partition("Authorization: Digest ")[2])
        fields = dict(found)
        if "response" not in fields or fields["uri"] != uri:
            return False
        make = hashlib.sha256 if self.algorithm == "SHA-256" else hashlib.md5

        def digest(text: str) -> str:
            return make(text.encode()).hexdigest()

        ha1, ha2 = digest(f"admin:cam:{self.password}"), digest(f"{method}:{uri}")
        middle = f"{fields['nonce']}:{fields['nc']}:{fields['cnonce']}:auth"
        return fields["response"] == digest(f"{ha1}:{middle}:{ha2}")


async def checked(
    camera: Camera,
    *,
    username: str | None = "admin",
    password: str = PASSWORD,
    wait_s: float = PATIENCE_S,
) -> CheckReport:
    """`wait_s`: for an answer, a packet, a keyframe; waited out where none comes."""
    async with serving(camera.serve) as port:
        return await check(
            f"rtsp://127.0.0.1:{port}/live?channel=1&password={PASSWORD}",
            username=username,
            password=Secret(password),
            timeout_s=wait_s,
            keyframe_wait_s=wait_s,
        )


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
async def test_a_good_camera_passes_every_step(algorithm: str) -> None:
    camera = Camera(algorithm=algorithm)
    report = await checked(camera)
    assert report.ok, report.lines()
    assert [step.name for step in report.steps] == [
        "connect",
        "options",
        "describe",
        "setup",
        "play",
        "first_packet",
        "first_keyframe",
        "teardown",
    ]
    assert report.codec == "H264"
    assert camera.requests[-1] == "TEARDOWN"
    assert report.lines()[-1] == "The camera can be pulled."


async def test_the_dialogue_is_written_down_without_secrets() -> None:
    report = await checked(Camera())
    text = "\n".join(report.lines())
    assert "> DESCRIBE rtsp://127.0.0.1" in text
    assert "< RTSP/1.0 401 Unauthorized" in text
    assert "> Authorization: Digest ***" in text
    assert "password=***" in text
    assert "trackID=2" in text
    assert PASSWORD not in text
    assert PASSWORD not in repr(report)


async def test_it_dials_where_it_was_told_not_where_the_camera_thinks_it_is() -> None:
    report = await checked(Camera())
    text = "\n".join(exchange.text for exchange in report.exchanges if exchange.direction == ">")
    assert "10.0.0.9" not in text
    assert re.search(r"SETUP rtsp://127\.0\.0\.1:\d+/live\?channel=1&password=\*\*\*", text)


@pytest.mark.parametrize(
    ("camera", "step", "code"),
    [
        (Camera(password="other"), "options", "auth_failed"),
        (Camera(password=None, answers={"DESCRIBE": "404 Not Found"}), "describe", "not_found"),
        (
            Camera(password=None, answers={"SETUP": "461 Unsupported"}),
            "setup",
            "unsupported_transport",
        ),
        (Camera(password=None, answers={"PLAY": "453 Not Enough Bandwidth"}), "play", "busy"),
        (Camera(password=None, answers={"PLAY": "500 Oops"}), "play", "refused"),
        (Camera(password=None, silent_at="DESCRIBE"), "describe", "no_answer"),
        (Camera(password=None, closes_at="SETUP"), "setup", "closed_by_peer"),
        (Camera(password=None, sdp="v=0\r\nm=audio 0 RTP/AVP 8\r\n"), "describe", "no_video"),
        (Camera(password=None, sdp=SDP.replace("H264", "JPEG")), "describe", "codec_unsupported"),
        (Camera(password=None, media=rtp(P_SLICE) * 9), "first_keyframe", "no_keyframe"),
        (Camera(says_instead=b"HTTP/1.1 400 Bad Request\r\n\r\n"), "options", "bad_response"),
        (Camera(says_instead=b"\xff" * 40_000), "options", "bad_response"),
        (
            Camera(says_instead=b"RTSP/1.0 200 OK\r\nContent-Length: 999999999\r\n\r\n"),
            "options",
            "bad_response",
        ),
    ],
)
async def test_a_failure_names_its_step_and_what_to_do(
    camera: Camera, step: str, code: str
) -> None:
    wait_s = WAIT_S if code in ("no_answer", "no_keyframe") else PATIENCE_S
    report = await checked(camera, wait_s=wait_s)
    assert (report.failed_step, report.code) == (step, code), report.lines()
    assert report.sentence == NEXT_STEP[code]
    assert report.sentence in report.lines()[-1]


async def test_a_camera_that_sends_nothing_is_told_from_one_without_keyframes() -> None:
    camera = Camera(password=None, media=b"$\x05\x00\x02hi" + rtp(b"audio", 8))
    camera_without_early_data = _without_early_data(camera)
    report = await checked(camera_without_early_data, wait_s=WAIT_S)
    assert (report.failed_step, report.code) == ("first_packet", "no_packets")
    assert camera.requests[-1] == "TEARDOWN"  # its place is given back


def _without_early_data(camera: Camera) -> Camera:
    answer: Callable[..., object] = camera.answer

    async def without(head: str, writer: asyncio.StreamWriter) -> bool:
        if not head.startswith("PLAY"):
            return bool(await answer(head, writer))  # type: ignore[misc]
        camera.requests.append("PLAY")
        writer.write(b"RTSP/1.0 200 OK\r\n\r\n" + camera.media)
        await writer.drain()
        return True

    camera.answer = without  # type: ignore[method-assign]
    return camera


async def test_without_a_password_it_asks_for_one_and_a_wrong_one_is_tried_once() -> None:
    report = await checked(Camera(), username=None)
    assert (report.failed_step, report.code) == ("describe", "auth_required")
    camera = Camera()
    report = await checked(camera, password="wrong")
    assert report.code == "auth_failed"
    assert camera.requests == ["OPTIONS", "OPTIONS"]


async def test_an_address_that_nobody_listens_on() -> None:
    async with serving(Camera().serve) as port:
        pass
    report = await check(f"rtsp://127.0.0.1:{port}/live", timeout_s=PATIENCE_S)
    assert (report.failed_step, report.code) == ("connect", "connect_refused")


async def test_a_bad_address_is_said_without_dialling() -> None:
    report = await check("http://admin:letmein@camera/live")
    assert (report.failed_step, report.code) == ("address", "bad_address")
    assert "letmein" not in "\n".join(report.lines())

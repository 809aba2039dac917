"""A viewer that offers H.265: aiortc, whose H.264 is renamed on the way out and back again.

aiortc has no H.265, and no decoder is asked: it does ICE, DTLS and SRTP, and keeps the payloads.
What they hold is put together here (RFC 7798) and decoded by PyAV.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import av
import httpx

from support.aiortc_viewer import AiortcViewer, Packet

H265_FORMAT = "level-id=120;profile-id=1;tier-flag=0;tx-mode=SRST"
START_CODE = b"\x00\x00\x00\x01"


class OfferOfH265:
    """Renames formats of one offer, and of its answer. `keep_h264`: all but one of them stay."""

    def __init__(self, *, keep_h264: bool) -> None:
        self._keep_h264 = keep_h264
        self._formats: dict[str, str] = {}

    def offer(self, sdp: str) -> str:
        """The offer as it goes out."""
        numbers = re.findall(r"^a=rtpmap:(\d+) H264/90000", sdp, re.MULTILINE)
        for number in numbers[1:] if self._keep_h264 else numbers:
            found = re.search(rf"^a=fmtp:{number} (.*?)\r?$", sdp, re.MULTILINE)
            assert found is not None
            self._formats[number] = found[1]
            sdp = sdp.replace(f"rtpmap:{number} H264", f"rtpmap:{number} H265")
            sdp = sdp.replace(f"fmtp:{number} {found[1]}", f"fmtp:{number} {H265_FORMAT}")
        return sdp

    def answer(self, sdp: str) -> str:
        """The answer as aiortc understands it."""
        for number, original in self._formats.items():
            sdp = sdp.replace(f"rtpmap:{number} H265", f"rtpmap:{number} H264")
            sdp = sdp.replace(f"fmtp:{number} {H265_FORMAT}", f"fmtp:{number} {original}")
        return sdp

    @property
    def numbers(self) -> set[int]:
        """Payload types that stand for H.265."""
        return {int(number) for number in self._formats}


def h265_viewer(
    answered: Callable[[str], str], *, keep_h264: bool = False
) -> tuple[AiortcViewer, OfferOfH265]:
    """A viewer whose offer goes to `answered`, which gives the answer."""
    names = OfferOfH265(keep_h264=keep_h264)
    return h264_viewer(lambda offer: names.answer(answered(names.offer(offer)))), names


def h264_viewer(answered: Callable[[str], str]) -> AiortcViewer:
    """As `h265_viewer`, with aiortc's own offer."""

    def handle(request: httpx.Request) -> httpx.Response:
        answer = answered(request.content.decode())
        return httpx.Response(201, text=answer, headers={"Location": "/whep/x/viewer"})

    transport: Any = httpx.MockTransport(handle)
    client = httpx.AsyncClient(transport=transport, base_url="http://core")
    return AiortcViewer(client, "x", decode=False)


def access_units(packets: list[Packet]) -> list[bytes]:
    """Whole units as Annex B, strict: no gap, no fragment out of place (RFC 7798 section 4.4)."""
    units: list[bytes] = []
    unit, open_nal = b"", False
    for packet in packets:
        payload = packet.payload
        kind = payload[0] >> 1
        if kind == 49:
            starts, ends = payload[2] & 0x80 != 0, payload[2] & 0x40 != 0
            assert starts != open_nal
            if starts:
                unit += START_CODE + bytes([(payload[2] & 0x3F) << 1, payload[1]])
            unit += payload[3:]
            open_nal = not ends
        elif kind == 48:
            assert not open_nal
            rest = payload[2:]
            while rest:
                length = int.from_bytes(rest[:2])
                unit += START_CODE + rest[2 : 2 + length]
                rest = rest[2 + length :]
        else:
            assert not open_nal
            assert kind < 48
            unit += START_CODE + payload
        if packet.marker:
            assert not open_nal
            units.append(unit)
            unit = b""
    return units


def pictures_of(units: list[bytes]) -> list[av.VideoFrame]:
    """Decoded by FFmpeg's H.265 decoder."""
    decoder: Any = av.CodecContext.create("hevc", "r")
    # No threads, which would hold pictures back.
    decoder.thread_count = 1
    pictures: list[av.VideoFrame] = []
    for unit in units:
        pictures += decoder.decode(av.Packet(unit))
    return pictures + list(decoder.decode(None))

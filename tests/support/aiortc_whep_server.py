"""A foreign WHEP server for the bench to measure: aiortc plays one clip of the farm to everybody.

`python -m support.aiortc_whep_server CLIP_DIR/sub0 [SEND_LOG]` prints `listening on URL` and serves
until SIGTERM. Nothing of ours is in it: HTTP by starlette, the rest by aiortc and PyAV. The send
log is as the farm's (docs/farm.md).
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TextIO

import uvicorn
from aiortc import RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from av import Packet
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from support.aiortc_viewer import new_peer

RTP_CLOCK = Fraction(1, 90_000)
# A viewer that is further behind loses what it had.
QUEUE_UNITS = 50


@dataclass(frozen=True)
class Unit:
    """One access unit as Annex-B."""

    annexb: bytes
    is_key: bool

    @property
    def vcl_bytes(self) -> int:
        """Of its slices, NAL headers included, start codes not."""
        nals = self.annexb.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
        return sum(len(nal) for nal in nals if nal and 1 <= nal[0] & 0x1F <= 5)


def read_clip(stem: Path) -> tuple[int, list[Unit]]:
    """Pictures a second, and the units in the order of sending."""
    stream = stem.with_suffix(".h264").read_bytes()
    fps, units = 0, []
    for line in stem.with_suffix(".index").read_text(encoding="ascii").splitlines():
        match line.split():
            case ["fps", value]:
                fps = int(value)
            case ["unit", offset, size, key, _]:
                annexb = stream[int(offset) : int(offset) + int(size)]
                units.append(Unit(annexb, key == "1"))
    return fps, units


class ClipTrack(MediaStreamTrack):  # type: ignore[misc]
    """One viewer's: begins with the next keyframe."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self.queue: asyncio.Queue[Packet] = asyncio.Queue(QUEUE_UNITS)
        self.begun = False

    async def recv(self) -> Packet:
        return await self.queue.get()


class Player:
    """Plays the clip round and round, at its pace, to all tracks."""

    def __init__(self, stem: Path, send_log: TextIO) -> None:
        self._fps, self._units = read_clip(stem)
        self._send_log = send_log
        self.tracks: set[ClipTrack] = set()

    async def run(self) -> None:
        began, number = time.monotonic(), 0
        while True:
            await asyncio.sleep(max(began + number / self._fps - time.monotonic(), 0))
            unit = self._units[number % len(self._units)]
            rtp_ts = number * 90_000 // self._fps
            sent_us = time.time_ns() // 1000
            key = int(unit.is_key)
            self._send_log.write(f"1 {rtp_ts} {unit.vcl_bytes} {key} {sent_us}\n")
            self._send_log.flush()
            for track in self.tracks:
                track.begun |= unit.is_key
                if track.begun and not track.queue.full():
                    packet = Packet(unit.annexb)
                    packet.pts, packet.time_base = rtp_ts, RTP_CLOCK
                    track.queue.put_nowait(packet)
            number += 1


def build(player: Player) -> Starlette:
    views: dict[str, tuple[Any, ClipTrack]] = {}

    async def post(request: Request) -> Response:
        offer = (await request.body()).decode()
        peer, track = new_peer(), ClipTrack()
        view = f"v{len(views) + 1}"
        views[view] = (peer, track)
        await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        peer.addTrack(track)
        await peer.setLocalDescription(await peer.createAnswer())

        @peer.on("connectionstatechange")
        def changed() -> None:
            (player.tracks.add if peer.connectionState == "connected" else player.tracks.discard)(
                track
            )

        headers = {"Location": f"/whep/{view}"}
        sdp = peer.localDescription.sdp
        return Response(sdp, 201, headers, media_type="application/sdp")

    async def delete(request: Request) -> Response:
        found = views.get(request.path_params["view"])
        if found is None:
            return Response(status_code=404)
        peer, track = found
        player.tracks.discard(track)
        await peer.close()
        return Response(status_code=200)

    return Starlette(
        routes=[
            Route("/whep", post, methods=["POST"]),
            Route("/whep/{view}", delete, methods=["DELETE"]),
        ]
    )


async def serve(player: Player) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"listening on http://127.0.0.1:{listener.getsockname()[1]}/whep\n")
    sys.stdout.flush()
    config = uvicorn.Config(build(player), log_level="warning", lifespan="off")
    playing = asyncio.create_task(player.run())
    await uvicorn.Server(config).serve([listener])
    playing.cancel()


def main(stem: str, send_log: str = "/dev/null") -> None:
    with Path(send_log).open("w", encoding="ascii") as log:
        asyncio.run(serve(Player(Path(stem), log)))


if __name__ == "__main__":
    main(*sys.argv[1:])

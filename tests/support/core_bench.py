"""Any `MediaCore` on a bench: a reader of its events, a camera to pull, foreign viewers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from camera_registry.secret import Secret
from streamhub import _core
from streamhub.media.contract import (
    Event,
    MediaCore,
    SourceSpec,
    StepTaken,
    ViewerClosed,
)
from streamhub.media.fake import FakeCore, Script
from streamhub.media.native import NativeCore
from streamhub.media.pycore import open_pycore
from support.aiortc_viewer import AiortcViewer
from support.delivery_kit import Kit, a_room
from support.patience import PATIENCE_S
from support.scripted_camera import ScriptedCamera, scripted_camera

FINGERPRINT = ":".join(["AB"] * 32)
CODEC = "H264/90000\r\na=fmtp:96 packetization-mode=1;profile-level-id=42e01f"
OFFER = (
    "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n"
    "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"
    f"a=fingerprint:sha-256 {FINGERPRINT}\r\na=setup:actpass\r\na=mid:0\r\na=recvonly\r\n"
    f"a=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:96 {CODEC}\r\n"
)
STREAM = "ch_1/sub"
REAL_CORES = ["python", *(["native"] if hasattr(_core, "Core") else [])]
CORES = ["fake", *REAL_CORES]
E = TypeVar("E")


def dead_end() -> SourceSpec:
    """An address on which nobody listens: port 1 of this host."""
    return spec("rtsp://127.0.0.1:1/cam")


def spec(url: str, password: str = "letmein") -> SourceSpec:
    return SourceSpec("rtsp", url, "admin", Secret(password), "sub")


@dataclass
class Bench:
    """`seen` are all events so far. What only a real camera or viewer does, the fake is told."""

    core: MediaCore
    kit: Kit
    camera: ScriptedCamera

    def __post_init__(self) -> None:
        self.seen: list[Event] = []
        self._reading = asyncio.create_task(self._read())
        self._viewers: dict[str, AiortcViewer] = {}

    @property
    def fake(self) -> FakeCore | None:
        return self.core if isinstance(self.core, FakeCore) else None

    async def _read(self) -> None:
        async for event in self.core.events():
            self.seen.append(event)

    async def until(self, wanted: Callable[[Event], bool], *, times: int = 1) -> Event:
        """The event that is wanted, or the n-th such; the deadline is a failure."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = [event for event in self.seen if wanted(event)]
                if len(found) >= times:
                    return found[times - 1]
                if self.fake is not None:
                    self.fake.tick()
                await asyncio.sleep(0.005)

    async def heard(self, kind: type[E], *, times: int = 1) -> E:
        """The first (or n-th) event of a kind."""
        event = await self.until(lambda event: isinstance(event, kind), times=times)
        assert isinstance(event, kind)
        return event

    async def step(self, owner: str, name: str) -> None:
        await self.until(lambda e: isinstance(e, StepTaken) and (e.owner, e.step) == (owner, name))

    async def closed(self, viewer_id: str) -> ViewerClosed:
        event = await self.until(
            lambda event: isinstance(event, ViewerClosed) and event.viewer_id == viewer_id
        )
        assert isinstance(event, ViewerClosed)
        return event

    def closed_ids(self) -> list[str]:
        return [event.viewer_id for event in self.seen if isinstance(event, ViewerClosed)]

    def steps(self, owner: str) -> list[str]:
        return [e.step for e in self.seen if isinstance(e, StepTaken) and e.owner == owner]

    # --- cameras ----------------------------------------------------------------------------------

    def refuse_dials(self) -> None:
        if self.fake is not None:
            self.fake.script(STREAM, Script(fail=("connect_refused", True)))

    def dial(self) -> None:
        self.core.open_source(STREAM, spec(self.camera.url))

    async def lose_camera(self) -> None:
        """The camera closes its connections; it may be dialled again."""
        if self.fake is not None:
            self.fake.lose(STREAM, "closed_by_peer")
        else:
            self.camera.hang_up()

    # --- viewers ----------------------------------------------------------------------------------

    def open_viewer(
        self,
        viewer_id: str,
        offer: str = OFFER,
        lease_s: float = 60.0,
        *,
        channel_id: str = "ch_1",
    ) -> str:
        return self.core.open_viewer(
            viewer_id=viewer_id,
            stream_id=f"{channel_id}/sub",
            channel_id=channel_id,
            subject_id="su_op",
            offer_sdp=offer,
            until=time.time() + lease_s,
            permit=self.kit.permit(channel_id),
        )

    async def connect(
        self,
        viewer_id: str,
        lease_s: float = 60.0,
        *,
        offered: Callable[[str], str] = lambda offer: offer,
    ) -> AiortcViewer | None:
        """A viewer that watches: aiortc, or what the fake takes for one."""
        if self.fake is not None:
            self.open_viewer(viewer_id, lease_s=lease_s)
            self.fake.connect_viewer(viewer_id)
            return None

        def answer(request: httpx.Request) -> httpx.Response:
            sdp = self.open_viewer(viewer_id, offered(request.content.decode()), lease_s)
            return httpx.Response(201, text=sdp, headers={"Location": f"/whep/x/{viewer_id}"})

        transport: Any = httpx.MockTransport(answer)
        client = httpx.AsyncClient(transport=transport, base_url="http://core")
        viewer = AiortcViewer(client, "x", decode=False)
        self._viewers[viewer_id] = viewer
        assert (await viewer.open()).status_code == httpx.codes.CREATED
        return viewer

    async def leave(self, viewer_id: str) -> None:
        """The viewer closes its own end."""
        if self.fake is not None:
            self.fake.drop_viewer(viewer_id, "closed_by_peer")
        else:
            await self._viewers[viewer_id].close()

    # --- the end ----------------------------------------------------------------------------------

    async def close(self) -> None:
        await self.core.shutdown(1000)
        for viewer in self._viewers.values():
            await viewer.close()
        async with asyncio.timeout(PATIENCE_S):
            await self.read_to_the_end()

    async def read_to_the_end(self) -> None:
        """`events()` ends by itself after a shutdown."""
        await self._reading


def make_core(kind: str, max_viewers: int) -> MediaCore:
    if kind == "fake":
        return FakeCore(max_viewers=max_viewers)
    if kind == "native":
        return NativeCore(max_viewers=max_viewers)
    return open_pycore(
        udp_host="127.0.0.1", udp_port=0, advertise=["127.0.0.1"], max_viewers=max_viewers
    )


@asynccontextmanager
async def a_bench(kind: str, max_viewers: int = 100) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        kit = await stack.enter_async_context(a_room())
        camera = await stack.enter_async_context(scripted_camera())
        bench = Bench(make_core(kind, max_viewers), kit, camera)
        try:
            yield bench
        finally:
            await bench.close()

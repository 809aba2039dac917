"""aiortc on a bare packet core, without any control plane."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from streamhub import _core
from streamhub.cli.demo import FARM_USERNAME
from support.aiortc_viewer import AiortcViewer
from support.district import Farm

STREAM = "ch_bare/sub"


@contextmanager
def core_on(farm: Farm, password: str, camera: int = 7) -> Iterator[_core.Core]:
    """A core that pulls one camera of the farm as `STREAM`."""
    core = _core.Core()
    try:
        url = f"rtsp://127.0.0.1:{farm.port}/cam/{camera}/sub"
        core.open_source(STREAM, url, FARM_USERNAME, password)
        yield core
    finally:
        core.shutdown(1000)


class CoreViewer:
    """A viewer whose offer goes to `open_viewer` itself."""

    def __init__(self, core: _core.Core, viewer_id: str, until: float) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            sdp = core.open_viewer(
                viewer_id, STREAM, "ch_bare", "su_test", request.content.decode(), until
            )
            return httpx.Response(201, text=sdp, headers={"Location": f"/whep/x/{viewer_id}"})

        transport: Any = httpx.MockTransport(answer)
        client = httpx.AsyncClient(transport=transport, base_url="http://core")
        self.viewer = AiortcViewer(client, "x", decode=False)

    async def open(self) -> None:
        answer = await self.viewer.open()
        assert answer.status_code == httpx.codes.CREATED

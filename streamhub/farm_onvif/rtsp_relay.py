"""RTSP at a device's own address, passed on to the RTSP farm, which listens on one address only.

Bytes go through as they come, both ways, so by TCP alone; whoever reads slowly slows down the
farm's side (asyncio's buffer of 64 KiB a connection), and loses whole access units there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

Address = tuple[str, int]


class _End(asyncio.Protocol):
    """One end of a relayed connection; what comes to it leaves by the other one's transport."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is None or self.other.transport is None:
            return
        # A reset is passed on as one, an end as an end after what is still to be sent.
        if error is not None:
            self.other.transport.abort()
        else:
            self.other.transport.close()


class _Client(_End):
    """The client's end: it is not read until the farm's end is there."""

    def __init__(self, farm: Address, open_clients: set[_Client]) -> None:
        super().__init__()
        self._farm = farm
        self._open = open_clients
        self._dialling: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._open.add(self)
        cast("asyncio.Transport", transport).pause_reading()
        self._dialling = asyncio.create_task(self._dial())

    def connection_lost(self, error: Exception | None) -> None:
        self._open.discard(self)
        if self._dialling is not None:
            self._dialling.cancel()
        super().connection_lost(error)

    async def _dial(self) -> None:
        assert self.transport is not None  # noqa: S101  (connection_made)
        farm = _End()
        farm.other = self
        try:
            await asyncio.get_running_loop().create_connection(lambda: farm, *self._farm)
        except OSError:
            self.transport.abort()
            return
        self.other = farm
        self.transport.resume_reading()


class Relay:
    """The RTSP side of one device. `protocol` is what a listening socket makes of a client."""

    def __init__(self, farm: Address) -> None:
        self._open: set[_Client] = set()
        self.protocol: Callable[[], Any] = lambda: _Client(farm, self._open)

    @property
    def connections(self) -> int:
        return len(self._open)

    def abort(self) -> None:
        """End all that is relayed now."""
        for client in list(self._open):
            if client.transport is not None:
                client.transport.abort()

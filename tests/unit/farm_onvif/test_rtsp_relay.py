"""RTSP at the devices' own addresses: bytes pass both ways, and so do ends and slowness."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from streamhub.farm_onvif.device import Device
from streamhub.farm_onvif.server import OnvifServer
from support.district import eventually, free_port
from support.onvif_client import devices, serving
from support.patience import PATIENCE_S

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Farm:
    """Stands in for the RTSP farm: its connections, as they come."""

    def __init__(self) -> None:
        self.accepted: asyncio.Queue[Streams] = asyncio.Queue()

    def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted.put_nowait((reader, writer))


@asynccontextmanager
async def relaying() -> AsyncIterator[tuple[Device, OnvifServer, Farm]]:
    farm, port = Farm(), free_port()
    rtsp = await asyncio.start_server(farm, "127.0.0.1", port)
    served = devices("127.77.24.0/30", port=free_port(), rtsp_port=port)
    try:
        async with serving(served, rtsp_farm=("127.0.0.1", port)) as server:
            yield served[0], server, farm
    finally:
        rtsp.close()


async def connected(asked: Device) -> Streams:
    return await asyncio.open_connection(asked.spec.address, asked.spec.rtsp_port)


async def closed(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_bytes_and_the_clients_end_pass() -> None:
    async with relaying() as (asked, server, farm):
        reader, writer = await connected(asked)
        writer.write(b"OPTIONS")
        farm_reader, farm_writer = await farm.accepted.get()
        assert await farm_reader.readexactly(7) == b"OPTIONS"
        farm_writer.write(b"RTSP/1.0 200 OK")
        assert await reader.readexactly(15) == b"RTSP/1.0 200 OK"
        assert server.connections(1) == 1
        await closed(writer)
        assert await farm_reader.read() == b""
        await closed(farm_writer)
        await eventually("it is over", lambda: server.connections(1) == 0)


async def test_the_farms_end_comes_after_all_that_it_sent() -> None:
    async with relaying() as (asked, _, farm):
        reader, writer = await connected(asked)
        _, farm_writer = await farm.accepted.get()
        farm_writer.write(b"x" * 1_000_000)
        await asyncio.gather(reader.readexactly(1_000_000), closed(farm_writer))
        assert await reader.read() == b""
        await closed(writer)


async def test_a_reset_of_the_farm_is_the_clients_end() -> None:
    async with relaying() as (asked, _, farm):
        reader, writer = await connected(asked)
        _, farm_writer = await farm.accepted.get()
        farm_writer.transport.abort()
        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        await closed(writer)


async def test_a_client_that_does_not_read_holds_up_the_farm_and_no_memory() -> None:
    async with relaying() as (asked, _, farm):
        reader, writer = await connected(asked)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        _, farm_writer = await farm.accepted.get()
        for _ in range(64):
            farm_writer.write(b"x" * (1 << 20))
        # 64 MB do not fit into sockets' buffers: they wait where they came from.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(farm_writer.drain(), 0.5)
        assert farm_writer.transport.get_write_buffer_size() > 32 << 20
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        await asyncio.gather(reader.readexactly(64 << 20), farm_writer.drain())
        await closed(farm_writer, writer)


async def test_without_the_farm_a_client_is_let_go() -> None:
    served = devices("127.77.24.0/30", port=free_port(), rtsp_port=free_port())
    async with serving(served, rtsp_farm=("127.0.0.1", free_port())):
        reader, writer = await connected(served[0])
        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        await closed(writer)


async def test_a_dead_devices_streams_end_and_are_refused() -> None:
    async with relaying() as (asked, server, farm):
        reader, writer = await connected(asked)
        farm_reader, farm_writer = await farm.accepted.get()
        await server.set_fault(1, "dead")
        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        assert await asyncio.wait_for(farm_reader.read(), PATIENCE_S) == b""
        with pytest.raises(ConnectionRefusedError):
            await connected(asked)
        await server.set_fault(1, "none")
        _, again = await connected(asked)
        _, farm_again = await farm.accepted.get()
        await closed(writer, farm_writer, again, farm_again)

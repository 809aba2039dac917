"""The sockets of a farm: a listening one for each address, so that nothing listens anywhere else.

4,094 of them take 0.2 s and a file descriptor each; one on 0.0.0.0 would be open to the network.
What a device answers is decided in `front`; here are connections, waiting and the end.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from . import front
from .device import Device
from .faults import FaultKind
from .http_message import Answer, BadHttp, HttpRequest, RequestReader
from .operation import Waiting
from .rtsp_relay import Address, Relay

# A camera's web server keeps a few dozen connections; more are closed at once.
MAX_CONNECTIONS_PER_DEVICE = 32
LISTEN_BACKLOG = 64
READ_BYTES = 16 << 10
IDLE_S = 60.0
# A client that takes its answer so slowly is let go.
WRITE_S = 30.0
# A request that is never answered is held so long.
SILENCE_S = 600.0
# How soon a pull whose client left is given up.
GONE_S = 5.0


class FarmUnavailable(Exception):
    """A socket can't be had; the message says which, and what to do."""

    code = "farm_unavailable"


class OnvifServer:
    """HTTP for all devices, on one event loop, and with `rtsp_farm` RTSP passed on to it.

    `clock` gives Unix seconds.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        stills: front.Stills,
        clock: Callable[[], float] = time.time,
        rtsp_farm: Address | None = None,
    ) -> None:
        # given
        self.devices = {device.spec.number: device for device in devices}
        self._stills = stills
        self._clock = clock
        # owned
        self._listening: dict[int, list[asyncio.Server]] = {}
        self._relays = {n: Relay(rtsp_farm) for n in self.devices if rtsp_farm is not None}
        self._serving: dict[int, set[asyncio.Task[None]]] = {n: set() for n in self.devices}
        self._pulling: dict[int, set[asyncio.Event]] = {n: set() for n in self.devices}

    async def start(self) -> None:
        """Listen for all devices that are not dead. Raises FarmUnavailable; none listens then."""
        try:
            for device in self.devices.values():
                if FaultKind.DEAD not in device.faults:
                    await self._listen(device)
        except FarmUnavailable:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close all sockets and wait for the connections' ends."""
        for number in list(self._listening):
            self._close(number)
        await _end(task for tasks in self._serving.values() for task in tasks)

    async def set_fault(self, number: int, word: str) -> None:
        """Add a fault, or heal with `none`. Raises FaultUnknown, and FarmUnavailable when the
        address of a device that was dead is taken."""
        device = self.devices[number]
        device.faults = device.faults.adding(word)
        is_dead = FaultKind.DEAD in device.faults
        if is_dead and number in self._listening:
            self._close(number)
            await _end(self._serving[number])
        elif not is_dead and number not in self._listening:
            await self._listen(device)

    def switch_input(self, number: int, on: bool) -> None:
        """Set a device's digital input and wake the pulls that wait for it."""
        self.devices[number].pull_points.switch_input(on, self._clock())
        for wake in self._pulling[number]:
            wake.set()

    def connections(self, number: int) -> int:
        """Those to the device now, HTTP and relayed RTSP."""
        relay = self._relays.get(number)
        return len(self._serving[number]) + (relay.connections if relay else 0)

    # --- inside -----------------------------------------------------------------------------------

    async def _listen(self, device: Device) -> None:
        spec = device.spec
        listening = self._listening.setdefault(spec.number, [])
        try:
            listener = bound(spec.address, spec.port, "other addresses or another --onvif-port")
            listening.append(
                await asyncio.start_server(
                    self._accepting(device), sock=listener, backlog=LISTEN_BACKLOG, limit=READ_BYTES
                )
            )
            relay = self._relays.get(spec.number)
            if relay is not None:
                otherwise = "other addresses or another port in --listen"
                listener = bound(spec.address, spec.rtsp_port, otherwise)
                loop = asyncio.get_running_loop()
                listening.append(
                    await loop.create_server(relay.protocol, sock=listener, backlog=LISTEN_BACKLOG)
                )
        except FarmUnavailable:
            self._close(spec.number)
            raise

    def _close(self, number: int) -> None:
        for server in self._listening.pop(number):
            server.close()
        if number in self._relays:
            self._relays[number].abort()

    def _accepting(
        self, device: Device
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        serving = self._serving[device.spec.number]

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(serving) >= MAX_CONNECTIONS_PER_DEVICE:
                writer.transport.abort()
                return
            task = asyncio.create_task(self._serve(device, reader, writer))
            serving.add(task)
            task.add_done_callback(serving.discard)

        return accepted

    async def _serve(
        self, device: Device, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        requests = RequestReader()
        try:
            while data := await asyncio.wait_for(reader.read(READ_BYTES), IDLE_S):
                for request in requests.feed(data):
                    if not await self._answered(device, request, reader, writer):
                        return
        except BadHttp as error:
            text = f"{error}\n".encode()
            writer.write(Answer(error.status, text, "text/plain").encoded(keep_alive=False))
        except (OSError, TimeoutError, asyncio.CancelledError):
            # Gone, silent or slow for too long, or the farm's own end: what is unsent stays so.
            writer.transport.abort()
        finally:
            writer.close()

    async def _answered(
        self,
        device: Device,
        request: HttpRequest,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Answer one request; whether the connection goes on."""
        answer = front.answer(device, request, self._clock(), self._stills)
        if isinstance(answer, Waiting):
            answer = await self._pulled(device, answer, reader)
            if answer is None:
                return False
        if answer is None:
            async with asyncio.timeout(SILENCE_S):
                while await reader.read(READ_BYTES):
                    pass
            return False
        if answer.after_s:
            await asyncio.sleep(answer.after_s)
        writer.write(answer.encoded(keep_alive=request.keep_alive))
        await asyncio.wait_for(writer.drain(), WRITE_S)
        return request.keep_alive

    async def _pulled(
        self, device: Device, waiting: Waiting, reader: asyncio.StreamReader
    ) -> Answer | None:
        """The answer to a pull when there is one; None when the client left before."""
        wake = asyncio.Event()
        pulling = self._pulling[device.spec.number]
        # A pull of the same subscription that waits already ends with this one.
        for other in pulling:
            other.set()
        pulling.add(wake)
        try:
            while not reader.at_eof():
                now = self._clock()
                answer = front.poll(device, waiting, now)
                if answer is not None:
                    return answer
                until = min(waiting.until, device.pull_points.next_change(now), now + GONE_S)
                # The wall clock and the loop's differ by some microseconds.
                with suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), max(until - now, 0.0) + 1e-3)
                wake.clear()
            return None
        finally:
            pulling.discard(wake)


def bound(address: str, port: int, otherwise: str) -> socket.socket:
    """A listening socket; `otherwise` says what else can be chosen. Raises FarmUnavailable."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(LISTEN_BACKLOG)
    except OSError as error:
        listener.close()
        raise FarmUnavailable(
            f"{address}:{port} can't be listened on ({error.strerror or error}); "
            f"stop what is there, or choose {otherwise}."
        ) from None
    listener.setblocking(False)
    return listener


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)

"""Listens to one device's events: the driver beside `subscription`."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import datetime

from lxml import etree

from gateways.onvif import subscription as wire
from gateways.onvif.client import DeviceClient, UtcNow, utc_now
from gateways.onvif.errors import AuthRefused, Faulted, OnvifError
from gateways.onvif.soap import Operation
from gateways.onvif.subscription import Notification, PullPoint, Step
from gateways.onvif.transport import Timeouts

# Letting go must not hold up whoever stops listening.
UNSUBSCRIBE_TIMEOUTS = Timeouts(connect_s=1.0, total_s=3.0)
_REQUESTS: dict[Step, Callable[[], Operation]] = {
    Step.CREATE: wire.create,
    Step.PULL: wire.pull,
    Step.RENEW: wire.renew,
    Step.UNSUBSCRIBE: wire.unsubscribe,
}


@dataclass(frozen=True, slots=True)
class Event:
    """A notification and when it came, by our clock (UTC)."""

    received_at: datetime
    notification: Notification


async def listen(
    client: DeviceClient,
    url: str,
    *,
    on_error: Callable[[OnvifError], None] | None = None,
    on_begin: Callable[[], None] | None = None,
    now: UtcNow = utc_now,
) -> AsyncGenerator[Event, None]:
    """Events of the device whose event service is at `url`, until the iteration is closed.

    Close it (`aclose()`, or `contextlib.aclosing`): only then is the subscription given back. What
    fails is told to `on_error` and tried again after a while, but for a refused password, which
    raises `AuthRefused`; `on_begin` hears of each subscription. Uses a client of its own, so that
    long polls delay nobody.
    """
    listener = _Listener(client.another(), url)
    loop = asyncio.get_running_loop()
    point = listener.point
    try:
        while True:
            step = point.poll(loop.time())
            if step is None:
                await asyncio.sleep(max(0.0, (point.timeout() or 0.0) - loop.time()))
                continue
            try:
                answer = await listener.begin(step)
            except AuthRefused:
                raise
            except OnvifError as error:
                point.failed(loop.time(), step, refused=isinstance(error, Faulted))
                if on_error is not None:
                    on_error(error)
                continue
            if step is Step.CREATE and on_begin is not None:
                on_begin()
            if step is Step.PULL:
                received_at = now()
                for notification in wire.read_notifications(answer):
                    yield Event(received_at, notification)
    finally:
        await asyncio.shield(asyncio.ensure_future(listener.let_go()))


class _Listener:
    def __init__(self, client: DeviceClient, url: str) -> None:
        self.client = client
        self.url = url
        self.point = PullPoint(random.random)
        self.creating: asyncio.Task[etree._Element] | None = None

    async def begin(self, step: Step) -> etree._Element:
        """`take`, but a subscription that was asked for is waited for even if we are cancelled:
        otherwise nobody would know what to give back."""
        if step is not Step.CREATE:
            return await self.take(step)
        self.creating = asyncio.create_task(self.take(step), name="onvif subscribe")
        return await asyncio.shield(self.creating)

    async def take(self, step: Step) -> etree._Element:
        """Ask for one step and tell the machine. Raises `OnvifError`."""
        request = _REQUESTS[step]()
        held = self.point.subscription
        url, reference = (self.url, "") if held is None else (held.url, held.reference)
        timeouts = (
            UNSUBSCRIBE_TIMEOUTS
            if step is Step.UNSUBSCRIBE
            else Timeouts(total_s=wire.PULL_TIMEOUT_S)
        )
        header = wire.addressing(request, url, uuid.uuid4(), reference)
        answer = await self.client.ask(url, request, header=header, timeouts=timeouts)
        at = asyncio.get_running_loop().time()
        if step is Step.CREATE:
            self.point.created(at, wire.read_subscription(answer, self.client.address, self.url))
        else:
            self.point.done(at, step)
        return answer

    async def let_go(self) -> None:
        """Unsubscribe; what fails here fails silently, since the subscription ends by itself."""
        self.point.close()
        if self.creating is not None:
            await asyncio.gather(self.creating, return_exceptions=True)
        loop = asyncio.get_running_loop()
        while (step := self.point.poll(loop.time())) is not None:
            try:
                await self.take(step)
            except OnvifError as error:
                self.point.failed(loop.time(), step, refused=isinstance(error, Faulted))

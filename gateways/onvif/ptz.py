"""Steers one profile of one device, with a stop of our own when whoever steers goes silent.

Whether somebody may steer is not asked here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from lxml import etree

from gateways.onvif.client import DeviceClient
from gateways.onvif.errors import OnvifError
from gateways.onvif.hold_to_move import Act, HoldToMove, Velocity
from gateways.onvif.ptz_wire import (
    Position,
    Preset,
    PtzStatus,
    absolute_move,
    continuous_move,
    get_presets,
    get_status,
    goto_preset,
    read_presets,
    read_status,
    remove_preset,
    set_preset,
    stop,
)
from gateways.onvif.soap import Operation, text_of
from gateways.onvif.transport import Timeouts

# A move whose answer is waited for delays the stop behind it, so the wait is short.
PTZ_TIMEOUTS = Timeouts(connect_s=1.0, total_s=1.5)


class PtzControl:
    """Steers one profile of one device. `async with`: at its end the camera stands still.

    `hold` must be called again and again while a key or a button is held: `HOLD_S` after the last
    call we stop the camera, whatever became of the caller. Absolute moves and presets end by
    themselves. `on_still`: a held move has ended, and the camera stands as far as is known.
    """

    def __init__(
        self,
        client: DeviceClient,
        url: str,
        profile_token: str,
        *,
        on_error: Callable[[OnvifError], None] | None = None,
        on_still: Callable[[], None] | None = None,
    ) -> None:
        # given
        self._client = client
        self._url = url
        self._profile_token = profile_token
        self._on_error = on_error
        self._on_still = on_still
        # owned
        self._machine = HoldToMove()
        self._timeout_refused = False
        self._changed = asyncio.Event()
        self._answered = asyncio.Condition()
        self._error: OnvifError | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._steer(), name="onvif ptz")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._machine.close(self._now())
        self._changed.set()
        if self._task is not None:
            # Whoever is cancelled here must not take the stop along.
            await asyncio.shield(self._task)

    def hold(self, velocity: Velocity) -> None:
        """Move like this for as long as this is repeated. Does not wait for the camera."""
        self._machine.hold(self._now(), velocity)
        self._changed.set()

    async def begin(self, velocity: Velocity) -> None:
        """`hold`, and wait for what the camera says to the first move. Raises `OnvifError`."""
        self._error = None
        self.hold(velocity)
        async with self._answered:
            await self._answered.wait_for(
                lambda: (
                    self._error is not None
                    or self._machine.told == velocity
                    or self._machine.is_still
                )
            )
        self.raise_refused()

    def raise_refused(self) -> None:
        """Raises the `OnvifError` of the newest act, if it failed, and forgets it."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    async def settle(self) -> None:
        """`release`, and wait until the camera stands as far as is known: a stop that comes later
        would end what is asked next."""
        self._error = None
        self.release()
        async with self._answered:
            await self._answered.wait_for(lambda: self._machine.is_still)

    async def stop(self) -> None:
        """Stop whatever moves it, us or another. Raises `OnvifError`."""
        ours = self.moves
        await self.settle()
        self.raise_refused()
        if not ours:
            await self._ask(stop(self._profile_token))

    @property
    def moves(self) -> bool:
        """Whether somebody holds, or a stop is still to be said."""
        return not self._machine.is_still

    def release(self) -> None:
        """Stop now. Does not wait for the camera."""
        self._machine.release(self._now())
        self._changed.set()

    async def status(self) -> PtzStatus:
        """Raises `OnvifError`."""
        return read_status(await self._ask(get_status(self._profile_token)))

    async def absolute(self, position: Position) -> None:
        """Raises `OnvifError`."""
        await self._ask(absolute_move(self._profile_token, position))

    async def presets(self) -> list[Preset]:
        """Raises `OnvifError`."""
        return read_presets(await self._ask(get_presets(self._profile_token)))

    async def goto_preset(self, token: str) -> None:
        """Raises `OnvifError`."""
        await self._ask(goto_preset(self._profile_token, token))

    async def set_preset(self, name: str, token: str | None = None) -> str:
        """Keep the present position; the preset's token. Raises `OnvifError`."""
        answer = await self._ask(set_preset(self._profile_token, name, token))
        return text_of(answer, "PresetToken") or (token or "")

    async def remove_preset(self, token: str) -> None:
        """Raises `OnvifError`."""
        await self._ask(remove_preset(self._profile_token, token))

    # --- inside -----------------------------------------------------------------------------------

    async def _steer(self) -> None:
        while not self._machine.over:
            act = self._machine.poll(self._now())
            if act is not None:
                await self._do(act)
                if self._machine.is_still and self._on_still is not None:
                    self._on_still()
                await self._tell()
                continue
            self._changed.clear()
            until = self._machine.timeout()
            try:
                async with asyncio.timeout_at(until):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _do(self, act: Act) -> None:
        try:
            if act.velocity is None:
                await self._ask(stop(self._profile_token))
            else:
                await self._move(act.velocity)
        except OnvifError as error:
            self._error = error
            self._machine.failed(self._now())
            if self._on_error is not None:
                self._on_error(error)
        else:
            self._machine.done(self._now())

    async def _tell(self) -> None:
        async with self._answered:
            self._answered.notify_all()

    async def _move(self, velocity: Velocity) -> None:
        """With the device's own stop, unless it refuses that element and does without."""
        request = continuous_move(self._profile_token, velocity, timeout=not self._timeout_refused)
        try:
            await self._ask(request)
        except OnvifError as error:
            if self._timeout_refused or error.code != "fault":
                raise
            await self._ask(continuous_move(self._profile_token, velocity, timeout=False))
            self._timeout_refused = True

    async def _ask(self, request: Operation) -> etree._Element:
        return await self._client.ask(self._url, request, timeouts=PTZ_TIMEOUTS)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

"""Pan, tilt, zoom: requests, presets, and a stop of our own when whoever steers goes silent.

ONVIF PTZ Service Specification (ver20). Whether somebody may steer is not asked here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Self

from lxml import etree

from gateways.onvif.client import DeviceClient
from gateways.onvif.errors import OnvifError, quoted
from gateways.onvif.hold_to_move import Act, HoldToMove, Velocity
from gateways.onvif.soap import Operation, attribute, children, operation, text_of, xml
from gateways.onvif.transport import Timeouts

# A move whose answer is waited for delays the stop behind it, so the wait is short.
PTZ_TIMEOUTS = Timeouts(connect_s=1.0, total_s=1.5)
# More presets than any camera has (300 are the most that are sold).
MAX_PRESETS = 512
# The device's own stop, should we or the network between be gone; some ignore it.
DEVICE_TIMEOUT_S = 2


@dataclass(frozen=True, slots=True)
class Preset:
    """A position that the device keeps. `token` is opaque and may be any text."""

    token: str
    name: str


@dataclass(frozen=True, slots=True)
class Position:
    """Where to go, in the generic spaces: pan and tilt -1 to 1, zoom 0 to 1. None: left as it is.

    Pan and tilt go together.
    """

    pan: float | None = None
    tilt: float | None = None
    zoom: float | None = None


def continuous_move(profile_token: str, velocity: Velocity, *, timeout: bool = True) -> Operation:
    """`timeout`: with the device's own stop; some firmwares refuse the element."""
    parts = _vector(velocity.pan, velocity.tilt, velocity.zoom)
    own_stop = f"<tptz:Timeout>PT{DEVICE_TIMEOUT_S}S</tptz:Timeout>" if timeout else ""
    return operation(
        "tptz",
        "ContinuousMove",
        f"{_profile(profile_token)}<tptz:Velocity>{parts}</tptz:Velocity>{own_stop}",
    )


def absolute_move(profile_token: str, position: Position) -> Operation:
    parts = _vector(position.pan, position.tilt, position.zoom)
    content = f"{_profile(profile_token)}<tptz:Position>{parts}</tptz:Position>"
    return operation("tptz", "AbsoluteMove", content)


def stop(profile_token: str) -> Operation:
    content = (
        f"{_profile(profile_token)}<tptz:PanTilt>true</tptz:PanTilt><tptz:Zoom>true</tptz:Zoom>"
    )
    return operation("tptz", "Stop", content)


def get_presets(profile_token: str) -> Operation:
    return operation("tptz", "GetPresets", _profile(profile_token))


def goto_preset(profile_token: str, preset_token: str) -> Operation:
    return operation("tptz", "GotoPreset", _profile(profile_token) + _preset(preset_token))


def set_preset(profile_token: str, name: str, preset_token: str | None = None) -> Operation:
    """Keep where it looks now: as a new preset, or in place of one."""
    content = f"{_profile(profile_token)}<tptz:PresetName>{xml(name)}</tptz:PresetName>"
    return operation(
        "tptz", "SetPreset", content + ("" if preset_token is None else _preset(preset_token))
    )


def remove_preset(profile_token: str, preset_token: str) -> Operation:
    return operation("tptz", "RemovePreset", _profile(profile_token) + _preset(preset_token))


def read_presets(answer: etree._Element) -> list[Preset]:
    """Of a GetPresetsResponse."""
    return [
        Preset(attribute(one, "token"), quoted(text_of(one, "Name")))
        for one in islice(children(answer, "Preset"), MAX_PRESETS)
    ]


class PtzControl:
    """Steers one profile of one device. `async with`: at its end the camera stands still.

    `hold` must be called again and again while a key or a button is held: `HOLD_S` after the last
    call we stop the camera, whatever became of the caller. Absolute moves and presets end by
    themselves.
    """

    def __init__(
        self,
        client: DeviceClient,
        url: str,
        profile_token: str,
        *,
        on_error: Callable[[OnvifError], None] | None = None,
    ) -> None:
        # given
        self._client = client
        self._url = url
        self._profile_token = profile_token
        self._on_error = on_error
        # owned
        self._machine = HoldToMove()
        self._timeout_refused = False
        self._changed = asyncio.Event()
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

    def release(self) -> None:
        """Stop now. Does not wait for the camera."""
        self._machine.release(self._now())
        self._changed.set()

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
            self._machine.failed(self._now())
            if self._on_error is not None:
                self._on_error(error)
        else:
            self._machine.done(self._now())

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


def _profile(token: str) -> str:
    return f"<tptz:ProfileToken>{xml(token)}</tptz:ProfileToken>"


def _preset(token: str) -> str:
    return f"<tptz:PresetToken>{xml(token)}</tptz:PresetToken>"


def _vector(pan: float | None, tilt: float | None, zoom: float | None) -> str:
    """What does not move is left out: some cameras stop both for a zero."""
    parts = ""
    if pan is not None or tilt is not None:
        parts += f'<tt:PanTilt x="{_number(pan)}" y="{_number(tilt)}"/>'
    if zoom is not None:
        parts += f'<tt:Zoom x="{_number(zoom)}"/>'
    return parts


def _number(value: float | None) -> str:
    """Within -1 to 1, without an exponent, which simple parsers do not know."""
    return f"{max(-1.0, min(1.0, value or 0.0)):.3f}"

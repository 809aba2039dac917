"""The control lines of the simulated devices: one command a line, one answer a line.

`onvif-fault <n>|all <kind>|none`, `onvif-input <n>|all on|off`, `onvif-stats <n>|all`.
"""

from __future__ import annotations

import time
from dataclasses import asdict

from .device import Device
from .faults import FaultUnknown
from .server import FarmUnavailable, OnvifServer

PREFIX = "onvif-"
USAGE = (
    "commands are: onvif-fault <n>|all <kind>|none; onvif-input <n>|all on|off; "
    "onvif-stats <n>|all."
)


async def command(server: OnvifServer, line: str) -> str:
    """Carry out one line; the answer is `ok`, `onvif-stats …` or `error: …`."""
    try:
        match line.split():
            case ["onvif-fault", which, word]:
                for device in _chosen(server, which):
                    await server.set_fault(device.spec.number, word)
                return "ok"
            case ["onvif-input", which, ("on" | "off") as state]:
                for device in _chosen(server, which):
                    server.switch_input(device.spec.number, state == "on")
                return "ok"
            case ["onvif-stats", which]:
                chosen = _chosen(server, which)
                figures = stats(server, chosen, time.time())
                return "onvif-stats " + " ".join(f"{k}={v}" for k, v in figures.items())
            case _:
                return f"error: {USAGE}"
    except (FaultUnknown, FarmUnavailable, LookupError) as error:
        return f"error: {error.args[0]}"


def stats(server: OnvifServer, devices: list[Device], now: float) -> dict[str, int]:
    """Sums over devices, and the most failed tries that any of them has."""
    total = {"devices": len(devices)}
    for device in devices:
        heads = device.heads.values()
        figures = {
            **asdict(device.counters),
            "failed_tries": device.gate.failed_tries,
            "lockouts": device.gate.lockouts,
            "locked": int(device.gate.locked(now)),
            "off_clock": device.gate.off_clock,
            "connections": server.connections(device.spec.number),
            "subscriptions": device.pull_points.open(now),
            "moves": sum(head.moves for head in heads),
            "stops": sum(head.stops for head in heads),
            "moving": sum(any(head.moving(now)) for head in heads),
        }
        for name, value in figures.items():
            total[name] = total.get(name, 0) + value
    total["failed_tries_most"] = max(device.gate.failed_tries for device in devices)
    return total


def _chosen(server: OnvifServer, which: str) -> list[Device]:
    """Raises LookupError with a sentence."""
    if which == "all":
        return list(server.devices.values())
    if not (which.isascii() and which.isdigit()) or int(which[:9]) not in server.devices:
        raise LookupError(f"{which} is no device number; there are 1 to {len(server.devices)}.")
    return [server.devices[int(which)]]

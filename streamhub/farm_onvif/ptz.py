"""A PTZ head whose position moves with time, so that a stop that never came can be seen.

Pan and tilt go from -1 to 1 and zoom from 0 to 1, the generic position spaces of ONVIF PTZ 5.7;
a velocity of 1 is `FULL_SPEED` of these a second. Nothing ticks: a position is worked out when
somebody looks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# From end to end in four seconds: fast enough that a test need not wait.
FULL_SPEED = 0.5
MAX_PRESETS = 64
Position = tuple[float, float, float]


@dataclass(slots=True)
class Axis:
    """One motor between two end stops."""

    low: float
    high: float = 1.0
    position: float = 0.0
    velocity: float = 0.0
    target: float | None = None
    until: float | None = None
    seen: float = 0.0

    def look(self, now: float) -> float:
        """Move on to `now`; returns the position."""
        if self.velocity:
            end = now if self.until is None else min(now, self.until)
            moved = self.position + self.velocity * max(end - self.seen, 0.0)
            ahead = self.high if self.velocity > 0 else self.low
            stop = ahead if self.target is None else self.target
            there = moved >= stop if self.velocity > 0 else moved <= stop
            self.position = stop if there else moved
            if there or (self.until is not None and now >= self.until):
                self.velocity = 0.0
        self.seen = now
        return self.position

    def run(self, velocity: float, now: float, timeout_s: float | None) -> None:
        """Go on at a velocity of -1 to 1 until an end stop, the timeout or `halt`."""
        self.look(now)
        self.velocity, self.target = velocity * FULL_SPEED, None
        self.until = None if timeout_s is None else now + timeout_s

    def go(self, target: float, now: float) -> None:
        """Go to a position at full speed."""
        self.look(now)
        self.velocity = FULL_SPEED if target > self.position else -FULL_SPEED
        self.target, self.until = target, None
        self.look(now)

    def halt(self, now: float) -> None:
        self.look(now)
        self.velocity = 0.0


@dataclass(slots=True)
class Head:
    """Three axes and the presets of one channel."""

    pan: Axis = field(default_factory=lambda: Axis(-1.0))
    tilt: Axis = field(default_factory=lambda: Axis(-1.0))
    zoom: Axis = field(default_factory=lambda: Axis(0.0))
    presets: dict[str, tuple[str, Position]] = field(
        default_factory=lambda: {"1": ("Home", (0.0, 0.0, 0.0))}
    )
    moves: int = 0
    stops: int = 0

    def position(self, now: float) -> Position:
        return self.pan.look(now), self.tilt.look(now), self.zoom.look(now)

    def moving(self, now: float) -> tuple[bool, bool]:
        """Whether pan or tilt moves, and whether zoom does."""
        self.position(now)
        return bool(self.pan.velocity or self.tilt.velocity), bool(self.zoom.velocity)

    def go(self, position: Position, now: float) -> None:
        self.moves += 1
        for axis, target in zip((self.pan, self.tilt, self.zoom), position, strict=True):
            axis.go(target, now)

    def save(self, token: str | None, name: str | None, now: float) -> str | None:
        """Keep the position under a token, a new one when it is None; None when there is no room
        or no such preset."""
        if token is None:
            if len(self.presets) >= MAX_PRESETS:
                return None
            numbers = range(1, MAX_PRESETS + 1)
            token = next(str(n) for n in numbers if str(n) not in self.presets)
        elif token not in self.presets:
            return None
        old = self.presets.get(token, (f"Preset {token}", None))[0]
        self.presets[token] = (name or old, self.position(now))
        return token

"""Hold to move: a camera moves while a key is held, and stops when nobody says so. Sans-IO.

    still --hold--> move sent --done--> moving --silence or release--> stop sent --done--> still

A stop that failed is sent again. `now`: monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

# A page repeats every 250 ms; two lost repeats are borne, and a dome turns a few degrees at most.
HOLD_S = 0.75
# A change of direction is sent at most so often: cameras take some 50 ms for a request.
MOVE_EVERY_S = 0.1
# While a move is held it is told again, since cameras stop by themselves after its timeout.
REPEAT_S = 1.0
# A stop that was not answered is sent again after so long, so often.
STOP_AGAIN_S = 0.25
STOP_TRIES = 5


@dataclass(frozen=True, slots=True)
class Velocity:
    """-1 to 1 each; None: this axis does not move. Pan and tilt go together."""

    pan: float | None = None
    tilt: float | None = None
    zoom: float | None = None

    @property
    def moves(self) -> bool:
        return bool(self.pan or self.tilt or self.zoom)


@dataclass(frozen=True, slots=True)
class Act:
    """What to tell the camera: to move like this, or to stop."""

    velocity: Velocity | None


class HoldToMove:
    """In: `hold`, `release`, `close`, and `done` or `failed` for each act. Out: `poll`, `timeout`.

    One act is under way at a time. `over`: closed, and the camera stands as far as is known.
    """

    def __init__(self) -> None:
        # What somebody wants until `_hold_until`; None: to stand still.
        self._wanted: Velocity | None = None
        self._hold_until = 0.0
        # What the camera was told; it may move since the first move was sent, answered or not.
        self._told: Velocity | None = None
        self._told_at = 0.0
        self._may_move = False
        self._under_way: Act | None = None
        self._stop_tries = 0
        self._not_before = 0.0
        self._closed = False

    @property
    def over(self) -> bool:
        return self._closed and not self._may_move and self._under_way is None

    @property
    def is_still(self) -> bool:
        """Nothing is wanted and nothing is to be stopped."""
        return self._wanted is None and not self._may_move and self._under_way is None

    @property
    def told(self) -> Velocity | None:
        """How the camera moves, as far as it has taken what it was told."""
        return self._told

    def hold(self, now: float, velocity: Velocity) -> None:
        """Somebody holds the key, still or anew."""
        if self._closed:
            return
        self._wanted = velocity if velocity.moves else None
        self._hold_until = now + HOLD_S
        self._stop_tries = 0

    def release(self, now: float) -> None:
        """The key was let go."""
        self._wanted = None
        self._not_before = now

    def close(self, now: float) -> None:
        """Nobody steers any more."""
        self.release(now)
        self._closed = True

    def poll(self, now: float) -> Act | None:
        """What is to be told now, if anything; answer by `done` or `failed`."""
        if self._under_way is not None:
            return None
        if self._wanted is not None and now >= self._hold_until:
            self._wanted = None
        if self._wanted is None:
            if not self._may_move or now < self._not_before:
                return None
            self._under_way = Act(None)
        else:
            if now < self._next_move_at():
                return None
            self._under_way = Act(self._wanted)
            self._may_move = True
        return self._under_way

    def done(self, now: float) -> None:
        """The camera has taken the act."""
        act, self._under_way = self._under_way, None
        if act is None:
            return
        self._told, self._told_at = act.velocity, now
        if act.velocity is None:
            self._may_move = False
            self._stop_tries = 0

    def failed(self, now: float) -> None:
        """The camera has refused the act, or not answered; it may have acted for all that."""
        act, self._under_way = self._under_way, None
        if act is None:
            return
        if act.velocity is not None:
            self._wanted = None  # whoever holds on asks again; until then it stops
            return
        self._stop_tries += 1
        self._not_before = now + STOP_AGAIN_S
        if self._stop_tries >= STOP_TRIES:
            self._may_move = False  # it is gone, or does not move by itself: nothing left to do

    def timeout(self) -> float | None:
        """When to poll next, if nothing is said before."""
        if self._under_way is not None:
            return None
        if self._wanted is not None:
            return min(self._hold_until, self._next_move_at())
        return self._not_before if self._may_move else None

    def _next_move_at(self) -> float:
        if self._told is None:
            return 0.0
        every_s = REPEAT_S if self._told == self._wanted else MOVE_EVERY_S
        return self._told_at + every_s

"""One stream's route: is it wanted, is it live, when to dial again. Sans-IO.

Commands and events come in with `now` (monotonic seconds); out come actions (`poll_action`) and
the next time it wants to be woken (`poll_timeout`). It owns no clock, no task and no core.

    idle --acquire--> opening --source_live--> live --source_lost--> backoff --time--> opening
    opening or live, unwanted for idle_close_s --> idle;  backoff, unwanted at its end --> idle
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import StrEnum

from streamhub.router.policy import AUTH_CAUSES, RouterSettings, retry_delay_s


class RouteState(StrEnum):
    """Where a route is."""

    IDLE = "idle"
    OPENING = "opening"
    LIVE = "live"
    BACKOFF = "backoff"


class Action(StrEnum):
    """What the driver must do for a route, in order."""

    DIAL = "dial"
    HANG_UP = "hang_up"


class Route:
    """The wanted-live record of one stream, with the leases that want it."""

    def __init__(self, settings: RouterSettings, jitter: Callable[[], float]) -> None:
        # given
        self._settings = settings
        self._jitter = jitter
        # owned
        self._state = RouteState.IDLE
        self._leases: set[str] = set()
        self._actions: deque[Action] = deque()
        self._failures = 0
        # Wrong passwords since it was last live, counted apart: cameras lock accounts by these.
        self._auth_failures = 0
        self._cause: str | None = None
        self._detail = ""
        self._live_since = 0.0
        self._open_by = 0.0
        self._retry_at = 0.0
        self._idle_at: float | None = None

    @property
    def state(self) -> RouteState:
        return self._state

    @property
    def leases(self) -> frozenset[str]:
        return frozenset(self._leases)

    @property
    def wanted(self) -> bool:
        return bool(self._leases)

    @property
    def cause(self) -> str | None:
        """Why the source was last lost; None once it is live again."""
        return self._cause

    @property
    def detail(self) -> str:
        return self._detail

    @property
    def forgettable(self) -> bool:
        """Nothing is held, wanted or waited for."""
        return self._state is RouteState.IDLE and not self._leases and not self._actions

    def retry_in_s(self, now: float) -> float | None:
        """Seconds to the next dial while in backoff, else None."""
        if self._state is not RouteState.BACKOFF:
            return None
        return max(0.0, self._retry_at - now)

    # --- commands -------------------------------------------------------------------------------

    def acquire(self, now: float, lease_id: str) -> None:
        """Somebody wants this stream live. The same id twice is one lease."""
        self._leases.add(lease_id)
        self._idle_at = None
        if self._state is RouteState.IDLE:
            self._dial(now)

    def release(self, now: float, lease_id: str, linger_s: float | None = None) -> None:
        """That one does not want it any more. Unknown ids are ignored.

        `linger_s`: how long to hold it if this was the last one (default: `idle_close_s`).
        """
        if lease_id not in self._leases:
            return
        self._leases.discard(lease_id)
        self._mark_idle(now, linger_s)

    def address_changed(self, now: float) -> None:
        """Address or password changed: what was learnt of the old one does not hold any more."""
        self._failures = self._auth_failures = 0
        if self._state is RouteState.BACKOFF:
            self._retry_at = now
            self.handle_timeout(now)
        elif self._state is not RouteState.IDLE and self._leases:
            self._dial(now)  # the core replaces the source under the same viewers
        elif self._state is not RouteState.IDLE:
            self._hang_up()

    # --- events ---------------------------------------------------------------------------------

    def source_live(self, now: float) -> None:
        """The core says that the source delivers."""
        if self._state is RouteState.IDLE:
            self._actions.append(Action.HANG_UP)  # nobody wants it: do not keep a pull open
            return
        if self._state is not RouteState.LIVE:
            self._live_since = now
        self._state = RouteState.LIVE
        self._auth_failures = 0
        self._cause, self._detail = None, ""
        self._mark_idle(now)

    def source_lost(self, now: float, cause: str, retryable: bool, detail: str) -> None:
        """The core says that the source is gone, or a dial could not even be prepared."""
        if self._state in (RouteState.IDLE, RouteState.BACKOFF):
            return  # an echo of what was already closed
        stable = (
            self._state is RouteState.LIVE
            and now - self._live_since >= self._settings.stable_after_s
        )
        self._failures = 1 if stable else self._failures + 1
        refused_password = cause in AUTH_CAUSES
        self._auth_failures += refused_password
        self._cause, self._detail = cause, detail
        self._state = RouteState.BACKOFF
        self._idle_at = None
        self._retry_at = now + retry_delay_s(
            self._settings,
            cause=cause,
            retryable=retryable,
            failures=self._auth_failures if refused_password else self._failures,
            jitter=self._jitter(),
        )

    # --- time -----------------------------------------------------------------------------------

    def poll_timeout(self) -> float | None:
        """When `handle_timeout` has something to do, or None."""
        if self._state is RouteState.BACKOFF:
            return self._retry_at
        if self._state is RouteState.OPENING:
            return self._open_by if self._idle_at is None else min(self._open_by, self._idle_at)
        return self._idle_at

    def handle_timeout(self, now: float) -> None:
        """Do what is due at `now`; early calls do nothing."""
        if self._state is RouteState.BACKOFF and now >= self._retry_at:
            if self._leases:
                self._dial(now)
            else:
                # The failure count goes too, but the pause itself was kept: a viewer that comes
                # and goes cannot make us hammer a camera.
                self._state = RouteState.IDLE
                # In case the loss was an echo of an earlier dial, and this one still stands.
                self._actions.append(Action.HANG_UP)
        elif self._idle_at is not None and now >= self._idle_at:
            self._hang_up()
        elif self._state is RouteState.OPENING and now >= self._open_by:
            self._actions.append(Action.HANG_UP)
            self.source_lost(
                now, "open_timeout", True, "the camera was dialled and never went live"
            )

    def poll_action(self) -> Action | None:
        """The next thing to do, oldest first."""
        return self._actions.popleft() if self._actions else None

    # --- inside ---------------------------------------------------------------------------------

    def _dial(self, now: float) -> None:
        self._state = RouteState.OPENING
        self._open_by = now + self._settings.open_timeout_s
        self._actions.append(Action.DIAL)
        self._mark_idle(now)

    def _hang_up(self) -> None:
        self._state = RouteState.IDLE
        self._idle_at = None
        self._failures = self._auth_failures = 0
        self._cause, self._detail = None, ""
        self._actions.append(Action.HANG_UP)

    def _mark_idle(self, now: float, linger_s: float | None = None) -> None:
        held = self._state in (RouteState.OPENING, RouteState.LIVE)
        if self._leases or not held:
            self._idle_at = None
        elif self._idle_at is None:
            self._idle_at = now + (self._settings.idle_close_s if linger_s is None else linger_s)

"""How long to wait before a camera is dialled again, by the cause of its loss."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """Times in seconds."""

    # A stream nobody watches is held this long: switching tiles back and forth must not re-dial.
    idle_close_s: float = 10.0
    # Cameras with one or two RTSP sessions need about 2 s to notice that we are gone.
    retry_first_s: float = 2.0
    retry_max_s: float = 30.0
    # Cameras lock an account after 5 to 7 wrong passwords, often for 30 minutes.
    auth_retry_first_s: float = 60.0
    auth_retry_max_s: float = 600.0
    # The camera answers, and says no: nothing changes until somebody changes something.
    refused_retry_s: float = 60.0
    # All sessions of the camera are taken: one frees itself when a dead peer times out.
    busy_retry_s: float = 10.0
    # A source that stayed live this long starts again from `retry_first_s` when it is lost.
    stable_after_s: float = 10.0
    # The core has its own, shorter timeouts for each step; this one catches a lost event.
    open_timeout_s: float = 20.0


AUTH_CAUSES = frozenset({"auth_failed"})
BUSY_CAUSES = frozenset({"busy"})
# Share of a delay that is random, so that a switch which comes back is not dialled by all at once.
JITTER_SHARE = 0.2


def retry_delay_s(
    settings: RouterSettings, *, cause: str, retryable: bool, failures: int, jitter: float
) -> float:
    """Seconds until the next dial. `failures` >= 1 in a row; `jitter` in [0, 1)."""
    doubled = float(1 << min(max(failures, 1) - 1, 16))
    if cause in AUTH_CAUSES:
        base = min(settings.auth_retry_first_s * doubled, settings.auth_retry_max_s)
    elif cause in BUSY_CAUSES:
        base = settings.busy_retry_s
    elif not retryable:
        base = settings.refused_retry_s
    else:
        base = min(settings.retry_first_s * doubled, settings.retry_max_s)
    return base * (1.0 + JITTER_SHARE * jitter)

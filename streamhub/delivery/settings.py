"""The delivery room's figures, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """Times in seconds unless the name says otherwise."""

    # One core serves about this many sub-stream viewers; beyond it everybody would suffer.
    max_views: int = 2000
    # And what all views together may take, in bits per second: what the network card gives.
    max_bps: int | None = None
    # A control plane that stalls for less than two renewals costs nobody a picture.
    lease_s: float = 60.0
    renew_every_s: float = 20.0
    # Who may watch is not known for this long: the registry's database is away. A shorter absence
    # (it was started anew) is nobody's trouble; in a longer one leases run out.
    deaf_s: float = 10.0
    # A camera at 15 fps that is silent this long is not "slow", something is wrong.
    stale_after_ms: int = 2000
    tick_s: float = 1.0
    # The core says goodbye to a viewer in milliseconds; after this we close the books without it.
    close_grace_s: float = 1.0
    # Longer, and the operator has clicked again.
    audit_timeout_s: float = 3.0

    # A sub-platform's wall and its recorder; more is a loop that opens and never closes.
    max_rtsp_views_per_subject: int = 64
    # How clients are told to reach the RTSP door: host, or host:port; None: as they reach the API,
    # and by TLS as in the clear.
    rtsp_advertise: str | None = None
    rtsps_advertise: str | None = None

    still_deadline_s: float = 5.0
    still_cache_s: float = 1.0
    # A wall of stills must not dial a wall of cameras at once.
    still_dials: int = 4
    still_waiting: int = 16
    # A camera that was dialled for a still alone is let go soon, but not before it is asked twice.
    still_linger_s: float = 2.0
    # Older than the longest GOP of the "smart" codecs is not what the camera sees now.
    still_max_age_ms: int = 30_000

"""Room sign: PyCore, the packet core without Rust, on PyAV and aiortc. Slow, and always there.

The baseline that the native core is measured against, and what runs where no native core can be
built. Belongs here: the same `MediaCore` promises kept by Python alone. Does not: anything that the
native core lacks. May be called by: `app` and the contract suite, through `open_pycore` alone, so
that aiortc (0.3 s and 60 MB) is imported only when it is chosen.

Threads: one loop of its own for all viewers (`engine`), one thread for each camera (`source`) in
which FFmpeg waits. They share the interpreter with the control plane: each packet passes through
it, and where it stalls, packets stall. The native core exists because of that.

How it differs, beyond speed:
- No ICE-TCP: a viewer whose network lets no UDP through is not reached.
- Lost packets are sent again where the offer has RTX (the last 128 packets), but a decoder that is
  lost (PLI) waits for the camera's next keyframe.
- FFmpeg tells neither the steps between `dial` and `play` nor at which of them a camera went silent
  (`connect_timeout`). Statuses that it does not tell apart (453, 454, 503) are `bad_response`.
- FFmpeg answers a camera that asks for Basic, which gives the password in the clear.
- No sound, and no RTSP door.
- A viewer that goes over to another stream waits for that one's next keyframe, whenever it is due.
- An access unit is complete when the next one begins: a picture's time later.
- `SourceStats.packets` counts access units: FFmpeg keeps the RTP packets to itself.
- A camera that is hung up on is let go at its next packet, at the latest after 10 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from streamhub.media.contract import CoreUnavailable

if TYPE_CHECKING:
    from streamhub.media.contract import MediaCore


def open_pycore(
    *, udp_host: str, udp_port: int, advertise: Sequence[str], max_viewers: int = 200
) -> MediaCore:
    """Bind the UDP port and start the core's thread.

    Raises `CoreUnavailable` when aiortc is not installed, or the port can't be had.
    """
    try:
        import aiortc  # noqa: F401
    except ImportError:
        raise CoreUnavailable(
            "The Python core needs aiortc, which is not installed: install streamhub with its "
            'extra "baseline" (or: pip install "aiortc>=1.16,<2"), or set '
            "STREAMHUB_MEDIA__CORE=native."
        ) from None
    from .core import PyCore

    return PyCore(
        udp_host=udp_host, udp_port=udp_port, advertise=advertise, max_viewers=max_viewers
    )

"""Where a stream runs. One machine today; the interface is what a second one will need."""

from __future__ import annotations

from typing import Protocol

from streamhub.media.contract import MediaCore


class Placement(Protocol):
    """Chooses the core of a stream. The same stream is always placed on the same core."""

    def core_for(self, stream_id: str) -> MediaCore:
        """The core that pulls this stream and serves its viewers."""


class LocalPlacement:
    """The one core of this process; it spreads devices over its shards by itself."""

    def __init__(self, core: MediaCore) -> None:
        self._core = core

    def core_for(self, stream_id: str) -> MediaCore:
        return self._core

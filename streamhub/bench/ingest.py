"""`ingest`: cameras pulled without viewers, by the core alone."""

from __future__ import annotations

import sys
from typing import Any

from .district import Workshop
from .load import limit_ingest
from .processes import ask_binary

PASSWORD_VARIABLE = "STREAMHUB_FARM_PASSWORD"  # noqa: S105  (a name, not a password)


def ingest_row(workshop: Workshop, cameras: int, profile: str) -> dict[str, Any]:
    """[`us_per_packet`, `share_of_limit`, `cores`, `bytes_per_camera`, `lost`, `all_live_s`]. On
    loopback part of TCP's receive work is charged to the sender, for both loops alike."""
    with workshop.farm() as farm:
        words = [sys.executable, "-m", "streamhub.bench.ingest_host", farm.address]
        words += [str(cameras), profile]
        environment = {PASSWORD_VARIABLE: workshop.farm_password()}
        seen = ask_binary(words, workshop.cores.service, environment)
    # The bare loop speaks no digest.
    with workshop.farm(locked=False) as farm:
        bare = limit_ingest(farm.address, cameras, profile, workshop.cores)
    share = bare["us_per_packet"] / seen["us_per_packet"] if seen["us_per_packet"] else None
    return {
        "profile": profile,
        **seen,
        "limit_us_per_packet": bare["us_per_packet"],
        "limit_cores": bare["cores"],
        "share_of_limit": None if share is None else round(share, 3),
        "limit": bare,
    }

"""What `bench revoke` and `bench stall` make of what their viewers saw."""

from __future__ import annotations

from typing import Any

import pytest

from streamhub.bench import revoke, stall
from streamhub.bench.processes import BenchError
from streamhub.bench.watching import Seen


def revoked(p99: float, most: float, answered: float) -> dict[str, Any]:
    return {"last_packet_ms": {"p50": 1.0, "p99": p99, "max": most}, "answered_ms": answered}


def stopped(seconds: float, most: float) -> dict[str, Any]:
    return {"stopped_s": seconds, "last_packet_s": {"p50": 1.0, "p99": most, "max": most}}


def test_a_revocation_that_is_late_in_any_run_is_a_sentence() -> None:
    good = revoked(500, 1_000, 1_000)
    assert revoke.complaints([good, good]) == []
    assert revoke.complaints([revoked(501, 1_000, 10), good]) == [
        "p99 of the last packet is 501 ms, wanted are 500."
    ]
    assert revoke.complaints([good, revoked(400, 1_001, 1_002)]) == [
        "A packet came 1001 ms after the right had ended, wanted are 1000.",
        "The changes were answered after 1002 ms, wanted are 1000.",
    ]


def test_packets_without_a_lease_are_a_sentence() -> None:
    assert stall.complaints([stopped(90.0, 60.2)]) == []
    # Shorter than a lease: they go on, as they should.
    assert stall.complaints([stopped(59.0, 62.0)]) == []
    assert stall.complaints([stopped(90.0, 55.0), stopped(90.0, 92.9)]) == [
        "A packet came 92.9 s after the stop; leases end after 60 s."
    ]


def test_what_both_doors_saw_is_told_together_and_apart() -> None:
    seen = Seen({"whep": [1_300.0, 1_100.0], "rtsp": [1_500.0, 900.0]})
    seen.require_all(2)
    assert seen.spreads("last_packet_ms", 1_000) == {
        "last_packet_ms": {"p50": 300.0, "p99": 500.0, "max": 500.0},
        "last_packet_ms_by_whep": {"p50": 300.0, "p99": 300.0, "max": 300.0},
        "last_packet_ms_by_rtsp": {"p50": 500.0, "p99": 500.0, "max": 500.0},
    }
    assert Seen({"rtsp": [4_000.0]}).spreads("last_packet_s", 1_000, 1_000) == {
        "last_packet_s": {"p50": 3.0, "p99": 3.0, "max": 3.0}
    }
    with pytest.raises(BenchError, match="1 of 3 viewers by rtsp got no picture"):
        Seen({"whep": [1.0] * 3, "rtsp": [1.0] * 2}).require_all(3)

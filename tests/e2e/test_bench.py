"""Rows of the bench, small ones: all that a figure is made of fits together."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from streamhub.bench.revoke import complaints
from streamhub.bench.watching import DOORS
from support.district import ROOT
from support.patience import PATIENCE_S, KernelDrops


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streamhub.cli", "bench", *words, "--no-pin", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE_S,
        check=False,
    )


def test_ingest_tells_the_delay_of_the_same_run() -> None:
    drops = KernelDrops()
    done = bench("ingest", "--cameras", "40", "--runs", "1")
    assert done.returncode == 0, done.stderr
    [row] = json.loads(done.stdout)["rows"]
    assert (row["live"], row["lost"], row["sources_lost"]) == (40, 0, {})
    assert (row["viewers_playing"], row["viewers_unplaced"]) == (20, 0)
    assert row["viewers_lost"] <= drops.count()
    # 15 pictures a second to 20 viewers for 10 s, keyframes apart.
    assert 2_000 < row["added_ms"]["n"] < 4_000
    assert 0 < row["added_ms"]["p50"] <= row["added_ms"]["p999"] < 10_000
    assert row["units_unknown"] == 0
    assert 0 < row["cores"] < 1
    assert 0 < row["cores_watched"] < 1


def test_the_bare_loop_is_measured() -> None:
    done = bench("limit", "--viewers", "4", "--runs", "1")
    assert done.returncode == 0, done.stderr
    [row] = json.loads(done.stdout)["rows"]
    assert row["packets_per_message"] == 17
    assert row["packets"] > 1_000
    assert row["us_per_packet"] > 0


def test_an_inspection_tells_the_good_from_the_dead() -> None:
    done = bench("inspect", "--channels", "20", "--dead", "0.2", "--profile", "sub")
    assert done.returncode == 0, done.stderr
    [row] = json.loads(done.stdout)["rows"]
    assert (row["channels"], row["dead"], row["wrong"]) == (20, 4, 0)
    assert row["counts"] == {"plays": 16, "fails": 4}
    assert row["pictures"] == 16
    # Two tries of 5 s for the dead, with a pause of 10 to 15 s between; the good are done before.
    assert 20 < row["seconds"] < 60
    assert row["good_done_s"] < row["seconds"] - 5
    assert row["looking_cores"] > 0
    assert row["health_refused"] == 0


def test_a_soak_samples_the_service_and_says_when_it_was_too_short() -> None:
    drops = KernelDrops()
    done = bench("soak", "--minutes", "0.2", "--viewers", "6", "--cameras", "2")
    assert done.returncode == 1
    assert "Too short" in done.stderr
    row: dict[str, Any] = json.loads(done.stdout)["rows"][0]
    assert (row["playing"], row["worker_faults"]) == (6, 0)
    assert row["lost"] <= drops.count()
    assert row["viewers_steady"] == 4
    assert row["rss_start_bytes"] > 20_000_000
    assert row["open_files"]["start"] > 10
    assert [sample["at_s"] > 0 for sample in row["samples"]][-1]


@pytest.mark.parametrize("words", [(), ("--by", "both", "--changes", "100")])
def test_a_revocation_ends_every_view(words: tuple[str, ...]) -> None:
    done = bench("revoke", "--viewers", "20", "--runs", "1", *words)
    [row] = json.loads(done.stdout)["rows"]
    # How fast it was is the bench's to say; a busy machine misses what is wanted.
    assert done.returncode == bool(complaints([row])), done.stderr
    assert (row["viewers"], row["still_playing"]) == (40 if words else 20, 0)
    late = row["last_packet_ms"]
    assert late["p50"] <= late["p99"] <= late["max"]
    # They watched until then: the last packets are those of the pictures right before it.
    assert late["p50"] > -1000
    if row["by"] == "both":
        assert row["load"]["connections_closed"] == 20
        assert max(row[f"last_packet_ms_by_{door}"]["max"] for door in DOORS["both"]) == late["max"]


def test_a_short_stall_costs_nobody_a_picture() -> None:
    """Packets need no interpreter, and the leases of those who watch are renewed afterwards."""
    done = bench("stall", "--viewers", "5", "--seconds", "3")
    assert done.returncode == 0, done.stderr
    [row] = json.loads(done.stdout)["rows"]
    assert row["stopped_s"] >= 3
    assert (row["ended_meanwhile"], row["playing_afterwards"]) == (0, 10)


@pytest.mark.parametrize(("words", "runs"), [((), 2), (("--postgres",), 1)])
def test_a_kill_loses_nothing_that_was_answered(words: tuple[str, ...], runs: int) -> None:
    done = bench("kill", "--runs", str(runs), *words)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert len(rows) == runs
    for row in rows:
        assert row["wrong"] == []
        assert row["changes_answered"] > 0
        assert row["views_playing"] > row["views_by_whep"] > 0
        assert row["audit_rows"] > row["changes_answered"]

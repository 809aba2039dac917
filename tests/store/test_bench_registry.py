"""`streamhub bench registry` on a small registry: every kind of question is asked and told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from typer.testing import CliRunner

from camera_registry.gb_code import check_camera, parse
from streamhub.bench.registry_places import areas, cameras
from streamhub.cli.bench import app
from support.district import wait_until


def _has_ended(pid: int) -> bool:
    """Gone, or a zombie that nobody has cleared away yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_small_registry_is_measured_and_told() -> None:
    result = CliRunner().invoke(
        app, ["registry", "--channels", "1000", "--queries", "130", "--runs", "2", "--json"]
    )
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    row, second = told["rows"]
    assert row["facts_bytes"] > 0
    assert "facts_bytes" not in second
    assert (row["store"], row["channels"], row["queries"]) == ("sqlite", 1_000, 130)
    assert 0 < row["search_ms"]["p50"] <= row["search_ms"]["p99"] <= row["search_ms"]["max"]
    assert set(row["scope_ms"]) == {"everything", "street", "grid", "single"}
    assert len(row["kind_ms"]) == 13
    assert told["machine"]["cores"] >= 1


def test_ended_by_sigterm_it_leaves_no_server_and_no_folder() -> None:
    # Not pytest's own folder: the server runs as another user, who can't go through that.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        # So many that it can't be done before it is ended.
        words = ["bench", "registry", "--postgres", "--channels", "3000000"]
        bench = subprocess.Popen(
            [sys.executable, "-m", "streamhub.cli", *words],
            env={**os.environ, "TMPDIR": folder},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert bench.stderr is not None
        server = next(
            (int(line.split()[-1]) for line in bench.stderr if "PostgreSQL" in line), None
        )
        assert server is not None, "it ended by itself"
        os.kill(server, 0)  # it is there
        bench.send_signal(signal.SIGTERM)
        bench.communicate(timeout=60)
        assert bench.returncode != 0
        # Nobody's child any more: what is left of it is for the system to clear away.
        wait_until("the server has ended", lambda: _has_ended(server))
        assert list(Path(folder).iterdir()) == []


def test_the_district_is_the_same_each_time_and_as_the_registry_wants_it() -> None:
    rows = [channel for _, channel in cameras(500)]
    assert rows == [channel for _, channel in cameras(500)]
    known = {area.id for area in areas()}
    for channel in rows:
        check_camera(parse(channel.code))
        assert channel.area_id in known
    assert len({channel.code for channel in rows}) == 500

"""`streamhub bench import` on a small file."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from streamhub.cli.bench_rights import app


@pytest.mark.parametrize("kind", ["csv", "xlsx", "json"])
def test_a_small_file_is_checked_and_applied_and_told(kind: str) -> None:
    words = ["--cameras", "120", "--kind", kind, "--json"]
    result = CliRunner().invoke(app, ["import", *words])
    assert result.exit_code == 0, result.output
    [row] = json.loads(result.stdout)["rows"]
    assert (row["cameras"], row["template"], row["kind"]) == (120, "archive-73", kind)
    assert row["file_bytes"] > 120 * 50
    assert 0 < row["check_cpu_s"] < 60
    assert row["check_s"] > 0
    assert row["apply_s"] > 0
    assert row["check_rss_bytes"] > 20_000_000

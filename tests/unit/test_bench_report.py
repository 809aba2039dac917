"""The bench's arithmetic: runs of a row become minimum, median and maximum of each figure."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console
from typer.testing import CliRunner

from streamhub.bench.report import spread, table
from streamhub.cli.bench_rights import app

ROWS = [
    {"row": 0, "run": run, "viewers": 200, "lost": 0, "key_ms": {"p50": p50}, "srtp_cipher": "X"}
    for run, p50 in enumerate((3.0, 1.0, 2.0))
]


def test_runs_of_one_row_become_minimum_median_maximum() -> None:
    [entry] = spread(ROWS)
    assert entry["viewers"] == 200
    assert entry["runs"] == 3
    assert entry["figures"] == {"lost": [0, 0, 0], "key_ms.p50": [1.0, 2.0, 3.0]}


def test_rows_stay_apart_and_the_table_names_each_figure() -> None:
    summary = spread([*ROWS, {**ROWS[0], "row": 1, "viewers": 400}])
    assert [entry["viewers"] for entry in summary] == [200, 400]
    out = StringIO()
    Console(width=120, file=out).print(table("fanout", summary))
    text = out.getvalue()
    assert "key_ms.p50" in text
    assert "1 / 2 / 3" in text


@pytest.mark.parametrize(
    "name", ["limit", "fanout", "join", "ingest", "delay", "soak", "registry", "revoke", "access"]
)
def test_each_bench_explains_itself(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0
    assert "json" in result.stdout

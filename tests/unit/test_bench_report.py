"""The bench's arithmetic: runs of a row become minimum, median and maximum of each figure."""

from __future__ import annotations

import subprocess
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from streamhub.bench import machine
from streamhub.bench.machine import Cores
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
    assert "fanout: minimum / median / maximum" in text
    assert "viewers=400" in text
    assert "3 runs" in text


def test_a_table_of_one_run_speaks_of_one_run() -> None:
    out = StringIO()
    Console(width=120, file=out).print(table("fanout", spread(ROWS[:1])))
    text = out.getvalue()
    assert "1 run" in text
    assert "1 runs" not in text
    assert "median" not in text


def test_a_result_says_what_beside_its_commit_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True, capture_output=True)

    git("init")
    for name in ("kept.py", "changed.py"):
        (tmp_path / name).write_text("as it was")
    git("add", ".")
    git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-m", "first")
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    clean = machine.describe("clips", Cores(None, None))
    assert (clean["modified"], clean["modified_files"]) == (False, [])
    (tmp_path / "changed.py").write_text("as it is")
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "result.json").write_text("{}")
    said = machine.describe("clips", Cores(None, None))
    assert said["commit"] == clean["commit"]
    assert (said["modified"], said["modified_files"]) == (True, ["changed.py"])


NAMES = [
    each.name or str(getattr(each.callback, "__name__", "")) for each in app.registered_commands
]


@pytest.mark.parametrize("name", NAMES)
def test_each_bench_explains_itself(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0
    assert "json" in result.stdout

"""An import whose check is cut short by `kill -9`: of the service, and of a command without one."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.district import ROOT, running_service, wait_until
from support.patience import PATIENCE_S

ROWS = 12_000  # some seconds of a check
HEADINGS = "设备编码,设备名称,所属区域编码,主码流地址"


def streamhub(data_dir: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streamhub.cli", *words],
        cwd=ROOT,
        env={**os.environ, "STREAMHUB_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
    )


@contextmanager
def importing(data_dir: Path, file: Path) -> Iterator[subprocess.Popen[str]]:
    """The command that sends the file and waits for its check."""
    words = [sys.executable, "-m", "streamhub.cli", "camera", "import", str(file)]
    with subprocess.Popen(
        words,
        cwd=ROOT,
        env={**os.environ, "STREAMHUB_DATA_DIR": str(data_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        try:
            yield command
        finally:
            command.kill()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    data_dir = tmp_path / "data"
    street = ("110112001", "永顺镇", "--kind", "street", "--parent", "110112")
    for words in (("110112", "通州区", "--kind", "district"), street):
        done = streamhub(data_dir, "area", "add", *words)
        assert done.returncode == 0, done.stderr
    return data_dir


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "cameras.csv"
    rows = [
        f"11011200111310{n:06d},路口{n},110112001,rtsp://192.0.2.{n % 250}/cam/{n}/main"
        for n in range(1, ROWS + 1)
    ]
    file.write_text("\n".join((HEADINGS, *rows)))
    return file


def ask(data_dir: Path, statement: str) -> tuple[Any, ...]:
    with closing(sqlite3.connect(data_dir / "registry.db", timeout=PATIENCE_S)) as db:
        return tuple(db.execute(statement).fetchone() or (None,))


def kept(data_dir: Path) -> int:
    return int(ask(data_dir, "SELECT count(*) FROM import_rows")[0])


def is_checked(data_dir: Path) -> bool:
    return ask(data_dir, "SELECT state FROM import_jobs") == ("checked",)


def applied_whole(data_dir: Path) -> None:
    """As many rows as the check says, and as many cameras as rows."""
    state, counts, job_id = ask(data_dir, "SELECT state, counts, id FROM import_jobs")
    assert (state, json.loads(counts)["add"], kept(data_dir)) == ("checked", ROWS, ROWS)
    done = streamhub(data_dir, "camera", "apply-import", job_id)
    assert done.returncode == 0, done.stderr
    assert ask(data_dir, "SELECT count(*) FROM channels") == (ROWS,)


def workers_of(parent: int) -> list[int]:
    """Processes that check for this one."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [
        int(child)
        for child in children
        if b"camera_registry.importers.worker" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


@contextmanager
def stopped_halfway(data_dir: Path, parent: int) -> Iterator[int]:
    """The worker of this process stands still when it has planned some of the rows, so that
    whoever is killed meanwhile is killed in time."""
    wait_until("a worker checks", lambda: bool(workers_of(parent)))
    [worker] = workers_of(parent)

    def stands_halfway() -> bool:
        os.kill(worker, signal.SIGSTOP)
        if kept(data_dir) > 0:
            return True
        os.kill(worker, signal.SIGCONT)
        return False

    try:
        wait_until("rows are planned", stands_halfway)
        assert not is_checked(data_dir), "all was checked before it could be stopped"
        yield worker
    finally:
        os.kill(worker, signal.SIGCONT)


def is_gone(pid: int) -> bool:
    """Or a zombie: whoever takes orphans up in a container may be late to wait for them."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def test_a_killed_service_checks_all_of_it_anew(data_dir: Path, file: Path) -> None:
    with running_service(data_dir) as service:
        with importing(data_dir, file) as command:
            assert service.process is not None
            with stopped_halfway(data_dir, service.process.pid) as worker:
                service.kill()
            _, said = command.communicate(timeout=PATIENCE_S)
            assert "did not answer" in said
        wait_until("the worker is gone too", lambda: is_gone(worker))
        assert not is_checked(data_dir)
        service.start()
        wait_until("it is checked", lambda: is_checked(data_dir))
        assert ask(data_dir, "SELECT attempt FROM import_jobs") == (2,)
        applied_whole(data_dir)


def test_a_second_terminal_takes_over_from_one_that_was_killed(data_dir: Path, file: Path) -> None:
    """No service runs: each command is a process at the registry."""
    with importing(data_dir, file) as command:
        with stopped_halfway(data_dir, command.pid):
            [job_id] = ask(data_dir, "SELECT id FROM import_jobs")
            command.kill()
        command.communicate(timeout=PATIENCE_S)
    waited = streamhub(data_dir, "camera", "imports", job_id, "--json")
    assert (waited.returncode, waited.stderr) == (0, "")
    assert json.loads(waited.stdout)["counts"]["add"] == ROWS
    assert ask(data_dir, "SELECT attempt FROM import_jobs") == (2,)
    applied_whole(data_dir)


def test_two_terminals_make_one_check(data_dir: Path, file: Path) -> None:
    with importing(data_dir, file) as command:
        wait_until("rows are planned", lambda: kept(data_dir) > 0)
        [job_id] = ask(data_dir, "SELECT id FROM import_jobs")
        second = streamhub(data_dir, "camera", "imports", job_id, "--json")
        said, trouble = command.communicate(timeout=PATIENCE_S)
    assert (second.returncode, second.stderr, command.returncode) == (0, "", 0), trouble
    assert "Traceback" not in trouble
    assert f"{ROWS} to add" in said
    assert ask(data_dir, "SELECT attempt FROM import_jobs") == (1,)
    applied_whole(data_dir)

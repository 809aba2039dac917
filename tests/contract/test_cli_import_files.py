"""`streamhub camera import` over files as they come: broken, hostile, endless."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from support.command import Command


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    made = Command(tmp_path_factory.mktemp("files") / "data")
    made.ok("area", "add", "110112", "通州区", "--kind", "district")
    made.ok("area", "add", "110112001", "永顺镇", "--kind", "street", "--parent", "110112")
    yield made
    made.end()


def test_of_a_file_that_is_too_large_nothing_is_read(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "cameras.csv"
    with file.open("w") as sparse:
        os.truncate(sparse.fileno(), 3 << 30)
    before = command.peak_kib()
    done = command.run("camera", "import", str(file), "--apply")
    assert (done.returncode, done.stderr) == (
        2,
        f"streamhub: {file} is larger than 64 MiB; divide it into several files.\n",
    )
    assert command.peak_kib() - before < 32 << 10


def test_of_what_has_no_end_no_more_than_the_limit_is_read(
    command: Command, tmp_path: Path
) -> None:
    """Its size is not told before."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def pour() -> None:
        with suppress(BrokenPipeError), pipe.open("wb") as out:
            while True:
                out.write(bytes(1 << 20))

    pouring = threading.Thread(target=pour)
    pouring.start()
    done = command.run("camera", "import", str(pipe), "--apply")
    pouring.join()
    assert (done.returncode, "is larger than 64 MiB" in done.stderr) == (2, True)

"""`streamhub camera import` over files as they come: broken, hostile, endless."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from support.command import Command
from support.workbooks import by_hand, workbook

HEADINGS = ("设备编码", "设备名称", "所属区域编码", "主码流地址")
TOO_LARGE = "is larger than 64 MiB; divide it into several files."


def cells(number: int, name: str = "东门") -> tuple[str, ...]:
    return (f"1101120011131{number:07d}", name, "110112001", f"rtsp://192.0.2.9/cam/{number}/main")


def csv(*rows: tuple[str, ...]) -> bytes:
    return "\n".join(",".join(row) for row in (HEADINGS, *rows)).encode()


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    made = Command(tmp_path_factory.mktemp("files") / "data")
    made.ok("area", "add", "110112", "通州区", "--kind", "district")
    made.ok("area", "add", "110112001", "永顺镇", "--kind", "street", "--parent", "110112")
    yield made
    made.end()


def truncated() -> bytes:
    whole = workbook(HEADINGS, *(cells(n) for n in range(1, 200)))
    return whole[: len(whole) // 2]


def bomb() -> bytes:
    """16 MiB of one sheet in some 16 KiB."""
    return by_hand("<row><c><v>1</v></c></row>" * (1 << 20))


def formulas() -> bytes:
    """As a program writes them that does not reckon them."""
    code, name, area, _ = cells(1)
    return workbook(HEADINGS, (code, f'="{name}"', area, '=CONCATENATE("rtsp://","192.0.2.9/a")'))


def mixed() -> bytes:
    return csv(cells(1)) + b"\n" + ",".join(cells(2, "西门")).encode("gb18030")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (truncated, "damaged"),
        (bomb, "unpacks to far more than a table of cameras"),
        (formulas, "The cell holds a formula; write the value instead"),
        (mixed, "Row 3"),
        (lambda: csv(cells(1, "门" * (8 << 20))), "A line is longer than 4096 characters"),
        (lambda: csv(*(cells(1) for _ in range(50_000))), "49999 refused"),
    ],
    ids=["truncated", "bomb", "formulas", "mixed", "long-field", "duplicates"],
)
def test_a_file_that_is_no_good_is_said_and_changes_nothing(
    command: Command, tmp_path: Path, content: Callable[[], bytes], says: str
) -> None:
    file = tmp_path / "cameras"
    file.write_bytes(content())
    done = command.run("camera", "import", str(file), "--apply")
    said = done.stdout + done.stderr
    assert done.returncode == 1, said[-2000:]
    assert says in said, said[-2000:]
    assert "Traceback" not in said
    # Every refused row is a line, and little else is said.
    refused = re.search(r"(\d+) refused", said)
    assert len(said.splitlines()) < 50 + (int(refused[1]) if refused else 0)
    assert command.json("camera", "list") == []


@pytest.mark.parametrize("gib", [2, 3])
def test_of_a_file_that_is_too_large_nothing_is_read(
    command: Command, tmp_path: Path, gib: int
) -> None:
    """Its second line is one field that does not end."""
    file = tmp_path / "cameras.csv"
    file.write_bytes(csv((*cells(1)[:1], '"')))
    os.truncate(file, gib << 30)
    before = command.peak_kib()
    done = command.run("camera", "import", str(file), "--apply")
    assert (done.returncode, done.stderr) == (2, f"streamhub: {file} {TOO_LARGE}\n")
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
    assert (done.returncode, TOO_LARGE in done.stderr) == (2, True)

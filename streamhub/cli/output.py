"""Tables for people, JSON for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

PIPE_WIDTH = 240


def show_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """A list: all fields as JSON, or the columns as a table."""
    if as_json:
        print_json(list(rows))
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        # An id that is cut can't be copied.
        table.add_column(column, overflow="fold", no_wrap=column == "id")
    for row in rows:
        table.add_row(*(text(row.get(column)) for column in columns))
    _console().print(table)


def show_object(row: Mapping[str, Any], *, as_json: bool) -> None:
    """One thing, field by field."""
    if as_json:
        print_json(row)
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for key, value in row.items():
        table.add_row(key, text(value))
    _console().print(table)


def say(text: str) -> None:
    """One line to stdout, as it is."""
    sys.stdout.write(f"{text}\n")


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """On the terminal's side of the error stream; gives what is told (done, of how many)."""
    console = Console(stderr=True)
    with Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    ) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _console() -> Console:
    # Into a pipe or a file nothing is folded.
    return Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)


def print_json(value: Any) -> None:
    say(json.dumps(value, ensure_ascii=False, indent=2))


def text(value: Any) -> str:
    """A value as a cell of a table has it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " / ".join(text(each) for each in value)
    if isinstance(value, Mapping):
        return " ".join(f"{key}={text(each)}" for key, each in value.items())
    return str(value)

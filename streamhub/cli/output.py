"""Tables for people, JSON for machines."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

# A word or a number: a code, an id, a time. In halves nobody can copy it.
_WORD = re.compile(r"[!-~]{0,40}")
_UTC = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?\+00:00")
TEXT = 10  # cells that a column of texts keeps where room is short
GAP = 1  # cells between columns


def show_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """A list: all fields as JSON, or the columns as a table."""
    if as_json:
        print_json(list(rows))
        return
    cells = [[text(row.get(column)) for column in columns] for row in rows]
    _print_table(cells, headings=columns)


def show_object(row: Mapping[str, Any], *, as_json: bool) -> None:
    """One thing, field by field."""
    if as_json:
        print_json(row)
        return
    _print_table([[key, text(value)] for key, value in row.items()])


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


def _print_table(rows: Sequence[Sequence[str]], headings: Sequence[str] = ()) -> None:
    """On a terminal texts are folded, words are not; into a pipe or a file nothing is."""
    lines = [headings, *rows] if headings else rows
    columns = [list(column) for column in zip(*lines, strict=True)]
    widths = [max(_cells(text) for text in column) for column in columns]
    console = Console()
    if sys.stdout.isatty():
        least = [max(cell_len(each), TEXT) for each in headings] or [TEXT] * len(widths)
        widths = _narrowed(widths, least, columns, console.width)
    table = Table(box=None, padding=(0, GAP, 0, 0), show_header=bool(headings))
    for n, width in enumerate(widths):
        table.add_column(
            headings[n] if headings else "",
            width=width,
            overflow="fold",
            style="bold" if not headings and n == 0 else None,
        )
    for row in rows:
        table.add_row(*map(Text, row))  # as it is: [brackets] in a name are no markup
    console = Console(width=sum(widths) + GAP * len(widths), height=console.height)
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():
        say(line.rstrip())


def _narrowed(
    widths: list[int], least: list[int], columns: Sequence[Sequence[str]], room: int
) -> list[int]:
    """Texts give way, the widest first. Where that is not enough nothing does: a row is one line
    that the terminal folds, and gives back whole."""
    is_text = [not all(map(_WORD.fullmatch, column)) for column in columns]
    narrowed = list(widths)
    while sum(narrowed) + GAP * len(narrowed) > room:
        spare = [n for n, width in enumerate(narrowed) if is_text[n] and width > least[n]]
        if not spare:
            return widths
        narrowed[max(spare, key=narrowed.__getitem__)] -= 1
    return narrowed


def _cells(text: str) -> int:
    return max(map(cell_len, text.splitlines()), default=0)


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
    # Whole seconds; `--json` has the rest.
    return _UTC.sub(r"\1Z", value) if isinstance(value, str) else str(value)

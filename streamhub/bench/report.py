"""Rows to a table: minimum, median and maximum over the runs of each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from rich.table import Table

# What tells rows apart, or is no figure.
_LABELS = (
    "core",
    "store",
    "channels",
    "grants",
    "subjects",
    "viewers",
    "by",
    "changes",
    "joins",
    "cameras",
    "template",
    "kind",
    "profile",
    "temperature",
    "srtp_cipher",
)
_HIDDEN = ("row", "run", "load", "limit", "failures", "rss_bytes", "seed", "samples")


def _numbers(row: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Numbers of a row by name; those of a percentile table as `name.p50`."""
    found: dict[str, float] = {}
    for key, value in row.items():
        if not prefix and (key in _HIDDEN or key in _LABELS):
            continue
        if isinstance(value, bool):
            continue
        if isinstance(value, int | float):
            found[prefix + key] = value
        elif isinstance(value, Mapping):
            found.update(_numbers(value, f"{prefix}{key}."))
    return found


def spread(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each row number: its labels, and `[min, median, max]` of each figure."""
    entries = []
    for number in sorted({row["row"] for row in rows}):
        runs = [row for row in rows if row["row"] == number]
        labels = {key: runs[0][key] for key in _LABELS if key in runs[0]}
        numbers = [_numbers(run) for run in runs]
        figures = {}
        for key in numbers[0]:
            values = sorted(each[key] for each in numbers if key in each)
            figures[key] = [values[0], median(values), values[-1]]
        entries.append({**labels, "runs": len(runs), "figures": figures})
    return entries


def table(title: str, summary: Sequence[Mapping[str, Any]]) -> Table:
    """Figures down, rows across."""
    if any(entry["runs"] > 1 for entry in summary):
        title += ": minimum / median / maximum"
    out = Table(title=title, title_justify="left")
    out.add_column("figure")
    for entry in summary:
        labels = [f"{key}={value}" for key, value in entry.items() if key in _LABELS]
        runs = "1 run" if entry["runs"] == 1 else f"{entry['runs']} runs"
        out.add_column("\n".join([*labels, runs]), justify="right")
    names = list(dict.fromkeys(name for entry in summary for name in entry["figures"]))
    for name in names:
        cells = [_cell(entry["figures"].get(name)) for entry in summary]
        out.add_row(name, *cells)
    return out


def _cell(values: Sequence[float] | None) -> str:
    if values is None:
        return "-"
    texts = [f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}" for value in values]
    return texts[0] if len(set(texts)) == 1 else " / ".join(texts)

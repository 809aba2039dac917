"""SQL about `channel_runs`: which runs of three are in the texts of which centre code.

A search walks the channels in the order of codes, and this says where it can begin: at the first
centre code that has all of its runs. Rows are only ever added. What is changed or deleted leaves
its own behind, and then a walk begins too early, which costs some ms; it never begins too late.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from sqlalchemy import exists, func, select

from ..search_text import runs_of
from . import schema
from .dialect import among, each_of
from .repos_base import Tx

CENTRE_CHARS: Final = 8  # GB/T 28181: the first eight digits of a code, down to the street
_R = schema.channel_runs.c


async def add_runs(tx: Tx, rows: Iterable[Mapping[str, Any]]) -> None:
    """Of rows of `channel_search`, after which this has to be called."""
    known: dict[str, set[str]] = {}
    for row in rows:
        known.setdefault(row["code"][:CENTRE_CHARS], set()).update(runs_of(row["text"]))
    found = [f"{run}{centre}" for centre in sorted(known) for run in sorted(known[centre])]
    if not found:
        return
    each = each_of(found, postgresql_=tx.is_postgresql)
    run, centre = func.substr(each, 1, 3), func.substr(each, 4)
    # Nobody else writes meanwhile: the writer is alone.
    new = select(run, centre).distinct().where(~exists().where(_R.run == run, _R.centre == centre))
    await tx.run(schema.channel_runs.insert().from_select([_R.run, _R.centre], new))


async def centres_with(tx: Tx, runs: Collection[str], after: str) -> list[str]:
    """The centre codes that may have all of these runs, in order, from that of a code on."""
    rows = await tx.rows(
        select(_R.centre)
        .where(among(_R.run, runs, postgresql_=tx.is_postgresql), _R.centre >= after[:CENTRE_CHARS])
        .group_by(_R.centre)
        .having(func.count() == len(runs))
        .order_by(_R.centre)
    )
    return [row.centre for row in rows]

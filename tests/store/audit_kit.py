"""A chain over several days, and what somebody with the file in their hands does to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from camera_registry.audit import keeper as keeper_module
from camera_registry.audit.judge import Judge
from camera_registry.audit.keeper import AuditKeeper
from camera_registry.audit.keys import AuditKey
from camera_registry.audit.model import AuditVerification
from camera_registry.audit.roots import RootFiles
from camera_registry.domain import AuditEntry
from camera_registry.store import SqlStore, chain
from camera_registry.store.audit_sql import COLUMNS

from .conftest import Place

KEY = AuditKey(b"k" * 32)
OTHER_KEY = AuditKey(b"o" * 32)
T0 = datetime(2026, 11, 24, 1, tzinfo=UTC)  # nine in the morning in Shanghai
MAX_ROWS = 4


@dataclass
class Clock:
    now: datetime = T0

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **delta: float) -> None:
        self.now += timedelta(**delta)


@dataclass
class Log:
    """A store, its keeper, and the directory of roots."""

    store: SqlStore
    clock: Clock
    roots: RootFiles
    key: AuditKey = field(default=KEY)
    keep_days: int | None = None

    def keeper(self, key: AuditKey | None = None) -> AuditKeeper:
        return AuditKeeper(
            self.store, key or self.key, self.roots, keep_days=self.keep_days, now=self.clock
        )

    async def rows(self, count: int, act: str = "view_end", **detail: Any) -> None:
        for number in range(count):
            self.clock.forward(seconds=1)
            await self.store.append_audit(
                AuditEntry(
                    act=act,
                    outcome="ok",
                    subject_id="su_1",
                    subject_name="永顺",
                    channel_id=f"ch_{number}",
                    area_id="ar_1",
                    detail={"n": number, "purpose": "巡查", **detail},
                )
            )

    async def days(self, *counts: int) -> None:
        """So many rows on each of the days from now on, sealed and written as they end."""
        for count in counts:
            await self.rows(count)
            self.clock.forward(days=1)
            await self.keeper().keep()

    async def verify(self, roots: RootFiles | None = None) -> AuditVerification:
        keys = {KEY.key_id: KEY.public}
        return await self.store.verify_audit(Judge(keys, roots or self.roots))


def few_rows(patch: pytest.MonkeyPatch, clock: Clock) -> None:
    """Segments of a handful of rows, by the clock's days."""
    patch.setattr(keeper_module, "MAX_ROWS", MAX_ROWS)
    patch.setattr(chain, "utc_now", clock)


def rewritten(place: Place, change: Callable[[dict[str, Any]], None], from_seq: int) -> None:
    """Every row from there on anew, with right hashes and links, and the chain's end: what one can
    do who may write the file, and knows how.
    """
    names = ", ".join(COLUMNS)
    rows = place.execute(f"SELECT {names} FROM audit ORDER BY seq")
    prev_hash = chain.ZERO_HASH
    seq = 0
    for values in rows:
        row = dict(zip(COLUMNS, values, strict=True))
        seq = row["seq"]
        if seq >= from_seq:
            if seq == from_seq:
                change(row)
            row["prev_hash"] = prev_hash
            row["hash"] = chain.row_hash(row, row["detail"])
            sets = ", ".join(f"{name} = ?" for name in COLUMNS)
            place.execute(f"UPDATE audit SET {sets} WHERE seq = ?", *row.values(), seq)
        prev_hash = row["hash"]
    place.execute("UPDATE audit_head SET seq = ?, hash = ?", seq, prev_hash)


def root_lines(directory: Path) -> list[str]:
    return [
        line for path in sorted(directory.glob("*.jsonl")) for line in path.read_text().splitlines()
    ]

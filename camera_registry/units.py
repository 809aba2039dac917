"""The unit of work as the use cases see it: change, audit row and changes rows in one commit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

from .domain import Actor, AuditEntry, Basis, ChangeKind
from .errors import RightsChanged
from .feed import ChangeFeed
from .store.contract import Store, WriteTx

CATCH_UP_MS = 1_000  # how long a mutation waits for this process's caches to show it

# What a decision rests on, besides the credential that it was asked with.
_RIGHTS_REST_ON: Final = frozenset(
    {
        ChangeKind.GRANT,
        ChangeKind.ROLE,
        ChangeKind.SUBJECT,
        ChangeKind.AREA,
        ChangeKind.CHANNEL,
        ChangeKind.QUOTA,
        ChangeKind.EVERYTHING,
    }
)

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


async def touched_since(
    store: Store, seq: int, kinds: Collection[ChangeKind], object_id: str | None = None
) -> bool:
    """Whether anything of these kinds, or with this id, was committed after `seq`."""
    while changes := await store.changes_since(seq):
        if any(change.kind in kinds or change.object_id == object_id for change in changes):
            return True
        seq = changes[-1].seq
    return False


async def rights_changed_since(store: Store, basis: Basis) -> bool:
    """Whether anything was committed after `basis` by which it might be decided otherwise."""
    if basis.seq is None:
        return False
    return await touched_since(store, basis.seq, _RIGHTS_REST_ON, basis.credential_id)


class Unit:
    """One change by one actor."""

    def __init__(self, tx: WriteTx, by: Actor) -> None:
        self.tx = tx
        self.by = by

    async def record(
        self,
        act: str,
        *,
        channel_id: str | None = None,
        area_id: str | None = None,
        **detail: Any,
    ) -> None:
        """Appends the audit row of this change; `detail` holds JSON values, never a secret."""
        entry = self.entry(act, channel_id=channel_id, area_id=area_id, **detail)
        await self.tx.audit.append(entry)

    def entry(
        self,
        act: str,
        *,
        channel_id: str | None = None,
        area_id: str | None = None,
        **detail: Any,
    ) -> AuditEntry:
        """The same, to be appended with others."""
        return AuditEntry(
            act=act,
            outcome="ok",
            subject_id=self.by.subject_id,
            subject_name=self.by.subject_name,
            as_role=self.by.as_role,
            remote=self.by.remote,
            channel_id=channel_id,
            area_id=area_id,
            detail=detail,
        )


class Units:
    """Opens units; after the commit, waits until this process's followers have seen it."""

    def __init__(self, store: Store, feed: ChangeFeed | None) -> None:
        self._store = store
        self._feed = feed

    @asynccontextmanager
    async def begin(self, by: Actor) -> AsyncIterator[Unit]:
        """Raises RightsChanged where rights have changed since `by.basis`: whoever waited for the
        writer was perhaps revoked by the one before. Until the commit nobody else writes."""
        basis = by.basis
        async with self._store.write() as tx:
            if basis is not None and (
                basis.gives_way() or await rights_changed_since(self._store, basis)
            ):
                raise RightsChanged
            yield Unit(tx, by)
        if self._feed is not None and tx.last_change_seq is not None:
            await self._feed.wait_caught_up(tx.last_change_seq, CATCH_UP_MS)

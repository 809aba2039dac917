"""What a kind of database must give, so that one `SqlStore` runs on each; and what holds for all.

Where the kinds differ in SQL itself: `dialect.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ..domain import AuditEntry, AuditRow
from ..errors import StoreError

BUSY_TIMEOUT_MS: Final = 5_000  # a CLI's write takes milliseconds; beyond this something hangs
READERS: Final = 4  # connections; list requests take about 2 ms
READER_WAIT_S: Final = 10


class AuditWriter(Protocol):
    """Appends to the chain on a connection of its own. The caller holds the store's write lock."""

    async def append(self, entries: Sequence[AuditEntry]) -> list[AuditRow]:
        """Durable when it returns. When it raises a driver's error, nothing was written, or the
        connection went while the answer was on its way and nobody can say.
        """
        ...

    async def close(self) -> None: ...


class Database(Protocol):
    """One database, opened: SQLite's file or PostgreSQL's."""

    @property
    def where(self) -> str:
        """The place, for sentences; never a password."""
        ...

    @property
    def writer(self) -> AsyncEngine:
        """One connection. Its transactions are alone among processes from where they begin."""
        ...

    @property
    def readers(self) -> AsyncEngine:
        """A few connections. Each transaction is one snapshot, and can't write."""
        ...

    @property
    def audit(self) -> AuditWriter: ...

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What the driver raises when the database can't do it now: for `failure`."""
        ...

    async def prepare(self) -> None:
        """Makes what must be there before the first table. Raises StoreError."""
        ...

    async def announce(self, connection: AsyncConnection) -> None:
        """Last in a unit of work that wrote changes: tells the other processes of its commit."""
        ...

    def follow(self, heard: Callable[[int], None]) -> None:
        """From now on `heard` is called in the loop with the newest changes seq soon after any
        process announced a commit, where the database carries such news. The first call counts.
        """
        ...

    async def version(self) -> int:
        """`contract.Store.data_version`."""
        ...

    def failure(self, error: BaseException) -> StoreError:
        """One of `errors` as a sentence."""
        ...

    async def close(self) -> None: ...

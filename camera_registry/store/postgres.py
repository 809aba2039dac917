"""The registry in a PostgreSQL database, by psycopg: connections, and who writes.

The writer is alone among processes by an advisory lock, taken first in each of its transactions:
PostgreSQL itself would let several append to the audit chain at once. A commit that wrote changes
tells the other processes by NOTIFY, which PostgreSQL sends with the commit or not at all.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.string import StrDumperUnknown
from sqlalchemy import event, pool, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ..errors import StoreBusy, StoreError, StoreUnavailable, StoreUnfit
from ..secret import Secret
from . import database
from .database import READER_WAIT_S, READERS
from .postgres_audit import PostgresAuditWriter
from .postgres_listen import CHANNEL, Listener

WRITE_LOCK: Final = 0x73747265616D68  # "streamh"; one number per database, for this alone
TAKE_LOCK: Final = f"SELECT pg_advisory_xact_lock({WRITE_LOCK})"
SCHEME: Final = "postgresql://"

# What the URL does not say itself.
_PARAMETERS: Final = {
    "application_name": "streamhub",
    "client_encoding": "UTF8",
    "connect_timeout": 5,
    # A server that is gone without a word is noticed within half a minute, idle or asked.
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_LISTENER: Final = "SET application_name = 'streamhub listener'"
_READER: Final = (
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
)
# Lost without a word a client keeps its lock as long as the server believes in it.
_WRITER: Final = """
    SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
    SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off'"""
_FITNESS: Final = text("""
    SELECT current_setting('server_encoding') AS encoding,
           array_agg(word ORDER BY word) = array_agg(word ORDER BY word COLLATE "C") AS in_order
    FROM unnest(ARRAY['a', 'B', 'b', '_', 'é', 'z', '中', '阿']) AS word""")

_FACTS: Final = text("""
    SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync""")


class _PlainText(StrDumperUnknown):
    """A text with NUL is nowhere in PostgreSQL: whoever asks for one finds nothing."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\x00", "\N{REPLACEMENT CHARACTER}"))


class Address:
    """A ``postgresql://`` URL, checked. `where` is what of it may be shown."""

    def __init__(self, url: Secret) -> None:
        parameters: dict[str, Any] = {}
        if url.reveal().startswith(SCHEME):
            with contextlib.suppress(psycopg.ProgrammingError):  # its words may hold the password
                parameters = conninfo_to_dict(url.reveal())
        if not parameters.get("dbname"):
            raise StoreUnfit(
                "The registry's URL can't be read; write it as postgresql://user:password@host:5432"
                "/database, with special characters of the password as %XX."
            )
        host, name = parameters.get("host") or "localhost", parameters["dbname"]
        port = f":{parameters['port']}" if "port" in parameters else ""
        self.where = (
            f"postgresql:///{name}?host={host}"
            if host[0] == "/"
            else f"postgresql://{host}{port}/{name}"
        )
        self._url = url

    async def connect(
        self, session: str = "", *, autocommit: bool = True
    ) -> psycopg.AsyncConnection[Any]:
        """A connection on which `session` was run. Raises psycopg.Error."""
        parameters: dict[str, Any] = _PARAMETERS | conninfo_to_dict(self._url.reveal())
        connection = await psycopg.AsyncConnection.connect(**parameters, autocommit=True)
        try:
            connection.adapters.register_dumper(str, _PlainText)
            if session:
                await connection.execute(session)
            await connection.set_autocommit(autocommit)
        except BaseException:  # cancelled, too
            await connection.close()
            raise
        return connection


class PostgresDatabase:
    """Implements `store.database.Database` on one PostgreSQL database."""

    errors = (
        psycopg.OperationalError,
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.ReadOnlySqlTransaction,  # a standby
    )

    def __init__(self, url: Secret) -> None:
        address = Address(url)
        self.where = address.where
        self.writer = _engine(address, writer=True)
        self.readers = _engine(address, writer=False)
        self.audit = PostgresAuditWriter(lambda: address.connect(_writer_session()), TAKE_LOCK)
        self._listener = Listener(lambda: address.connect(_LISTENER))

    async def prepare(self) -> None:
        """Raises StoreUnavailable, StoreUnfit."""
        try:
            async with self.readers.connect() as connection:
                found = (await connection.execute(_FITNESS)).one()
        except OperationalError as error:
            raise self.failure(error.orig or error) from error
        if found.encoding != "UTF8" or not found.in_order:
            raise StoreUnfit(
                f"The database at {self.where} sorts or holds text in another way than a registry "
                "needs; make one by: CREATE DATABASE streamhub TEMPLATE template0 ENCODING 'UTF8' "
                "LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"
            )

    async def announce(self, connection: AsyncConnection) -> None:
        await connection.exec_driver_sql(f"NOTIFY {CHANNEL}")

    def follow(self, heard: Callable[[int], None]) -> None:
        self._listener.start(heard)

    async def version(self) -> int:
        return self._listener.version()

    def failure(self, error: BaseException) -> StoreError:
        if isinstance(error, psycopg.errors.LockNotAvailable):
            return StoreBusy(
                f"Another process has held the registry at {self.where} for over "
                f"{database.BUSY_TIMEOUT_MS // 1000} s; try again, or look for a command that "
                "hangs."
            )
        reason = str(error).partition("\n")[0].rstrip(".")
        state = getattr(error, "sqlstate", None)
        # Without a state the words are the driver's own: it has no connection, or lost it.
        if state is None or state.startswith(("08", "57P")):
            return StoreUnavailable(
                f"The registry at {self.where} does not answer: {reason}. See whether PostgreSQL "
                "runs, and whether the setting registry.url is right."
            )
        return StoreError(f"The registry at {self.where} could not be asked: {reason}.")

    async def close(self) -> None:
        await self._listener.stop()
        await self.audit.close()
        await self.readers.dispose()
        await self.writer.dispose()


def _writer_session() -> str:
    return f"SET lock_timeout = {database.BUSY_TIMEOUT_MS}; {_WRITER}"


def _engine(address: Address, *, writer: bool) -> AsyncEngine:
    async def connect() -> psycopg.AsyncConnection[Any]:
        return await address.connect(_writer_session() if writer else _READER, autocommit=False)

    engine = create_async_engine(
        "postgresql+psycopg://",
        async_creator=connect,
        poolclass=pool.AsyncAdaptedQueuePool,
        pool_size=1 if writer else READERS,
        max_overflow=0,
        pool_timeout=READER_WAIT_S,
        pool_pre_ping=True,  # else each connection fails once after the server was started anew
        hide_parameters=True,  # password hashes are among them
    )
    if writer:

        @event.listens_for(engine.sync_engine, "begin")
        def _on_begin(connection: Connection) -> None:
            connection.exec_driver_sql(TAKE_LOCK)

    return engine


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What `examine` found."""

    where: str
    version: str
    fsync: bool  # False: what was committed may be lost in a power cut
    round_trip_ms: float  # the best of a few


async def examine(url: Secret) -> ServerFacts:
    """Asks the server at `url`, changing nothing. Raises StoreUnfit, StoreUnavailable."""
    server = PostgresDatabase(url)
    try:
        await server.prepare()
        async with server.readers.connect() as connection:
            found = (await connection.execute(_FACTS)).one()
            trips_s = []
            for _ in range(5):
                began = time.perf_counter()
                await connection.execute(text("SELECT 1"))
                trips_s.append(time.perf_counter() - began)
    finally:
        await server.close()
    version = found.version.partition(" ")[0]
    return ServerFacts(server.where, version, found.fsync == "on", min(trips_s) * 1000)


if TYPE_CHECKING:
    from .database import Database

    _conforms: type[Database] = PostgresDatabase

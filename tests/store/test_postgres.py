"""PostgreSQL's own hazards: connections that are cut, a server that goes and comes back."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import tempfile
import time
import traceback
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from camera_registry.domain import AuditEntry, Change, Subject, SubjectKind, new_id
from camera_registry.errors import StoreError, StoreUnavailable, StoreUnfit
from camera_registry.feed import ChangeFeed
from camera_registry.secret import Secret
from camera_registry.store import SqlStore, open_store, postgres_listen
from support.district import eventually
from support.patience import PATIENCE_S
from support.postgres import SCRIPT, Cluster

from .conftest import Place, Spawn

LISTENER = "streamhub listener"
PATIENCE_MS = PATIENCE_S * 1000


@pytest.fixture
def at(postgres: Cluster) -> Iterator[Secret]:
    url = postgres.fresh()
    yield url
    postgres.drop(url)


@pytest.fixture
async def store(at: Secret) -> AsyncIterator[SqlStore]:
    store = await open_store(at)
    yield store
    await store.close()


class Seen:
    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.at: dict[int, float] = {}

    async def __call__(self, batch: Sequence[Change]) -> None:
        for change in batch:
            self.seqs.append(change.seq)
            self.at[change.seq] = time.monotonic()


async def add_subject(store: SqlStore, username: str) -> int:
    async with store.write() as tx:
        await tx.subjects.add(Subject(new_id("su"), username, username, SubjectKind.PERSON))
    assert tx.last_change_seq is not None
    return tx.last_change_seq


def database_of(url: Secret) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(url.reveal())["dbname"])


def cut(postgres: Cluster, url: Secret, name: str = "%") -> int:
    """Ends the server's side of connections; how many."""
    rows = postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = %s AND application_name LIKE %s",
        database_of(url),
        name,
    )
    return len(rows)


def listeners(postgres: Cluster, url: Secret) -> int:
    [(count,)] = postgres.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name = %s"
        " AND state = 'idle'",
        database_of(url),
        LISTENER,
    )
    return int(count)


async def test_another_processs_commit_is_heard_of_without_a_poll(
    postgres: Cluster, at: Secret, store: SqlStore, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_listen, "LOOK_S", 600.0)
    feed = ChangeFeed(store, poll_ms=600_000)
    await feed.start()
    seen = Seen()
    feed.subscribe(seen, since=0)
    await eventually("somebody listens", lambda: listeners(postgres, at) == 1)
    assert await asyncio.to_thread(spawn(Place(at), "subjects", "1", "child").wait) == 0
    assert await feed.wait_caught_up(1, timeout_ms=PATIENCE_MS)
    other = await open_store(at)  # as another process: it shares nothing but the server
    delays = []
    for number in range(20):
        seq = await add_subject(other, f"user{number}")
        committed = time.monotonic()
        assert await feed.wait_caught_up(seq, timeout_ms=PATIENCE_MS)
        delays.append((seen.at[seq] - committed) * 1000)
    delays.sort()
    print(f"\nheard {delays[10]:.1f} ms after the commit (p50), at most {delays[-1]:.1f} ms")
    await other.close()
    await feed.stop()


async def test_the_feed_goes_on_when_its_connection_is_cut_and_loses_nothing(
    postgres: Cluster, at: Secret, store: SqlStore, spawn: Spawn
) -> None:
    feed = ChangeFeed(store)
    await feed.start()
    seen = Seen()
    feed.subscribe(seen, since=0)
    await eventually("somebody listens", lambda: listeners(postgres, at) == 1)
    child = spawn(Place(at), "subjects", "150", "child")
    cuts = 0
    while child.poll() is None:
        cuts += cut(postgres, at, LISTENER)
        await asyncio.sleep(0.02)
    assert child.returncode == 0
    assert cuts > 0
    assert await feed.wait_caught_up(150, timeout_ms=PATIENCE_MS)
    assert seen.seqs == list(range(1, 151))
    await eventually("somebody listens again", lambda: listeners(postgres, at) == 1)
    await feed.stop()


async def test_while_nobody_can_listen_the_poll_finds_what_came(
    at: Secret, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused() -> psycopg.AsyncConnection[object]:
        raise psycopg.OperationalError("too many connections")

    monkeypatch.setattr(store._database._listener, "_connect", refused)  # type: ignore[attr-defined]
    feed = ChangeFeed(store, poll_ms=20)
    await feed.start()
    seen = Seen()
    feed.subscribe(seen, since=0)
    other = await open_store(at)
    for number in range(3):
        seq = await add_subject(other, f"user{number}")
        assert await feed.wait_caught_up(seq, timeout_ms=PATIENCE_MS)
    assert seen.seqs == [1, 2, 3]
    await other.close()
    await feed.stop()


async def test_connections_that_were_cut_while_idle_are_not_noticed(
    postgres: Cluster, at: Secret, store: SqlStore
) -> None:
    await store.append_audit(AuditEntry("before", "ok"))
    await add_subject(store, "ada")
    assert cut(postgres, at) >= 3  # who reads, who writes, who writes audit rows
    assert (await store.append_audit(AuditEntry("after", "ok"))).seq == 2
    await add_subject(store, "bob")
    async with store.read() as tx:
        assert [who.username for who in await tx.subjects.all()] == ["ada", "bob"]
    assert (await store.verify_audit()).rows_checked == 2


async def test_a_unit_of_work_that_is_cut_leaves_nothing(
    postgres: Cluster, at: Secret, store: SqlStore
) -> None:
    async def half() -> None:
        async with store.write() as tx:
            await tx.subjects.add(Subject(new_id("su"), "half", "half", SubjectKind.PERSON))
            await tx.audit.append(AuditEntry("half", "ok"))
            assert cut(postgres, at) > 0
            await tx.subjects.all()

    with pytest.raises(StoreUnavailable, match="does not answer"):
        await half()
    await add_subject(store, "ada")
    async with store.read() as tx:
        assert [who.username for who in await tx.subjects.all()] == ["ada"]
    assert (await store.verify_audit()).rows_checked == 0


async def test_a_server_that_goes_and_comes_back_is_followed_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def server(action: str) -> str:
        done = subprocess.run([SCRIPT, action, folder], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    with tempfile.TemporaryDirectory(prefix="streamhub-pg-") as folder:
        at = Secret(server("start"))
        store = await open_store(at)
        feed = ChangeFeed(store, poll_ms=20)
        await feed.start()
        seen = Seen()
        feed.subscribe(seen, since=0)
        assert await feed.wait_caught_up(await add_subject(store, "ada"), timeout_ms=PATIENCE_MS)
        await asyncio.to_thread(server, "stop")
        with pytest.raises(StoreUnavailable, match="See whether PostgreSQL runs"):
            await add_subject(store, "nobody")
        with pytest.raises(StoreUnavailable):
            await store.append_audit(AuditEntry("nobody", "ok"))
        with pytest.raises(StoreUnavailable):
            await store.latest_change_seq()
        await eventually("the feed says so", lambda: "could not be read" in caplog.text)
        await eventually("and for how long", lambda: feed.deaf_s > 0.3)
        assert Secret(await asyncio.to_thread(server, "start")) == at
        other = await open_store(at)
        seq = await add_subject(other, "bob")
        assert await feed.wait_caught_up(seq, timeout_ms=PATIENCE_MS)
        assert len(seen.seqs) == 2
        await eventually("it hears again", lambda: feed.deaf_s < 0.3)
        said = [r for r in caplog.records if r.name == "camera_registry.feed"]
        assert [r.levelno for r in said] == [logging.ERROR]  # once, however long it was away
        await other.close()
        await feed.stop()
        await store.close()
        await asyncio.to_thread(server, "stop")


@pytest.mark.parametrize(
    "url",
    [
        "mysql://ops:s3cret@127.0.0.1/registry",
        "postgresql://ops:s3cret@127.0.0.1",
        "postgresql://ops:s3cret@127.0.0.1:5432/registry?no_such=1",
        "postgresql://ops:s3cret@[::1/registry",
        "postgresql://ops:s3%zzcret@127.0.0.1/registry",
    ],
)
async def test_a_url_that_is_none_is_said_without_its_password(url: str) -> None:
    with pytest.raises(StoreUnfit, match="write it as postgresql://") as caught:
        await open_store(Secret(url))
    assert "s3" not in "".join(traceback.format_exception(caught.value))


async def test_a_server_that_is_not_there_is_said_without_the_password() -> None:
    url = Secret("postgresql://ops:s3cret@127.0.0.1:1/registry?connect_timeout=2")
    with pytest.raises(StoreUnavailable) as caught:
        await open_store(url)
    assert "postgresql://127.0.0.1:1/registry does not answer" in str(caught.value)
    assert "s3" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "how",
    [
        "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
        "ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'",
    ],
)
async def test_a_database_that_sorts_otherwise_is_refused_with_how_to_make_one(
    postgres: Cluster, how: str
) -> None:
    postgres.execute(f"CREATE DATABASE unfit TEMPLATE template0 {how}")
    url = Secret(str(postgres.url).replace("/registry?", "/unfit?"))
    with pytest.raises(StoreUnfit, match="CREATE DATABASE streamhub TEMPLATE template0"):
        await open_store(url)
    postgres.drop(url)


async def test_commits_are_durable_where_the_server_would_not_have_them_so(
    postgres: Cluster, at: Secret
) -> None:
    postgres.execute(f"ALTER DATABASE {database_of(at)} SET synchronous_commit = off")
    store = await open_store(at)
    async with store.write() as tx:
        row = await tx._tx.one(text("SHOW synchronous_commit"))
    assert row is not None
    assert row.synchronous_commit == "on"
    await store.append_audit(AuditEntry("x", "ok"))
    [audit] = [store._database.audit._connection]  # type: ignore[attr-defined]
    assert await (await audit.execute("SHOW synchronous_commit")).fetchone() == ("on",)
    await store.close()


async def test_a_chain_written_on_sqlite_is_whole_on_postgresql(
    at: Secret, store: SqlStore, tmp_path: Path
) -> None:
    file = Place(tmp_path / "registry.db")
    first = await open_store(file.at)
    for number in range(20):
        detail = {"名": "永顺\0\u2028", "n": number / 3, "big": 2**53 + number, "no": None}
        await first.append_audit(AuditEntry("view_start", "ok", subject_name="a\0b", detail=detail))
    verified = await first.verify_audit()
    await first.close()
    for table in ("audit", "audit_head"):
        for row in file.execute(f"SELECT * FROM {table}"):
            Place(at).execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", *row)
    assert await store.verify_audit() == verified
    assert verified.rows_checked == 20
    # And it goes on there.
    await store.append_audit(AuditEntry("view_end", "ok"))
    assert (await store.verify_audit()).rows_checked == 21


async def test_a_schema_it_may_not_make_is_a_sentence(postgres: Cluster) -> None:
    url = postgres.empty()
    postgres.execute("CREATE ROLE guest LOGIN")
    guest = Secret(url.reveal().replace("streamhub@", "guest@"))
    with pytest.raises(StoreError, match="permission denied"):
        await open_store(guest)
    postgres.drop(url)
    postgres.execute("DROP ROLE guest")

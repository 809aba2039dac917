"""`kill`: the service is killed (SIGKILL) at a random moment, and the registry looked at.

Nothing that was answered may be lost, no change be half there, the chain of the audit must hold,
and the service start again, on the same data, for the next run.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

from camera_registry.domain import ChangeKind, ChangeOp
from camera_registry.secret import Secret
from camera_registry.store import SqlStore, open_store

from .district import START_TIMEOUT_S, Service, Workshop, free_port
from .kill_work import Work, Workers
from .registry_server import running_server

URL_ENV: Final = "STREAMHUB_REGISTRY__URL"
# From when all kinds of work have been answered.
LATEST_S: Final = 1.5
ROWS: Final = 5_000

Row = dict[str, Any]


@contextmanager
def killing(
    workshop: Workshop, seed: int, *, postgresql: bool, say: Callable[[str], None]
) -> Iterator[Callable[[], Row]]:
    """A district whose service each call kills once: a row with what was going on, and `wrong`,
    sentences of what does not hold. At the end it starts and stops once more, and
    `streamhub audit verify` is asked."""
    with _registry(postgresql, say) as url:
        data_dir = workshop.seeded()
        place = data_dir / "registry.db" if url is None else url
        environment = {"STREAMHUB_MEDIA__SHARDS": "1"}
        rng = random.Random(seed)  # noqa: S311  (a moment, no secret)
        runs, numbers = count(), count()

        def row() -> Row:
            number = next(runs)
            environment["STREAMHUB_RTSP__LISTEN"] = f"127.0.0.1:{free_port()}"
            before = asyncio.run(_Before.read(place))
            began = time.perf_counter()
            with workshop.service_on(data_dir, environment) as service:
                started_s = time.perf_counter() - began
                with Workers(workshop, service, seed * 1_000 + number, numbers) as workers:
                    workers.wait_busy(START_TIMEOUT_S)
                    moment_s = rng.random() * LATEST_S
                    time.sleep(moment_s)
                    os.kill(service.pid, signal.SIGKILL)
            found = asyncio.run(_Found.read(place, before, workers.work))
            return {
                "store": "sqlite" if url is None else "postgresql",
                "started_s": round(started_s, 2),
                "killed_after_s": round(moment_s, 3),
                **found.figures(),
                "wrong": found.wrong,
            }

        with workshop.farm():
            yield row
            with workshop.service_on(data_dir, environment) as service:
                _answers(service)
        _verify(data_dir)


@contextmanager
def _registry(postgresql: bool, say: Callable[[str], None]) -> Iterator[Secret | None]:
    """Where it is, for us and for the children; None: a file of the data directory."""
    if not postgresql:
        yield None
        return
    with (
        tempfile.TemporaryDirectory(prefix="streamhub-bench-") as folder,
        running_server(Path(folder), say) as server,
    ):
        os.environ[URL_ENV] = server.url.reveal()
        try:
            yield server.url
        finally:
            del os.environ[URL_ENV]


def _answers(service: Service) -> None:
    service.get("/api/v1/grants", limit=1)


def _verify(data_dir: Path) -> None:
    words = [sys.executable, "-m", "streamhub.cli", "audit", "verify", "--json"]
    subprocess.run(  # noqa: S603
        words,
        env={**os.environ, "STREAMHUB_DATA_DIR": str(data_dir)},
        check=True,
        stdout=subprocess.DEVNULL,
    )


@dataclass(frozen=True)
class _Before:
    """Where the registry stood before a run."""

    audit_seq: int
    change_seq: int
    grants: int

    @classmethod
    async def read(cls, place: Path | Secret) -> _Before:
        store = await open_store(place)
        try:
            async with store.read() as tx:
                audit_seq, _ = await tx.audit.head()
                return cls(audit_seq, await tx.change_seq(), await _all_grants(tx))
        finally:
            await store.close()


@dataclass
class _Found:
    """What a run left, held against what was asked for."""

    work: Work
    wrong: list[str] = field(default_factory=list)
    unanswered_done: int = 0
    audit_rows: int = 0

    @classmethod
    async def read(cls, place: Path | Secret, before: _Before, work: Work) -> _Found:
        found = cls(work)
        if isinstance(place, Path):
            found._check_file(place)
        store = await open_store(place)
        try:
            await found._check(store, before)
        finally:
            await store.close()
        return found

    def figures(self) -> Row:
        answered = [each for each in self.work.changes if each.answered]
        return {
            "changes_answered": len(answered),
            "changes_unanswered": len(self.work.changes) - len(answered),
            # Committed, but the answer did not come any more.
            "unanswered_done": self.unanswered_done,
            "grants_made": sum(each.made for each in answered),
            "grants_revoked": sum(len(each.revoked) for each in answered),
            "views_playing": sum(self.work.views.values()),
            "views_by_whep": self.work.views["whep"],
            "audit_rows": self.audit_rows,
        }

    def _say(self, sentence: str) -> None:
        self.wrong.append(sentence)

    def _check_file(self, path: Path) -> None:
        with sqlite3.connect(path) as connection:
            if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                self._say("The file is damaged.")
            if connection.execute("PRAGMA foreign_key_check").fetchall():
                self._say("A row refers to one that is not there.")
        connection.close()

    async def _check(self, store: SqlStore, before: _Before) -> None:
        verified = await store.verify_audit()
        for fault in verified.faults:
            self._say(f"The audit, row {fault.seq}: {fault.sentence}")
        rows = await _audit_since(store, before.audit_seq)
        self.audit_rows = len(rows)
        made = {d["id"]: d["valid_until"] for act, d in rows if act == "grant_create"}
        revoked = Counter(d["id"] for act, d in rows if act == "grant_revoke")
        async with store.read() as tx:
            grants = {each.id: each for each in await tx.grants.by_ids({*made, *revoked})}
            if await _all_grants(tx) != before.grants + len(made):
                self._say("There are grants without an audit row, or rows without their grant.")
        if {*made, *revoked} - grants.keys():
            self._say("A grant has an audit row and is not there.")
        for grant_id, times in revoked.items():
            grant = grants.get(grant_id)
            if times != 1 or (grant is not None and grant.revoked_at is None):
                self._say(f"{grant_id} has {times} rows of a revocation.")
        if any(grants[each].revoked_at and each not in revoked for each in grants):
            self._say("A grant is revoked without an audit row.")
        told = {
            (each.object_id, each.op)
            for each in await _changes_since(store, before.change_seq)
            if each.kind is ChangeKind.GRANT
        }
        wanted = {(each, ChangeOp.CREATED) for each in made}
        wanted |= {(each, ChangeOp.UPDATED) for each in revoked}
        if told != wanted:
            self._say("The feed does not tell of the grants that were changed.")
        self._check_changes(made, revoked)
        self.wrong += self.work.refused
        started = [detail for act, detail in rows if act == "view_start"]
        by_ticket = sum(each.get("ticket_id") == self.work.ticket_id for each in started)
        written = {"rtsp": by_ticket, "whep": sum("ticket_id" not in each for each in started)}
        for door, played in self.work.views.items():
            if written[door] < played:
                self._say(f"{played} views by {door} played, {written[door]} are written down.")

    def _check_changes(self, made: dict[str, str], revoked: Counter[str]) -> None:
        by_mark = Counter(made.values())
        for change in self.work.changes:
            done = by_mark.pop(change.mark, 0)
            gone = sum(each in revoked for each in change.revoked)
            whole = (done, gone) == (change.made, len(change.revoked))
            if change.answered and not (whole and made.keys() >= set(change.ids)):
                self._say(f"An answered change is lost: {done} of {change.made} made.")
            elif not whole and (done or gone):
                self._say(f"Half a change: {done} of {change.made} made, {gone} revoked.")
            self.unanswered_done += whole and not change.answered
        if by_mark:
            self._say("Grants are there that nobody asked for.")


async def _all_grants(tx: Any) -> int:
    page = await tx.grants.page(include_revoked=True, limit=1, cursor=None)
    return int(page.total)


async def _audit_since(store: SqlStore, seq: int) -> list[tuple[str, dict[str, Any]]]:
    """(act, detail) of each row."""
    found: list[tuple[str, dict[str, Any]]] = []
    async with store.read() as tx:
        while rows := await tx.audit.stored(after=seq, limit=ROWS):
            found += [(row.act, json.loads(row.detail)) for row in rows]
            seq = rows[-1].seq
    return found


async def _changes_since(store: SqlStore, seq: int) -> list[Any]:
    found = []
    while batch := await store.changes_since(seq):
        found += batch
        seq = batch[-1].seq
    return found

"""One throw-away PostgreSQL for a whole run, with a fresh database for whoever asks."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import disk_usage
from typing import Any
from urllib.parse import urlsplit

import psycopg

from camera_registry.secret import Secret
from camera_registry.store import open_store

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "postgres"
# The URL of a cluster that is there already (scripts/postgres start DIR): for measuring on one.
GIVEN = "STREAMHUB_TEST_POSTGRES"
MEMORY = Path("/dev/shm")
NEEDED_BYTES = 512 << 20  # the cluster, its log of changes and a few databases


class Cluster:
    """A running server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._numbers = itertools.count()
        self._admin = psycopg.connect(url, autocommit=True)
        self._template: str | None = None

    def empty(self) -> Secret:
        """The URL of a database without any table."""
        return self._create("template1")

    def fresh(self) -> Secret:
        """The URL of a registry without anything in it; a copy, as migrating takes longer."""
        if self._template is None:
            url = self.empty()
            asyncio.run(_migrate(url))
            self._template = _name(url)
        return self._create(self._template)

    def drop(self, url: Secret) -> None:
        """Whoever is still connected to it is thrown out."""
        self._admin.execute(f"DROP DATABASE {_name(url)} WITH (FORCE)")

    def execute(self, statement: str, *values: Any) -> list[Any]:
        """Run on the cluster's own database; the rows, if any."""
        cursor = self._admin.execute(statement, values)
        return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        if self._template is not None:
            self._admin.execute(f"DROP DATABASE {self._template}")
        self._admin.close()

    def _create(self, template: str) -> Secret:
        name = f"t{os.getpid()}_{next(self._numbers)}"
        self._admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return Secret(urlsplit(self.url)._replace(path=f"/{name}").geturl())


def _name(url: Secret) -> str:
    return urlsplit(url.reveal()).path[1:]


async def _migrate(url: Secret) -> None:
    await (await open_store(url)).close()


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    given = os.environ.get(GIVEN)
    if given:
        cluster = Cluster(given)
        yield cluster
        cluster.close()
        return
    # Not pytest's own folder: the server runs as another user, who can't go through that. In
    # memory a database is made in 8 ms, on a busy disk in 130.
    memory = MEMORY if MEMORY.is_dir() and disk_usage(MEMORY).free > NEEDED_BYTES else None
    with tempfile.TemporaryDirectory(prefix="streamhub-pg-", dir=memory) as folder:
        started = subprocess.run([SCRIPT, "start", folder], capture_output=True, text=True)
        assert started.returncode == 0, started.stderr
        try:
            cluster = Cluster(started.stdout.strip())
            try:
                yield cluster
            finally:
                cluster.close()
        finally:
            subprocess.run([SCRIPT, "stop", folder], check=True)

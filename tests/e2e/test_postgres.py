"""A district whose registry is on PostgreSQL: seeded, signed in to, watched, revoked, verified."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from camera_registry.domain import Actor
from camera_registry.people import People
from camera_registry.secret import Secret
from camera_registry.store import open_store
from support.district import Farm, Service, running_service, seed_template
from support.patience import HeldUp
from support.postgres import Cluster
from support.watching import PATIENCE_S, channels_of, ended_views, watched

URL_ENV = "STREAMHUB_REGISTRY__URL"
PASSWORD = "pg-s3cret"  # taken for the grep: the tests' cluster asks nobody for one
LIMIT_S = 1.0  # from the commit of a revocation to the last packet


@pytest.fixture
def url(postgres: Cluster) -> Iterator[Secret]:
    there = postgres.empty()
    yield Secret(there.reveal().replace("streamhub@", f"streamhub:{PASSWORD}@"))
    postgres.drop(there)


@pytest.fixture
def service(
    farm: Farm, template: Path, url: Secret, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    shutil.copy(template / "farm.password", data_dir)
    monkeypatch.setenv(URL_ENV, url.reveal())
    seed_template(data_dir, farm.port)
    with running_service(data_dir) as service:
        yield service


def backends(postgres: Cluster, database: str) -> list[int]:
    """Pids of the processes that serve its connections."""
    rows = postgres.execute("SELECT pid FROM pg_stat_activity WHERE datname = %s", database)
    return [pid for (pid,) in rows]


async def revoke(url: Secret, username: str) -> float:
    """As another process does it: past the service, in the database. The monotonic time when it
    was committed.
    """
    store = await open_store(url)
    try:
        async with store.read() as tx:
            subject = await tx.subjects.by_username(username)
            assert subject is not None
            page = await tx.grants.page(subject_id=subject.id, limit=9, cursor=None)
        [grant] = page.items
        await People(store).revoke_grant(grant.id, Actor(None, "local:test", "127.0.0.1"))
        return time.monotonic()
    finally:
        await store.close()


async def test_the_district_lives_on_postgresql(
    service: Service, url: Secret, postgres: Cluster
) -> None:
    assert not (service.data_dir / "registry.db").exists()
    async with service.client("yongshun") as client, service.client("admin") as admin:
        everything = await admin.get("/api/v1/channels", params={"limit": 1})
        own = await client.get("/api/v1/channels", params={"limit": 1})
        assert everything.json()["total"] == 3_000
        assert 0 < own.json()["total"] < 3_000
        ids = [channel["id"] for channel in await channels_of(client, 2)]

        # Every connection of the service is cut: nobody notices.
        name = url.reveal().partition("?")[0].rpartition("/")[2]
        cut = postgres.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", name
        )
        assert len(cut) >= 3
        async with watched(client, ids, decode=False) as viewers:
            held_up = HeldUp(*service.pids, *backends(postgres, name))
            committed = await revoke(url, "yongshun")
            for viewer in viewers:
                await viewer.wait_goodbye(PATIENCE_S)
            last = max(viewer.packets[-1].at for viewer in viewers)
            print(f"last packet {(last - committed) * 1000:.0f} ms after another process's commit")
            assert last - committed < LIMIT_S + held_up.seconds()
        gone = await client.get(f"/api/v1/channels/{ids[0]}")
        assert gone.status_code == 404
        ends = await ended_views(admin, 2)
        assert [row["detail"]["cause"] for row in ends] == ["revoked"] * 2

    verified = json.loads(service.cli("audit", "verify", "--json").stdout)
    assert verified["ok"]
    assert verified["rows_checked"] > 4
    found = service.cli("doctor", "--json").stdout
    assert "PostgreSQL" in found
    assert service.stop() < 3.0
    # Without the service a command goes to the database itself.
    assert len(json.loads(service.cli("grant", "list", "--json").stdout)) > 0
    for said in (service.log_path.read_text(), found):
        assert PASSWORD not in said
        assert "Traceback" not in said


async def test_without_its_database_a_service_says_so_and_leaves(tmp_path: Path) -> None:
    away = f"postgresql://ops:{PASSWORD}@127.0.0.1:1/registry"
    service = Service(tmp_path, environment={URL_ENV: away})
    for command in (("serve",), ("grant", "list"), ("audit", "verify")):
        done = service.cli(*command, check=False)
        assert done.returncode == 1, done.stderr
        assert "does not answer" in done.stderr
        assert "See whether PostgreSQL runs" in " ".join(done.stderr.split())
        assert PASSWORD not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr

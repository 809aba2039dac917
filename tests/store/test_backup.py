"""A backup while the registry is in use, and back again; what is damaged or wrong is refused."""

from __future__ import annotations

import asyncio
import io
import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from camera_registry import backup_file
from camera_registry.backup import DataFiles, Restored, make_backup, restore_backup
from camera_registry.backup_file import CHUNK_BYTES, BackupReader, BackupWriter
from camera_registry.domain import Actor, AuditEntry
from camera_registry.drafts import AreaDraft, DeviceDraft
from camera_registry.errors import (
    BackupDamaged,
    BackupError,
    BackupRefused,
    PassphraseWrong,
    SchemaTooNew,
)
from camera_registry.secret import Secret
from camera_registry.service import Registry
from camera_registry.store import AuditQuery, SqlStore, open_store
from camera_registry.store.backup import snapshot
from camera_registry.store.migrate import HEAD
from camera_registry.vault import Vault, open_vault

from .conftest import Place

WORD = Secret("correct horse battery staple")
PASSWORD = Secret("cameras-own-w0rd")


@pytest.fixture
def place(db_path: Path) -> Place:
    """A file: another database is backed up by its own means."""
    return Place(db_path)


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """argon2id's memory is not what is tested."""
    monkeypatch.setattr(backup_file, "ARGON2_MEMORY_KIB", 64)


@pytest.fixture
def files(db_path: Path) -> DataFiles:
    return data_files(db_path.parent)


def data_files(directory: Path) -> DataFiles:
    return DataFiles(
        directory, directory / "registry.db", directory / "secret.key", directory / "forms"
    )


async def filled(registry: Registry, by: Actor) -> str:
    await registry.create_area(AreaDraft(None, "district", "110112", "通州"), by)
    device = await registry.create_device(
        DeviceDraft("box", "192.0.2.1", username="ops", password=PASSWORD), by
    )
    return device.id


async def backed_up(
    files: DataFiles, into: Path, by: Actor, passphrase: Secret | None = WORD
) -> Path:
    await make_backup(files, into, passphrase, program="1.0", by=by)
    return into


async def restored(
    to: Path, source: Path, by: Actor, passphrase: Secret | None = WORD, *, force: bool = False
) -> Restored:
    return await restore_backup(data_files(to), source, passphrase, force=force, by=by)


async def test_there_and_back_with_passwords_forms_and_an_unbroken_chain(
    files: DataFiles, registry: Registry, by: Actor, tmp_path: Path, store: SqlStore
) -> None:
    device_id = await filled(registry, by)
    files.forms_dir.mkdir()
    (files.forms_dir / "我们的.yaml").write_text("columns: []\n")
    source = await backed_up(files, tmp_path / "all.backup", by)
    assert stat.S_IMODE(source.stat().st_mode) == 0o600
    raw = source.read_bytes()
    for hidden in (b"registry.db", "通州".encode(), b"SQLite format 3"):
        assert hidden not in raw
    assert sorted(path.name for path in files.data_dir.iterdir() if path.name[0] == ".") == []
    async with store.read() as tx:
        row = (await tx.audit.page(AuditQuery(), limit=1, cursor=None)).items[0]
    assert (row.act, row.detail) == ("backup_made", {"with_key": True, "schema": HEAD})

    there = tmp_path / "there"
    outcome = await restored(there, source, by)
    assert (outcome.aside, outcome.note) == (None, None)
    assert outcome.manifest.counts["devices"] == 1
    assert outcome.manifest.audit_rows == 2
    opened = await open_store(there / "registry.db", migrate=False)
    try:
        vault = await open_vault(opened, there / "secret.key")
        async with opened.read() as tx:
            sealed = await tx.devices.sealed_password(device_id)
            rows = (await tx.audit.page(AuditQuery(), limit=9, cursor=None)).items
        assert vault.open(device_id, sealed or b"") == PASSWORD
        chain = await opened.verify_audit()
    finally:
        await opened.close()
    assert (chain.ok, chain.rows_checked, rows[0].act) == (True, 3, "backup_restored")
    assert (there / "forms" / "我们的.yaml").read_text() == "columns: []\n"
    for name in ("registry.db", "secret.key"):
        assert stat.S_IMODE((there / name).stat().st_mode) == 0o600
    assert {path.name for path in there.iterdir()} == {"registry.db", "secret.key", "forms"}


async def test_it_is_one_moment_though_much_is_written(
    files: DataFiles, registry: Registry, by: Actor, tmp_path: Path, store: SqlStore
) -> None:
    await filled(registry, by)
    stop, written = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            await store.append_audit(AuditEntry("busy", "ok"))
            written.set()

    writing = asyncio.create_task(write())
    sources = []
    for n in range(4):
        sources.append(await backed_up(files, tmp_path / f"{n}.backup", by))
        written.clear()
        await written.wait()
    stop.set()
    await writing
    rows = []
    for number, source in enumerate(sources):
        outcome = await restored(tmp_path / f"to{number}", source, by)
        rows.append(outcome.manifest.audit_rows)
    assert rows == sorted(set(rows))  # it went on, and every one was whole


async def test_without_the_key_it_is_plain_and_says_what_is_left_to_do(
    files: DataFiles, registry: Registry, by: Actor, tmp_path: Path, vault: Vault
) -> None:
    await filled(registry, by)
    source = await backed_up(files, tmp_path / "plain.backup", by, None)
    assert b"SQLite format 3" in source.read_bytes()
    assert files.key.read_bytes() not in source.read_bytes()
    there = tmp_path / "there"
    outcome = await restored(there, source, by, None)
    assert outcome.note is not None
    assert "secret.key" in outcome.note
    again = await restored(files.data_dir, source, by, None, force=True)
    assert again.note is None  # the key is still there
    assert Vault(files.key.read_bytes()).key_id == vault.key_id


async def test_what_is_there_is_refused_or_kept_aside(
    files: DataFiles, registry: Registry, by: Actor, tmp_path: Path, store: SqlStore
) -> None:
    await filled(registry, by)
    source = await backed_up(files, tmp_path / "x.backup", by)
    key = files.key.read_bytes()
    with pytest.raises(BackupRefused, match="--force") as caught:
        await restored(files.data_dir, source, by)
    assert caught.value.code == "registry_exists"
    await registry.create_device(DeviceDraft("later", "192.0.2.2"), by)
    await store.close()
    outcome = await restored(files.data_dir, source, by, force=True)
    assert outcome.aside is not None
    before = await open_store(outcome.aside / "registry.db", migrate=False)
    async with before.read() as tx:
        assert {each.name for each in await tx.devices.all()} == {"box", "later"}
    await before.close()
    assert (outcome.aside / "secret.key").read_bytes() == key
    after = await open_store(files.data_dir / "registry.db", migrate=False)
    async with after.read() as tx:
        assert [each.name for each in await tx.devices.all()] == ["box"]
    await after.close()


async def test_any_damage_is_found_and_nothing_is_touched(
    files: DataFiles, registry: Registry, by: Actor, tmp_path: Path
) -> None:
    await filled(registry, by)
    for passphrase in (WORD, None):
        good = await backed_up(files, tmp_path / f"{passphrase is None}.backup", by, passphrase)
        raw = good.read_bytes()
        bad = tmp_path / "bad.backup"
        # The manifest's text, the pages, the end; cut at each; and what is no backup at all.
        places = [25, 600, len(raw) // 2, len(raw) - (100 if passphrase else 30_000)]
        damaged = [raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :] for at in places]
        damaged += [raw[:at] for at in (0, 10, 30, 700, len(raw) // 2)]
        damaged += [b"PK\x03\x04" + raw]
        if passphrase is not None:
            damaged += [raw + b"more", raw[:-1]]
        for number, content in enumerate(damaged):
            bad.write_bytes(content)
            there = tmp_path / "there"
            with pytest.raises(BackupError) as caught:
                await restored(there, bad, by, passphrase)
            assert caught.value.code in ("backup_damaged", "passphrase_wrong"), number
            assert not list(there.iterdir()), number


async def test_the_wrong_passphrase_and_none(
    files: DataFiles, registry: Registry, by: Actor, tmp_path: Path
) -> None:
    source = await backed_up(files, tmp_path / "x.backup", by)
    with pytest.raises(PassphraseWrong):
        await restored(tmp_path / "there", source, by, Secret("another passphrase"))
    with pytest.raises(BackupRefused) as caught:
        await restored(tmp_path / "there", source, by, None)
    assert caught.value.code == "passphrase_needed"


async def test_a_newer_schema_is_refused(
    files: DataFiles, registry: Registry, by: Actor, tmp_path: Path
) -> None:
    with sqlite3.connect(files.data_dir / "registry.db") as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    db.close()
    source = await backed_up(files, tmp_path / "x.backup", by)
    with pytest.raises(SchemaTooNew, match=r"schema 9999.*newer StreamHub"):
        await restored(tmp_path / "there", source, by)


async def test_an_older_schema_is_brought_up(
    files: DataFiles, by: Actor, tmp_path: Path, store: SqlStore
) -> None:
    await store.append_audit(AuditEntry("before", "ok"))
    await store.migrate_down("0001")
    source = await backed_up(files, tmp_path / "x.backup", by)
    outcome = await restored(tmp_path / "there", source, by)
    assert outcome.manifest.schema == "0001"
    opened = await open_store(tmp_path / "there" / "registry.db", migrate=False)
    assert (await opened.verify_audit()).rows_checked == 2
    await opened.close()


async def test_a_chain_that_was_tampered_with_is_not_restored(
    files: DataFiles, registry: Registry, by: Actor, tmp_path: Path
) -> None:
    await filled(registry, by)
    with sqlite3.connect(files.data_dir / "registry.db") as db:
        db.execute("UPDATE audit SET act = 'nothing' WHERE seq = 1")
    db.close()
    source = await backed_up(files, tmp_path / "x.backup", by)
    with pytest.raises(BackupDamaged, match="breaks at row 1"):
        await restored(tmp_path / "there", source, by)


async def test_what_is_refused_before_anything_is_written(
    files: DataFiles, registry: Registry, by: Actor, tmp_path: Path
) -> None:
    there = tmp_path / "x.backup"
    there.write_text("mine")
    elsewhere = replace(files, registry=tmp_path / "none.db")
    postgres = replace(files, registry=Secret("postgresql://hub@db/hub"))
    for of, into, word, code in (
        (files, there, WORD, "file_exists"),
        (files, tmp_path / "y", Secret("short"), "passphrase_short"),
        (files, tmp_path / "none" / "y", WORD, "file_not_written"),
        (elsewhere, tmp_path / "y", WORD, "no_registry"),
        (postgres, tmp_path / "y", WORD, "not_sqlite"),
    ):
        with pytest.raises(BackupRefused) as caught:
            await make_backup(of, into, word, program="1.0", by=by)
        assert caught.value.code == code
    assert there.read_text() == "mine"
    with pytest.raises(BackupRefused, match="pg_dump"):
        snapshot(Secret("postgresql://hub@db/hub"), tmp_path / "y")
    with pytest.raises(BackupRefused, match="pg_restore"):
        await restore_backup(postgres, there, WORD, force=True, by=by)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1])
@pytest.mark.parametrize("passphrase", [WORD, None])
def test_any_length_comes_back_and_no_chunk_can_be_left_out(
    size: int, passphrase: Secret | None
) -> None:
    file = io.BytesIO()
    data = bytes(range(256)) * (size // 256 + 1)
    with BackupWriter(file, passphrase) as writer:
        writer.write(data[:size])
    raw = file.getvalue()

    def opened(content: bytes) -> bytes:
        reader = BackupReader(io.BytesIO(content))
        assert reader.sealed == (passphrase is not None)
        if passphrase is not None:
            reader.unlock(passphrase)
        parts = []
        while part := reader.read(70_000):
            parts.append(part)
        return b"".join(parts)

    assert opened(raw) == data[:size]
    if passphrase is not None and size > CHUNK_BYTES:
        with pytest.raises(BackupError):
            opened(raw[: -(size - CHUNK_BYTES) - 16])  # without the last one

"""Use cases about backups: the whole registry into one file while it is in use, and back again.

A backup has the registry, the site's own forms and, unless left out, the vault's key; with the key
it is always sealed by a passphrase. Restoring looks at everything before anything is touched, and
keeps what was there aside.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from .backup_archive import (
    FORM_NAME,
    KEY,
    REGISTRY,
    Manifest,
    read_archive,
    sha256_of,
    write_archive,
)
from .backup_file import BackupWriter
from .domain import Actor, AuditEntry
from .errors import BackupDamaged, BackupRefused, SchemaTooNew, VaultError
from .key_file import KEY_BYTES
from .secret import Secret
from .store import SqlStore, open_store
from .store.backup import StoreContent, content, snapshot
from .store.migrate import HEAD, known_revisions
from .store.sqlite import SqliteDatabase
from .units import utc_now
from .vault import Vault

MIN_PASSPHRASE_CHARS: Final = 12  # argon2id makes a guess cost 0.1 s; the rest is its length
_BESIDE: Final = ("", "-wal", "-shm")  # of the registry, while it is open or after a crash


@dataclass(frozen=True, slots=True)
class DataFiles:
    """Where things lie. `registry` is the file, or a database's URL."""

    data_dir: Path
    registry: Path | Secret
    key: Path
    forms_dir: Path


@dataclass(frozen=True, slots=True)
class Restored:
    """`aside`: where what was there before is kept. `note`: what is left to do, as a sentence."""

    manifest: Manifest
    aside: Path | None
    note: str | None


async def make_backup(
    files: DataFiles, into: Path, passphrase: Secret | None, *, program: str, by: Actor
) -> Manifest:
    """Writes a backup, mode 0600; a passphrase of None leaves the key out. It appears whole or
    not at all, and its making is in the audit log.

    Raises BackupRefused("file_exists", "passphrase_short", "no_registry", "not_sqlite",
    "file_not_written"), StoreError, StoreBusy, VaultKeyExposed.
    """
    if passphrase is not None and len(passphrase.reveal()) < MIN_PASSPHRASE_CHARS:
        raise BackupRefused(
            "passphrase_short",
            f"A passphrase has at least {MIN_PASSPHRASE_CHARS} characters; several words are best.",
        )
    try:
        manifest = await asyncio.to_thread(_write, files, into, passphrase, program)
    except OSError as error:
        raise BackupRefused(
            "file_not_written", f"{into} can't be written ({error.strerror}); choose another place."
        ) from None
    detail = {"with_key": manifest.has_key, "schema": manifest.schema}
    await _record(files, "backup_made", by, detail)
    return manifest


async def restore_backup(
    files: DataFiles, source: Path, passphrase: Secret | None, *, force: bool, by: Actor
) -> Restored:
    """Puts a backup in the place of the registry. No service may run; the caller sees to that.

    Everything is looked at first: the file's hashes, the registry's pages, its schema, its whole
    audit chain, and that the key is the one it was sealed with. With `force` a registry that is
    there is kept aside, in the data directory. An older schema is brought up.

    Raises BackupRefused("registry_exists", "passphrase_needed", "not_sqlite", "file_not_read"),
    BackupDamaged, PassphraseWrong, SchemaTooNew, VaultKeyWrong.
    """
    if isinstance(files.registry, Secret):
        raise BackupRefused(
            "not_sqlite", "The registry is in a database of its own; restore it with pg_restore."
        )
    await asyncio.to_thread(_require_room, files.data_dir, files.registry, force=force)
    with _scratch(files.data_dir, "restore") as scratch:
        try:
            manifest = await asyncio.to_thread(read_archive, source, scratch, passphrase)
        except OSError as error:
            raise BackupRefused(
                "file_not_read", f"{source} can't be read ({error.strerror})."
            ) from None
        found = await asyncio.to_thread(content, scratch / REGISTRY)
        await _check(manifest, found, scratch)
        note = _check_key(files, manifest, found, scratch)
        aside = await asyncio.to_thread(_swap, files, files.registry, manifest, scratch)
    detail = {
        "made_at": manifest.created_at.isoformat(),
        "audit_hash": manifest.audit_hash,
        "with_key": manifest.has_key,
    }
    await _record(files, "backup_restored", by, detail)
    return Restored(manifest, aside, note)


# --- writing --------------------------------------------------------------------------------------


def _write(files: DataFiles, into: Path, passphrase: Secret | None, program: str) -> Manifest:
    if into.exists():
        raise BackupRefused("file_exists", f"{into} is there already; choose another name.")
    if isinstance(files.registry, Path) and not files.registry.exists():
        raise BackupRefused("no_registry", f"There is no registry at {files.registry}.")
    with _scratch(files.data_dir, "backup") as scratch:
        copy = scratch / REGISTRY
        found = snapshot(files.registry, copy)
        parts = {REGISTRY: copy} | {
            f"forms/{path.name}": path
            for path in sorted(files.forms_dir.glob("*"))
            if path.is_file() and FORM_NAME.fullmatch(f"forms/{path.name}")
        }
        if passphrase is not None and files.key.exists():
            parts[KEY] = files.key
        manifest = Manifest(
            created_at=utc_now(),
            program=program,
            schema=found.schema,
            counts=found.counts,
            audit_rows=found.audit_rows,
            audit_hash=found.audit_hash,
            files={name: (path.stat().st_size, sha256_of(path)) for name, path in parts.items()},
        )
        part = into.with_name(f".{into.name}.{secrets.token_hex(4)}.part")
        try:
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                with BackupWriter(file, passphrase) as writer:
                    write_archive(writer, manifest, parts)
                file.flush()
                os.fsync(file.fileno())
            os.link(part, into)  # never over another one
        finally:
            part.unlink(missing_ok=True)
    return manifest


# --- restoring ------------------------------------------------------------------------------------


def _require_room(data_dir: Path, registry: Path, *, force: bool) -> None:
    if registry.exists() and not force:
        raise BackupRefused(
            "registry_exists",
            f"There is a registry at {registry}; with --force it is kept aside.",
        )
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)


async def _check(manifest: Manifest, found: StoreContent, scratch: Path) -> None:
    """That the registry is the manifest's, of a schema that is known here, and untampered."""
    if found.schema not in known_revisions():
        raise SchemaTooNew(
            f"The backup has schema {found.schema}; this program knows up to {HEAD}. "
            "It was made by a newer StreamHub: update this one first."
        )
    if (found.schema, found.audit_rows, found.audit_hash) != (
        manifest.schema,
        manifest.audit_rows,
        manifest.audit_hash,
    ):
        raise BackupDamaged("The registry in the backup is not the one that its manifest names.")
    store = await open_store(scratch / REGISTRY)  # brought up to this program's schema
    try:
        chain = await store.verify_audit()
    finally:
        await store.close()
    if not chain.ok:
        raise BackupDamaged(
            f"The audit chain in the backup breaks at row {chain.first_bad_seq}: {chain.reason}"
        )


def _check_key(
    files: DataFiles, manifest: Manifest, found: StoreContent, scratch: Path
) -> str | None:
    """That the key fits; a sentence when none that fits is at hand."""
    if not found.sealed or found.vault_key_id is None:
        return None
    path = scratch / KEY if manifest.has_key else files.key
    if path.exists():
        with path.open("rb") as file:
            key = file.read(KEY_BYTES + 1)
        try:
            if Vault(key).key_id == found.vault_key_id:
                return None
        except VaultError:
            pass
        if manifest.has_key:
            raise BackupDamaged("The key in the backup is not the one of its registry.")
    return (
        f"Put the key that the passwords were sealed with at {files.key} (mode 0600) before the "
        "service starts; it was left out of this backup."
    )


def _swap(files: DataFiles, registry: Path, manifest: Manifest, scratch: Path) -> Path | None:
    """What is there goes aside, what was restored comes in."""
    aside = files.data_dir / f"before-restore-{utc_now():%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
    old = [path for end in _BESIDE if (path := Path(f"{registry}{end}")).exists()]
    if manifest.has_key and files.key.exists():
        old.append(files.key)
    has_forms = any(name.startswith("forms/") for name in manifest.files)
    if has_forms and files.forms_dir.exists():
        old.append(files.forms_dir)
    if old:
        aside.mkdir(mode=0o700)
        for path in old:
            path.rename(aside / path.name)
    if manifest.has_key:
        (scratch / KEY).rename(files.key)
    if has_forms:
        (scratch / "forms").rename(files.forms_dir)
    (scratch / REGISTRY).rename(registry)
    _sync(files.data_dir)
    return aside if old else None


# --- both -----------------------------------------------------------------------------------------


@contextmanager
def _scratch(data_dir: Path, what: str) -> Iterator[Path]:
    """A directory of our own where only the service's user looks; gone at the end."""
    path = data_dir / f".{what}-{secrets.token_hex(8)}"
    path.mkdir(mode=0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


async def _record(files: DataFiles, act: str, by: Actor, detail: Mapping[str, Any]) -> None:
    # Also into a registry that is older than the program: a backup is made before an update.
    store = SqlStore(SqliteDatabase(cast(Path, files.registry)))
    try:
        await store.append_audit(
            AuditEntry(
                act=act,
                outcome="ok",
                subject_id=by.subject_id,
                subject_name=by.subject_name,
                as_role=by.as_role,
                remote=by.remote,
                detail=dict(detail),
            )
        )
    finally:
        await store.close()

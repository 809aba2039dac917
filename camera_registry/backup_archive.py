"""The tar inside a backup: a manifest first, then the files that it names, and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final, cast

from .backup_file import CHUNK_BYTES, BackupReader, BackupWriter
from .errors import BackupDamaged, BackupRefused
from .secret import Secret

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
REGISTRY: Final = "registry.db"
KEY: Final = "secret.key"
FORM_NAME: Final = re.compile(r"forms/[^./\x00-\x1f][^/\x00-\x1f]{0,99}")  # of the site's own
MAX_MANIFEST_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself. `files`: name -> (bytes, SHA-256 in hex)."""

    created_at: datetime
    program: str
    schema: str | None
    counts: Mapping[str, int]
    audit_rows: int
    audit_hash: str
    files: Mapping[str, tuple[int, str]]

    @property
    def has_key(self) -> bool:
        return KEY in self.files


def write_archive(writer: BackupWriter, manifest: Manifest, parts: Mapping[str, Path]) -> None:
    """`parts`: the files by their names, which the manifest has, too."""
    # The manifest comes first: what follows is held to it while it is read.
    with tarfile.open(fileobj=cast(IO[bytes], writer), mode="w|", format=tarfile.PAX_FORMAT) as tar:
        values = asdict(manifest) | {
            "format": FORMAT,
            "created_at": manifest.created_at.isoformat(),
        }
        text = json.dumps(values, ensure_ascii=False, indent=1).encode()
        tar.addfile(_entry(MANIFEST, len(text)), _Bytes(text))
        for name, path in parts.items():
            with path.open("rb") as file:
                tar.addfile(_entry(name, manifest.files[name][0]), file)


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.mode = 0o600
    return entry


def read_archive(source: Path, scratch: Path, passphrase: Secret | None) -> Manifest:
    """Takes a backup apart into `scratch`, each file held to the manifest.

    Raises BackupDamaged, PassphraseWrong, BackupRefused("passphrase_needed"), OSError.
    """
    with source.open("rb") as file:
        reader = BackupReader(file)
        if reader.sealed:
            if passphrase is None:
                raise BackupRefused("passphrase_needed", f"{source} needs its passphrase.")
            reader.unlock(passphrase)
        try:
            with tarfile.open(fileobj=cast(IO[bytes], reader), mode="r|") as tar:
                manifest = _read_tar(tar, scratch)
            reader.drain()
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise BackupDamaged(
                f"The backup is damaged or cut short ({type(error).__name__}); "
                "take another copy of it."
            ) from None
    return manifest


def _read_tar(tar: tarfile.TarFile, scratch: Path) -> Manifest:
    manifest: Manifest | None = None
    left: set[str] = set()
    for entry in tar:
        stream = tar.extractfile(entry)
        if stream is None or not entry.isfile():
            raise BackupDamaged("The backup holds something that is no file.")
        if manifest is None:
            manifest = _manifest(entry, stream)
            left = set(manifest.files)
            continue
        size, sha256 = manifest.files.get(entry.name, (-1, ""))
        if entry.name not in left or entry.size != size:
            raise BackupDamaged("The backup holds something that its manifest does not name.")
        left.discard(entry.name)
        if _copy(stream, scratch / entry.name) != sha256:
            raise BackupDamaged(
                f"{entry.name} in the backup is damaged; take another copy of the backup."
            )
    if manifest is None or left:
        raise BackupDamaged("The backup is cut short; take another copy of it.")
    return manifest


def _manifest(entry: tarfile.TarInfo, stream: IO[bytes]) -> Manifest:
    if entry.name != MANIFEST or entry.size > MAX_MANIFEST_BYTES:
        raise BackupDamaged("The backup does not begin with its manifest.")
    try:
        values: dict[str, Any] = json.loads(stream.read())
        number = values.pop("format")
        if number != FORMAT:
            raise BackupDamaged(f"The backup has format {number}, this program knows {FORMAT}.")
        files = {name: (int(size), str(sha)) for name, (size, sha) in values["files"].items()}
        made = datetime.fromisoformat(values["created_at"])
        manifest = Manifest(**values | {"files": files, "created_at": made})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BackupDamaged(
            f"The backup's manifest can't be read ({type(error).__name__})."
        ) from None
    if REGISTRY not in files or not all(
        name in (REGISTRY, KEY) or FORM_NAME.fullmatch(name) for name in files
    ):
        raise BackupDamaged("The backup's manifest names files that no backup has.")
    return manifest


class _Bytes:
    """A file of bytes, as far as a tar asks."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int = -1) -> bytes:
        data, self._data = self._data[:size], self._data[size:]
        return data


def _copy(stream: IO[bytes], path: Path) -> str:
    """Writes a new file (mode 0600) and gives its SHA-256."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    digest = hashlib.sha256()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while part := stream.read(CHUNK_BYTES):
            digest.update(part)
            file.write(part)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

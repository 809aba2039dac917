"""Key files: 32 random bytes that only the service may read, made at its first start."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from .errors import VaultKeyExposed

KEY_BYTES: Final = 32


def create_key(key_path: Path) -> None:
    """Appears whole or not at all; a second process that starts at once keeps the first's."""
    key_path.parent.mkdir(parents=True, exist_ok=True)
    part = key_path.with_name(f".{key_path.name}.{secrets.token_hex(8)}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(part, key_path)
    finally:
        part.unlink()
    sync_directory(key_path.parent)


def read_key(key_path: Path) -> bytes:
    """One byte more than a key has is read, so that a wrong file shows. Raises VaultKeyExposed."""
    with key_path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise VaultKeyExposed(
                f"Others may read the key at {key_path} (mode {mode:04o}). "
                f"Run: chmod 600 {key_path}"
            )
        return file.read(KEY_BYTES + 1)


def sync_directory(path: Path) -> None:
    """A file that was made in it survives a power cut."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

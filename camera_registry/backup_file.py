"""The file of a backup: a head, then a tar, in chunks that are sealed by a passphrase or plain.

    magic, kind ("E" sealed, "P" plain), salt (16 bytes, sealed ones only), chunks

Sealed: the key is argon2id of passphrase and salt (RFC 9106, the second of its recommended
choices), so it is this file's alone. Each chunk is AES-256-GCM; its nonce is its number (11 bytes)
and 1 for the last, else 0; the head is associated data. So chunks that were changed, moved, left
out or cut off the end do not open (the STREAM construction of Hoang, Reyhanitabar, Rogaway, Vizar).
Plain ones are only held to the SHA-256 in their manifest: that finds damage, not a forger.
"""

from __future__ import annotations

import secrets
from types import TracebackType
from typing import BinaryIO, Final

from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .errors import BackupDamaged, PassphraseWrong
from .secret import Secret

MAGIC: Final = b"STREAMHUB-BACKUP\x01\n"
SEALED: Final = b"E"
PLAIN: Final = b"P"
SALT_BYTES: Final = 16
CHUNK_BYTES: Final = 1 << 20
TAG_BYTES: Final = 16
# Of the format, not of the file: a file must not say how much memory we take.
ARGON2_PASSES: Final = 3
ARGON2_MEMORY_KIB: Final = 64 << 10
ARGON2_LANES: Final = 4


class BackupWriter:
    """Takes the tar's bytes; `close()` writes the last chunk. A passphrase of None: plain."""

    def __init__(self, file: BinaryIO, passphrase: Secret | None) -> None:
        self._file = file
        self._waiting = bytearray()
        self._chunks = _Chunks(None)
        head = MAGIC + PLAIN
        if passphrase is not None:
            salt = secrets.token_bytes(SALT_BYTES)
            head = MAGIC + SEALED + salt
            self._chunks = _Chunks(_key(passphrase, salt), head)
        file.write(head)

    def write(self, data: bytes) -> int:
        self._waiting += data
        # The last chunk may be a full one, never an empty one behind it.
        while len(self._waiting) > CHUNK_BYTES:
            self._file.write(self._chunks.seal(bytes(self._waiting[:CHUNK_BYTES]), last=False))
            del self._waiting[:CHUNK_BYTES]
        return len(data)

    def close(self) -> None:
        self._file.write(self._chunks.seal(bytes(self._waiting), last=True))

    def __enter__(self) -> BackupWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()


class BackupReader:
    """Gives the tar's bytes. Raises BackupDamaged for what is no backup or was altered;
    PassphraseWrong when it does not open at all. `sealed` says whether it needs a passphrase."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        head = file.read(len(MAGIC) + 1)
        if head[: len(MAGIC)] != MAGIC or head[len(MAGIC) :] not in (SEALED, PLAIN):
            raise BackupDamaged("This is no backup of StreamHub, or of a newer one.")
        self.sealed = head.endswith(SEALED)
        self._head = head
        self._chunks = _Chunks(None)
        self._ready = b""
        self._opened = 0
        self._next: bytes | None = None

    def unlock(self, passphrase: Secret) -> None:
        """Before the first read of a sealed one."""
        salt = self._file.read(SALT_BYTES)
        if len(salt) != SALT_BYTES:
            raise BackupDamaged("The backup is cut short.")
        self._chunks = _Chunks(_key(passphrase, salt), self._head + salt)

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; empty at the end, which was then proven to be the end."""
        while not self._ready and self._next != b"":
            self._read_chunk()
        if size < 0:
            size = len(self._ready)
        data, self._ready = self._ready[:size], self._ready[size:]
        return data

    def drain(self) -> None:
        """To the end: what is behind the tar must be whole, too."""
        while self.read(CHUNK_BYTES):
            pass

    def _read_chunk(self) -> None:
        size = CHUNK_BYTES + (TAG_BYTES if self.sealed else 0)
        chunk = self._file.read(size) if self._next is None else self._next
        self._next = self._file.read(size)
        try:
            self._ready = self._chunks.open(chunk, last=self._next == b"")
        except InvalidTag:
            if self._opened == 0:
                raise PassphraseWrong(
                    "The passphrase is not this backup's, or its beginning is damaged."
                ) from None
            raise BackupDamaged(
                "The backup is damaged or cut short; take another copy of it."
            ) from None
        self._opened += 1


class _Chunks:
    """Seals and opens in order; without a key chunks pass as they are."""

    def __init__(self, key: bytes | None, head: bytes = b"") -> None:
        self._aead = None if key is None else AESGCM(key)
        self._head = head
        self._number = 0

    def seal(self, chunk: bytes, *, last: bool) -> bytes:
        nonce = self._nonce(last)
        return chunk if self._aead is None else self._aead.encrypt(nonce, chunk, self._head)

    def open(self, chunk: bytes, *, last: bool) -> bytes:
        nonce = self._nonce(last)
        if self._aead is None:
            return chunk
        if len(chunk) < TAG_BYTES:
            raise InvalidTag
        return self._aead.decrypt(nonce, chunk, self._head)

    def _nonce(self, last: bool) -> bytes:
        nonce = self._number.to_bytes(11, "big") + (b"\x01" if last else b"\x00")
        self._number += 1
        return nonce


def _key(passphrase: Secret, salt: bytes) -> bytes:
    return hash_secret_raw(
        passphrase.reveal().encode(),
        salt,
        time_cost=ARGON2_PASSES,
        memory_cost=ARGON2_MEMORY_KIB,
        parallelism=ARGON2_LANES,
        hash_len=32,
        type=Type.ID,
    )

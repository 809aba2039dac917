"""Device passwords at rest: AES-256-GCM under a key file that only the service may read.

A sealed password is `version byte | nonce (12) | ciphertext and tag`; the device's id is bound in
as associated data, so that a row copied onto another device does not open. The store keeps the
key's id (a hash), so that a lost or exchanged key file is said in words and not found later by
cameras that refuse to answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .errors import SealBroken, VaultKeyMissing, VaultKeyWrong
from .key_file import KEY_BYTES, create_key, read_key
from .secret import Secret
from .store.contract import Store

NONCE_BYTES: Final = 12
SEAL_VERSION: Final = b"\x01"
META_KEY_ID: Final = "vault_key_id"


class Vault:
    """Seals and opens device passwords; holds the key in memory."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise VaultKeyWrong(f"The key file holds {len(key)} bytes; a key has {KEY_BYTES}.")
        self._aead = AESGCM(key)
        self._key = key
        self.key_id = hashlib.sha256(b"streamhub vault key id\x00" + key).hexdigest()[:32]

    def __repr__(self) -> str:
        return f"Vault(key_id={self.key_id!r}, key=***)"

    def derive(self, purpose: str) -> bytes:
        """A key of 32 bytes for another purpose, by HKDF-SHA256 (RFC 5869): the same for as long as
        the key file is."""
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=purpose.encode()).derive(self._key)

    def seal(self, device_id: str, password: Secret) -> bytes:
        return self.seal_bytes(device_id, password.reveal().encode())

    def open(self, device_id: str, sealed: bytes) -> Secret:
        """Raises SealBroken."""
        with contextlib.suppress(SealBroken, UnicodeDecodeError):
            return Secret(self.open_bytes(device_id, sealed).decode())
        raise SealBroken(f"The stored password of device {device_id} does not open; set it again.")

    def seal_bytes(self, owner_id: str, content: bytes) -> bytes:
        """Whatever else may hold passwords, e.g. a file that is being imported."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return SEAL_VERSION + nonce + self._aead.encrypt(nonce, content, owner_id.encode())

    def open_bytes(self, owner_id: str, sealed: bytes) -> bytes:
        """Raises SealBroken."""
        body = sealed[1:]
        if sealed[:1] == SEAL_VERSION and len(body) > NONCE_BYTES:
            with contextlib.suppress(InvalidTag, ValueError):
                nonce, cipher = body[:NONCE_BYTES], body[NONCE_BYTES:]
                return self._aead.decrypt(nonce, cipher, owner_id.encode())
        raise SealBroken(f"What is sealed of {owner_id} does not open.")


async def open_vault(store: Store, key_path: Path) -> Vault:
    """Loads the key, or makes one (mode 0600) for a registry that has nothing sealed yet.

    Raises VaultKeyMissing when sealed passwords exist and the file does not, VaultKeyWrong when
    it is another key than they were sealed with, VaultKeyExposed when others may read it.
    """
    async with store.read() as tx:
        sealed_count = (
            await tx.devices.count_sealed()
            + len(await tx.webhooks.all())
            + await tx.second_factors.count()
        )
        known_id = await tx.meta(META_KEY_ID)
    vault = await asyncio.to_thread(_load_or_create, key_path, sealed_count)
    if vault.key_id != known_id:
        if sealed_count and known_id is not None:
            raise VaultKeyWrong(
                f"The key at {key_path} is not the one that {sealed_count} device passwords, "
                "webhook secrets and second factors were sealed with. Restore the right file from "
                "the backup."
            )
        async with store.write() as write_tx:
            await write_tx.set_meta(META_KEY_ID, vault.key_id)
    return vault


def _load_or_create(key_path: Path, sealed_count: int) -> Vault:
    if not key_path.exists():
        if sealed_count:
            raise VaultKeyMissing(
                f"{sealed_count} device passwords, webhook secrets and second factors are sealed "
                f"with a key that is not at {key_path}. Restore that file from the backup. If it "
                "is lost for good, they are too: set the column password_sealed of the table "
                "devices to NULL, delete the rows of the tables webhooks and second_factors, set "
                "has_second_factor of the table subjects to 0 (false), and enter them anew."
            )
        create_key(key_path)
    return Vault(read_key(key_path))

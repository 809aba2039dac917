"""The key that signs roots (Ed25519, RFC 8032), and the public keys that check them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from ..errors import AuditKeyUnfit
from ..key_file import KEY_BYTES, create_key, read_key

PublicKeys = Mapping[str, Ed25519PublicKey]


class AuditKey:
    """Signs; holds the private key in memory."""

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._private.public_key()
        self.key_id = key_id(self.public)

    def __repr__(self) -> str:
        return f"AuditKey(key_id={self.key_id!r}, key=***)"

    def sign(self, message: bytes) -> str:
        """Hex; the same message has the same signature always."""
        return self._private.sign(message).hex()

    def public_pem(self) -> str:
        return self.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def open_audit_key(path: Path, *, make: bool = True) -> AuditKey:
    """Loads the key, or makes one (mode 0600). Raises VaultKeyExposed, AuditKeyUnfit."""
    if not path.exists():
        if not make:
            raise AuditKeyUnfit(
                f"There is no key {path}; the service makes it at its first start. Or name the "
                "public key by --public-key FILE."
            )
        create_key(path)
    seed = read_key(path)
    if len(seed) != KEY_BYTES:
        raise AuditKeyUnfit(
            f"{path} has {len(seed)} bytes and should have {KEY_BYTES}. Move it away: the service "
            "then makes a new key. Roots that were signed before are checked by the old public key."
        )
    return AuditKey(seed)


def read_public_keys(paths: Iterable[Path]) -> PublicKeys:
    """By key id, of PEM files. Raises AuditKeyUnfit."""
    found: dict[str, Ed25519PublicKey] = {}
    for path in paths:
        try:
            key = load_pem_public_key(path.read_bytes())
        except (OSError, ValueError) as error:
            raise AuditKeyUnfit(
                f"{path} is no public key in PEM; `streamhub audit public-key` prints one."
            ) from error
        if not isinstance(key, Ed25519PublicKey):
            raise AuditKeyUnfit(f"The key in {path} is not of the kind Ed25519.")
        found[key_id(key)] = key
    return found


def key_id(key: Ed25519PublicKey) -> str:
    """The first 32 hex digits of the SHA-256 of its 32 bytes."""
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:32]


def is_signed(keys: PublicKeys, of_key: str, signature: str, message: bytes) -> bool:
    """Whether one of the keys, by its id, signed it."""
    key = keys.get(of_key)
    if key is None:
        return False
    try:
        key.verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True

"""Device passwords at rest: the key file, and what happens when it is lost, changed or exposed."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from camera_registry.domain import Device
from camera_registry.errors import SealBroken, VaultKeyExposed, VaultKeyMissing, VaultKeyWrong
from camera_registry.secret import Secret
from camera_registry.store import SqlStore
from camera_registry.vault import Vault, open_vault


async def seal_one(store: SqlStore, vault: Vault) -> None:
    async with store.write() as tx:
        await tx.devices.add(Device("de_1", "NVR", "192.0.2.1", 554), vault.seal("de_1", SECRET))


SECRET = Secret("s3cret")


async def test_a_key_is_made_once_for_the_owner_alone(store: SqlStore, tmp_path: Path) -> None:
    key_path = tmp_path / "keys" / "secret.key"
    vault = await open_vault(store, key_path)
    assert stat.S_IMODE(key_path.stat().st_mode) == 0o600
    assert [path.name for path in key_path.parent.iterdir()] == ["secret.key"]
    again = await open_vault(store, key_path)
    assert again.open("de_1", vault.seal("de_1", SECRET)) == SECRET
    assert "s3cret" not in repr(vault.seal("de_1", SECRET))
    assert key_path.read_bytes().hex() not in repr(vault)


async def test_a_lost_key_is_said_when_something_is_sealed(store: SqlStore, tmp_path: Path) -> None:
    key_path = tmp_path / "secret.key"
    vault = await open_vault(store, key_path)
    key_path.rename(tmp_path / "backup.key")
    vault = await open_vault(store, key_path)  # nothing sealed yet: a new key does
    await seal_one(store, vault)
    key_path.unlink()
    with pytest.raises(VaultKeyMissing, match=r"1 device passwords.*Restore that file"):
        await open_vault(store, key_path)
    assert not key_path.exists()
    (tmp_path / "backup.key").rename(key_path)
    with pytest.raises(VaultKeyWrong, match="not the one"):
        await open_vault(store, key_path)


async def test_a_key_that_others_may_read_is_refused(store: SqlStore, tmp_path: Path) -> None:
    key_path = tmp_path / "secret.key"
    await open_vault(store, key_path)
    key_path.chmod(0o640)
    with pytest.raises(VaultKeyExposed, match="chmod 600"):
        await open_vault(store, key_path)


async def test_a_key_of_a_wrong_length_is_refused(store: SqlStore, tmp_path: Path) -> None:
    key_path = tmp_path / "secret.key"
    key_path.touch(0o600)
    with pytest.raises(VaultKeyWrong, match="0 bytes"):
        await open_vault(store, key_path)


@pytest.mark.parametrize("spoil", [lambda s: s[:-1], lambda s: b"\x02" + s[1:], lambda s: b""])
def test_a_spoiled_seal_does_not_open(spoil: object) -> None:
    vault = Vault(b"k" * 32)
    sealed = vault.seal("de_1", SECRET)
    assert vault.seal("de_1", SECRET) != sealed  # a fresh nonce each time
    with pytest.raises(SealBroken):
        vault.open("de_1", spoil(sealed))  # type: ignore[operator]
    with pytest.raises(SealBroken):
        vault.open("de_2", sealed)

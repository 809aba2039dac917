"""What the registry raises. Every message is a sentence with the next step.

RegistryError
├── ValidationFailed   a field of the input is wrong: field, code, sentence   (HTTP 422)
├── NotFound           no such object: noun, object_id                        (HTTP 404)
├── Conflict           the state forbids it: field, code, sentence            (HTTP 409)
│   └── RightsChanged  since the right to it was decided: decide again
├── EntryRefused       one entry of several, of which nothing was done: entry, cause
├── DemoRefused        seeding a registry that is not the demo's
├── StoreError         the file, the database or its schema
│   ├── SchemaTooNew   written by a newer program
│   ├── SchemaMissing  not migrated yet
│   ├── StoreUnfit     no URL of a database, or none that can hold a registry
│   ├── StoreBusy      another process held the write lock too long           (HTTP 503)
│   └── StoreUnavailable  the database does not answer                        (HTTP 503)
├── VaultError         the key file or a sealed password
│   ├── VaultKeyMissing, VaultKeyWrong, VaultKeyExposed
│   └── SealBroken     a sealed password that does not open
├── AuditError         what makes the audit provable
│   ├── AuditKeyUnfit  the signing key, or a public key, is none
│   ├── RootsUnfit     the root files say otherwise than the registry
│   └── AuditBroken    rows that do not verify: they are neither signed nor cut
└── BackupError        a backup that is made or restored
    ├── BackupRefused  the state or the input forbids it: code, sentence
    ├── BackupDamaged  the file is none, cut short or altered
    └── PassphraseWrong
"""

from __future__ import annotations


class RegistryError(Exception):
    """The root; `code` is stable snake_case, `str()` is a sentence."""

    code = "registry_error"


class ValidationFailed(RegistryError):
    def __init__(self, field: str, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field
        self.code = code
        self.sentence = sentence


class NotFound(RegistryError):
    code = "not_found"

    def __init__(self, noun: str, object_id: str) -> None:
        super().__init__(f"There is no {noun} {object_id!r}.")
        self.noun = noun
        self.object_id = object_id


class Conflict(RegistryError):
    def __init__(self, field: str, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field
        self.code = code
        self.sentence = sentence


class RightsChanged(Conflict):
    """Between the decision that the caller may and the change itself."""

    def __init__(self) -> None:
        super().__init__("rights", "registry_changed", "Rights have changed meanwhile; ask again.")


class EntryRefused(RegistryError):
    """`entry`: which of them, from 0. `cause`: what was raised about it."""

    def __init__(self, entry: int, cause: Exception) -> None:
        super().__init__(str(cause))
        self.entry = entry
        self.cause = cause
        self.code = getattr(cause, "code", self.code)


class DemoRefused(RegistryError):
    code = "demo_refused"


class StoreError(RegistryError):
    code = "store_error"


class SchemaTooNew(StoreError):
    code = "schema_too_new"


class SchemaMissing(StoreError):
    code = "schema_missing"


class StoreUnfit(StoreError):
    code = "store_unfit"


class StoreBusy(StoreError):
    code = "store_busy"


class StoreUnavailable(StoreError):
    code = "store_unavailable"


class VaultError(RegistryError):
    code = "vault_error"


class VaultKeyMissing(VaultError):
    code = "vault_key_missing"


class VaultKeyWrong(VaultError):
    code = "vault_key_wrong"


class VaultKeyExposed(VaultError):
    code = "vault_key_exposed"


class SealBroken(VaultError):
    code = "seal_broken"


class AuditError(RegistryError):
    code = "audit_error"


class AuditKeyUnfit(AuditError):
    code = "audit_key_unfit"


class RootsUnfit(AuditError):
    code = "audit_roots_unfit"


class AuditBroken(AuditError):
    code = "audit_broken"


class BackupError(RegistryError):
    code = "backup_error"


class BackupRefused(BackupError):
    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class BackupDamaged(BackupError):
    code = "backup_damaged"


class PassphraseWrong(BackupError):
    code = "passphrase_wrong"

"""The store's interface to what subjects are let in by."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from ..credentials import ApiKey, Identity, SecondFactor, SignIn
from ..domain import Grant, Role


class SignInReader(Protocol):
    async def get(self, sign_in_id: str) -> SignIn | None: ...
    async def is_known(self, id_hash: str) -> bool: ...
    async def all(self) -> list[SignIn]:
        """Every sign-in, oldest first: for caches that follow the feed."""
        ...

    async def of_subject(self, subject_id: str) -> list[SignIn]:
        """Oldest first."""
        ...


class SignInRepo(SignInReader, Protocol):
    async def add(self, sign_in: SignIn) -> None: ...
    async def extend(self, sign_in_id: str, expires_at: datetime) -> None:
        """One that has been ended meanwhile stays so."""
        ...

    async def delete(self, sign_in_ids: Collection[str]) -> int: ...
    async def delete_of_subject(self, subject_id: str, *, but: str | None = None) -> int: ...
    async def delete_expired(self, now: datetime) -> int: ...


class ApiKeyReader(Protocol):
    async def get(self, key_id: str) -> ApiKey | None: ...
    async def is_known(self, key_hash: str) -> bool: ...
    async def all(self) -> list[ApiKey]:
        """Every key, oldest first: for caches that follow the feed."""
        ...

    async def of_subject(self, subject_id: str) -> list[ApiKey]:
        """Oldest first."""
        ...


class ApiKeyRepo(ApiKeyReader, Protocol):
    async def add(self, key: ApiKey) -> None: ...
    async def set_used(self, key_id: str, at: datetime) -> None:
        """Writes no changes row: nothing is decided by it."""
        ...

    async def delete(self, key_id: str) -> None: ...


class SecondFactorReader(Protocol):
    async def get(self, subject_id: str) -> SecondFactor | None: ...
    async def count(self) -> int: ...
    async def recovery_codes_left(self, subject_id: str) -> int: ...


class SecondFactorRepo(SecondFactorReader, Protocol):
    """What changes whether a subject has one writes the changes row of the subject."""

    async def put(self, factor: SecondFactor) -> None:
        """In place of the one before, and without recovery codes."""
        ...

    async def confirm(self, subject_id: str, code_hashes: Collection[str]) -> None: ...
    async def take_step(self, subject_id: str, step: int) -> bool:
        """False when a code of this time step or a later one was taken before."""
        ...

    async def take_recovery_code(self, subject_id: str, code_hash: str) -> bool:
        """False when there is no such code (any more)."""
        ...

    async def delete(self, subject_id: str) -> bool:
        """With the recovery codes."""
        ...


class IdentityReader(Protocol):
    async def subject_id(self, identity: Identity) -> str | None: ...
    async def of_subject(self, subject_id: str) -> list[Identity]: ...
    async def granted(self, subject_id: str) -> list[Grant]:
        """The grants that follow the provider, those revoked left out."""
        ...

    async def roles(self, subject_id: str) -> list[Role]:
        """Those that it is in by the provider's word, by name."""
        ...


class IdentityRepo(IdentityReader, Protocol):
    async def add(self, identity: Identity, subject_id: str) -> None:
        """Raises `Conflict(code="identity_taken")`."""
        ...

    async def add_grant(self, grant: Grant) -> None:
        """A grant that is stored already follows the provider from now on."""
        ...

    async def delete_of_subject(self, subject_id: str) -> int: ...

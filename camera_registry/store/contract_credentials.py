"""The store's interface to what subjects are let in by."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from ..credentials import ApiKey, SignIn


class SignInReader(Protocol):
    async def get(self, sign_in_id: str) -> SignIn | None: ...
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

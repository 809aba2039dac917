"""The store's interface for roles, purposes and grants. See `contract`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from ..domain import Grant, Page, Purpose, Role


class RoleReader(Protocol):
    async def get(self, role_id: str) -> Role | None: ...
    async def all(self) -> list[Role]:
        """Every role, by name."""
        ...

    async def members(self, role_id: str) -> frozenset[str]:
        """Ids of its subjects."""
        ...

    async def all_members(self) -> Mapping[str, frozenset[str]]:
        """Ids of subjects by role; roles without any are left out."""
        ...


class RoleRepo(RoleReader, Protocol):
    async def add(self, role: Role) -> None:
        """Raises `Conflict(code="role_taken")`."""
        ...

    async def update(self, role: Role) -> None:
        """Raises `Conflict(code="role_taken")`."""
        ...

    async def delete(self, role_id: str) -> None:
        """Deletes its grants too; audit rows stay."""
        ...

    async def add_member(self, role_id: str, subject_id: str, *, of_provider: bool = False) -> bool:
        """False when that changes nothing. Who is in it by a provider's word and is put in by
        hand is in it by hand from then on; not the other way round."""
        ...

    async def remove_member(self, role_id: str, subject_id: str) -> bool:
        """False when it was not in it."""
        ...


class PurposeReader(Protocol):
    async def all(self) -> list[Purpose]:
        """By code."""
        ...


class PurposeRepo(PurposeReader, Protocol):
    async def put(self, purpose: Purpose) -> None:
        """Adds it, or gives it other words."""
        ...

    async def delete(self, code: str) -> bool: ...


class GrantReader(Protocol):
    async def get(self, grant_id: str) -> Grant | None: ...
    async def by_ids(self, ids: Collection[str]) -> list[Grant]: ...
    async def all_unrevoked(self) -> list[Grant]:
        """For caches that follow the feed; includes those not yet or no longer in their window."""
        ...

    async def page(
        self,
        *,
        subject_id: str | None = None,
        role_ids: Collection[str] = (),
        area_id: str | None = None,
        channel_id: str | None = None,
        include_revoked: bool = False,
        limit: int,
        cursor: str | None,
    ) -> Page[Grant]:
        """By (created_at, id). `subject_id` with `role_ids`: either suffices."""
        ...


class GrantRepo(GrantReader, Protocol):
    async def add(self, grant: Grant) -> None: ...
    async def add_many(self, grants: Sequence[Grant]) -> None: ...
    async def revoke_many(self, ids: Collection[str], at: datetime) -> None:
        """Those that are revoked already keep their time."""
        ...

    async def revoke(self, grant_id: str, at: datetime) -> Grant | None:
        """The grant as it now is; None when there is none. Revoking twice keeps the first time."""
        ...

"""The store's interface for quotas. See `contract`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ..quotas import Quota


class QuotaReader(Protocol):
    async def all(self) -> list[Quota]:
        """By holder."""
        ...

    async def get(self, holder_id: str) -> Quota | None: ...
    async def count(self) -> int: ...
    async def homes(self) -> Mapping[str, str]:
        """The area that each subject is of, by the subject's id; those of none are left out."""
        ...

    async def home_of(self, subject_id: str) -> str | None: ...


class QuotaRepo(QuotaReader, Protocol):
    async def put(self, quota: Quota) -> None:
        """In place of the one that the holder has."""
        ...

    async def delete(self, holder_id: str) -> bool: ...
    async def set_home(self, subject_id: str, area_id: str | None) -> None: ...

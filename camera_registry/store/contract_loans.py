"""The store's interface for loans. See `contract`."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from ..domain import Page
from ..loans import Loan


class LoanReader(Protocol):
    """Loans come with what their grants say now."""

    async def get(self, loan_id: str) -> Loan | None: ...
    async def of_subject(self, subject_id: str) -> list[Loan]:
        """Oldest first."""
        ...

    async def page(self, subject_id: str, *, limit: int, cursor: str | None) -> Page[Loan]:
        """The subject's, newest first."""
        ...

    async def unfinished(self, now: datetime) -> list[Loan]:
        """Everybody's that are open or running, oldest first."""
        ...


class LoanRepo(LoanReader, Protocol):
    async def add(self, loan: Loan) -> None: ...
    async def update(self, loan: Loan) -> None:
        """Writes the answer or the withdrawal; what its grant says is the grant's to write."""
        ...

    async def delete(self, loan_ids: Collection[str]) -> None:
        """Their grants stay."""
        ...

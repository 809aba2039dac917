"""Use cases about grants, and the purposes that a district accepts.

Whether the caller may do them is decided before, in `streamhub.access`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from . import validation as check
from .domain import Actor, Grant, Page, Purpose
from .drafts import GrantDraft
from .errors import Conflict, EntryRefused, NotFound, RegistryError, ValidationFailed
from .grant_batch import MAX_CHANGES, GrantBatch
from .store.contract import Store
from .units import Clock, Units

MAX_PURPOSES: Final = 50  # a list to choose from


class GrantCases:
    """The part of `People` about grants."""

    _store: Store
    _units: Units
    _clock: Clock

    async def get_grant(self, grant_id: str) -> Grant:
        async with self._store.read() as tx:
            grant = await tx.grants.get(grant_id)
        if grant is None:
            raise NotFound("grant", grant_id)
        return grant

    async def list_grants(
        self,
        *,
        subject_id: str | None = None,
        role_ids: Collection[str] = (),
        area_id: str | None = None,
        channel_id: str | None = None,
        include_revoked: bool = False,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Grant]:
        """By creation. `area_id` and `channel_id` match the grant's own target only, `subject_id`
        those given to it by itself, or to one of `role_ids`."""
        limit = check.integer("limit", limit, 1, check.MAX_PAGE)
        async with self._store.read() as tx:
            return await tx.grants.page(
                subject_id=subject_id,
                role_ids=role_ids,
                area_id=area_id,
                channel_id=channel_id,
                include_revoked=include_revoked,
                limit=limit,
                cursor=cursor,
            )

    async def get_grants(self, ids: Collection[str]) -> list[Grant]:
        """Those of them that there are."""
        async with self._store.read() as tx:
            return await tx.grants.by_ids(ids)

    async def create_grant(self, draft: GrantDraft, by: Actor) -> Grant:
        """Raises ValidationFailed: unknown action, area, channel, subject or role, and what
        `grant_terms` says of the rest."""
        return await self._changed(draft, by)

    async def revoke_grant(self, grant_id: str, by: Actor) -> Grant:
        """The grant as it now is; revoking twice changes nothing and is not audited again. Raises
        NotFound."""
        return await self._changed(grant_id, by)

    async def change_grants(self, changes: Sequence[GrantDraft | str], by: Actor) -> list[Grant]:
        """Grants that are made, and (by id) such that are revoked: all of them in one transaction,
        an audit row each, or none. In order, as they are then.

        Raises EntryRefused about the first that can't be; ValidationFailed("changes").
        """
        if not 1 <= len(changes) <= MAX_CHANGES:
            raise ValidationFailed("changes", "out_of_range", f"Give 1 to {MAX_CHANGES} changes.")
        now = self._clock()
        async with self._units.begin(by) as unit:
            batch = await GrantBatch.begin(unit, changes, now)
            for number, change in enumerate(changes):
                try:
                    batch.take(change)
                except RegistryError as refused:
                    raise EntryRefused(number, refused) from refused
            await batch.write()
        return batch.grants

    async def _changed(self, change: GrantDraft | str, by: Actor) -> Grant:
        try:
            [grant] = await self.change_grants([change], by)
        except EntryRefused as refused:
            raise refused.cause from None
        return grant

    # --- purposes ---------------------------------------------------------------------------------

    async def list_purposes(self) -> list[Purpose]:
        """By code."""
        async with self._store.read() as tx:
            return await tx.purposes.all()

    async def put_purpose(
        self, code: str, zh: str, en: str, by: Actor, *, needs_note: bool | None = None
    ) -> Purpose:
        """Adds one, or changes what it says. `needs_note` None: as it was, of a new one no. Raises
        ValidationFailed, Conflict("too_many_purposes")."""
        purpose = Purpose(
            check.short_name("code", "A purpose's code", code),
            check.name("zh", zh),
            check.name("en", en),
        )
        async with self._units.begin(by) as unit:
            known = {each.code: each for each in await unit.tx.purposes.all()}
            if needs_note is None:
                needs_note = known.get(purpose.code, purpose).needs_note
            purpose = replace(purpose, needs_note=needs_note)
            if purpose.code not in known and len(known) >= MAX_PURPOSES:
                raise Conflict(
                    "code", "too_many_purposes", f"There are {MAX_PURPOSES}; remove one first."
                )
            await unit.tx.purposes.put(purpose)
            await unit.record(
                "purpose_put",
                code=purpose.code,
                zh=purpose.zh,
                en=purpose.en,
                needs_note=purpose.needs_note,
            )
        return purpose

    async def remove_purpose(self, code: str, by: Actor) -> None:
        """Views that were opened with it and need one end."""
        async with self._units.begin(by) as unit:
            if not await unit.tx.purposes.delete(code):
                raise NotFound("purpose", code)
            await unit.record("purpose_remove", code=code)

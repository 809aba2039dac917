"""Use cases about what subjects are let in by: sign-ins and API keys, and ending them.

Whether the caller may do them is decided before, in `streamhub.access`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from . import validation as check
from .credentials import ApiKey, SignIn
from .domain import Actor
from .errors import Conflict, NotFound, ValidationFailed
from .feed import ChangeFeed
from .store.contract import Store, WriteTx
from .units import Units

# One for each program of a sub-platform, and room to exchange them.
MAX_KEYS_OF_SUBJECT = 20
MAX_AREAS_OF_KEY = 50


class Credentials:
    def __init__(self, store: Store, feed: ChangeFeed | None = None) -> None:
        self._store = store
        self._units = Units(store, feed)

    async def sign_ins_of(self, subject_id: str) -> list[SignIn]:
        """Oldest first; those that have run out may still be among them. Raises NotFound."""
        async with self._store.read() as tx:
            if await tx.subjects.get(subject_id) is None:
                raise NotFound("subject", subject_id)
            return await tx.sign_ins.of_subject(subject_id)

    async def end_sign_in(self, subject_id: str, sign_in_id: str, by: Actor) -> None:
        """Its cookie is worth nothing any more. Raises NotFound when it is not the subject's."""
        async with self._units.begin(by) as unit:
            row = await unit.tx.sign_ins.get(sign_in_id)
            if row is None or row.subject_id != subject_id:
                raise NotFound("sign-in", sign_in_id)
            await unit.tx.sign_ins.delete([sign_in_id])
            await unit.record(
                "sign_in_ended", sign_in=sign_in_id, of=await _name(unit.tx, subject_id)
            )

    async def end_sign_ins(self, subject_id: str, by: Actor, *, but: str | None = None) -> int:
        """All of the subject's, but for one. How many there were; raises NotFound."""
        async with self._units.begin(by) as unit:
            name = await _name(unit.tx, subject_id)
            ended = await unit.tx.sign_ins.delete_of_subject(subject_id, but=but)
            if ended:
                await unit.record("sign_ins_ended", of=name, number=ended)
        return ended

    async def keys_of(self, subject_id: str) -> list[ApiKey]:
        """Oldest first; those that have run out are among them. Raises NotFound."""
        async with self._store.read() as tx:
            if await tx.subjects.get(subject_id) is None:
                raise NotFound("subject", subject_id)
            return await tx.api_keys.of_subject(subject_id)

    async def add_key(self, key: ApiKey, by: Actor) -> ApiKey:
        """Raises NotFound; ValidationFailed: unknown action or area, bad name;
        Conflict("too_many_keys")."""
        name = check.name("name", key.name)
        actions = None if key.actions is None else check.actions(key.actions)
        if key.area_ids is not None and not 1 <= len(key.area_ids) <= MAX_AREAS_OF_KEY:
            raise ValidationFailed(
                "area_ids", "out_of_range", f"Name 1 to {MAX_AREAS_OF_KEY} areas, or none at all."
            )
        key = replace(key, name=name, actions=actions)
        async with self._units.begin(by) as unit:
            of = await _name(unit.tx, key.subject_id)
            if len(await unit.tx.api_keys.of_subject(key.subject_id)) >= MAX_KEYS_OF_SUBJECT:
                raise Conflict(
                    "name",
                    "too_many_keys",
                    f"A subject has at most {MAX_KEYS_OF_SUBJECT} keys; revoke one first.",
                )
            for area_id in key.area_ids or ():
                if await unit.tx.areas.get(area_id) is None:
                    raise ValidationFailed(
                        "area_ids", "unknown_area", "There is no such area; choose one that exists."
                    )
            await unit.tx.api_keys.add(key)
            await unit.tx.subjects.add_keeper(key.subject_id, by.person)
            await unit.record(
                "key_create",
                key=key.id,
                prefix=key.prefix,
                name=name,
                of=of,
                actions=None if actions is None else sorted(actions),
                area_ids=None if key.area_ids is None else sorted(key.area_ids),
                expires_at=key.expires_at.isoformat(),
            )
        return key

    async def revoke_key(self, subject_id: str, key_id: str, by: Actor) -> None:
        """It opens nothing any more. Raises NotFound when it is not the subject's."""
        async with self._units.begin(by) as unit:
            key = await unit.tx.api_keys.get(key_id)
            if key is None or key.subject_id != subject_id:
                raise NotFound("key", key_id)
            await unit.tx.api_keys.delete(key_id)
            of = await _name(unit.tx, subject_id)
            await unit.record("key_revoke", key=key_id, prefix=key.prefix, name=key.name, of=of)

    async def note_key_used(self, key_id: str, at: datetime) -> None:
        async with self._store.write() as tx:
            await tx.api_keys.set_used(key_id, at)


async def _name(tx: WriteTx, subject_id: str) -> str:
    subject = await tx.subjects.get(subject_id)
    if subject is None:
        raise NotFound("subject", subject_id)
    return subject.username

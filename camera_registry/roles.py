"""Use cases about roles: named sets of subjects that are granted things together.

Whether the caller may do them is decided before, in `streamhub.access`.
"""

from __future__ import annotations

from typing import Final

from . import validation as check
from .domain import Actor, Role, Subject, new_id
from .drafts import RoleDraft
from .errors import Conflict, NotFound, ValidationFailed
from .store.contract import ReadTx, Store, WriteTx
from .units import Units

# Facts hold all of them in memory; a district has some dozens of posts.
MAX_ROLES: Final = 1_000
MAX_MEMBERS: Final = 5_000


class RoleCases:
    """The part of `People` about roles."""

    _store: Store
    _units: Units

    async def list_roles(self) -> list[Role]:
        """By name."""
        async with self._store.read() as tx:
            return await tx.roles.all()

    async def get_role(self, role_id: str) -> Role:
        async with self._store.read() as tx:
            return await _role(tx, role_id)

    async def role_members(self, role_id: str) -> list[Subject]:
        """By username. Raises NotFound."""
        async with self._store.read() as tx:
            await _role(tx, role_id)
            ids = await tx.roles.members(role_id)
            return [each for each in await tx.subjects.all() if each.id in ids]

    async def create_role(self, draft: RoleDraft, by: Actor) -> Role:
        """Raises ValidationFailed, Conflict("role_taken", "too_many_roles")."""
        role = Role(
            id=new_id("ro"),
            name=check.short_name("name", "A role's name", draft.name),
            display_name=check.name("display_name", draft.display_name),
        )
        async with self._units.begin(by) as unit:
            if len(await unit.tx.roles.all()) >= MAX_ROLES:
                raise Conflict(
                    "name", "too_many_roles", f"There are {MAX_ROLES} roles; delete some first."
                )
            await unit.tx.roles.add(role)
            await unit.record("role_create", id=role.id, name=role.name)
        return role

    async def rename_role(self, role_id: str, draft: RoleDraft, by: Actor) -> Role:
        """Raises NotFound, ValidationFailed, Conflict("role_taken")."""
        role = Role(
            role_id,
            check.short_name("name", "A role's name", draft.name),
            check.name("display_name", draft.display_name),
        )
        async with self._units.begin(by) as unit:
            before = await _role(unit.tx, role_id)
            await unit.tx.roles.update(role)
            await unit.record("role_update", id=role_id, name=role.name, before=before.name)
        return role

    async def delete_role(self, role_id: str, by: Actor) -> None:
        """Its grants go too; views that rested on them end. Raises NotFound."""
        async with self._units.begin(by) as unit:
            role = await _role(unit.tx, role_id)
            await unit.tx.roles.delete(role_id)
            await unit.record("role_delete", id=role_id, name=role.name)

    async def add_member(self, role_id: str, subject_id: str, by: Actor) -> None:
        """A second time changes nothing. Who is in it by a provider's word is in it by hand from
        now on, and stays when that word ends. Raises NotFound, ValidationFailed("unknown_subject"),
        Conflict("too_many_members")."""
        async with self._units.begin(by) as unit:
            role = await _role(unit.tx, role_id)
            subject = await unit.tx.subjects.get(subject_id)
            if subject is None:
                raise ValidationFailed(
                    "subject_id",
                    "unknown_subject",
                    "There is no such subject; choose one that exists.",
                )
            if len(await unit.tx.roles.members(role_id)) >= MAX_MEMBERS:
                raise Conflict(
                    "subject_id", "too_many_members", f"A role has at most {MAX_MEMBERS} members."
                )
            if await unit.tx.roles.add_member(role_id, subject_id):
                await unit.record(
                    "role_member_add", id=role_id, role=role.name, member=subject.username
                )

    async def remove_member(self, role_id: str, subject_id: str, by: Actor) -> None:
        """Views that rested on it end. Raises NotFound for the role, and for who is not in it."""
        async with self._units.begin(by) as unit:
            role = await _role(unit.tx, role_id)
            subject = await unit.tx.subjects.get(subject_id)
            if not await unit.tx.roles.remove_member(role_id, subject_id):
                raise NotFound("member", subject_id)
            await unit.record(
                "role_member_remove",
                id=role_id,
                role=role.name,
                member=subject_id if subject is None else subject.username,
            )


async def _role(tx: ReadTx | WriteTx, role_id: str) -> Role:
    role = await tx.roles.get(role_id)
    if role is None:
        raise NotFound("role", role_id)
    return role

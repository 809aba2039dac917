"""Use cases about who subjects are at an OpenID provider: found or made at a sign-in, and granted,
and put into roles by, what the provider's word stands for."""

from __future__ import annotations

from collections.abc import Collection

import structlog

from . import validation as check
from .credentials import Identity, Wanted, WantedGrant
from .domain import Actor, Grant, Role, Subject, SubjectKind, new_id
from .drafts import SubjectDraft
from .errors import NotFound
from .feed import ChangeFeed
from .first_start import nobody
from .roles import MAX_MEMBERS
from .store.contract import Store
from .units import Clock, Unit, Units, utc_now

_log = structlog.get_logger("camera_registry.identities")


class Identities:
    def __init__(
        self, store: Store, feed: ChangeFeed | None = None, *, clock: Clock = utc_now
    ) -> None:
        self._store = store
        self._units = Units(store, feed)
        self._clock = clock

    async def of_subject(self, subject_id: str) -> list[Identity]:
        async with self._store.read() as tx:
            if await tx.subjects.get(subject_id) is None:
                raise NotFound("subject", subject_id)
            return await tx.identities.of_subject(subject_id)

    async def link(self, subject_id: str, identity: Identity, by: Actor) -> None:
        """From now on this is who signs in as the subject. Raises NotFound,
        Conflict("identity_taken")."""
        async with self._units.begin(by) as unit:
            subject = await unit.tx.subjects.get(subject_id)
            if subject is None:
                raise NotFound("subject", subject_id)
            if await unit.tx.identities.delete_of_subject(subject_id):
                await _put_out(unit, subject)
            await unit.tx.identities.add(identity, subject_id)
            await unit.record("identity_link", of=subject.username, issuer=identity.issuer)

    async def unlink(self, subject_id: str, by: Actor) -> None:
        """Its sign-ins end; no error when it was not linked. Raises NotFound."""
        async with self._units.begin(by) as unit:
            subject = await unit.tx.subjects.get(subject_id)
            if subject is None:
                raise NotFound("subject", subject_id)
            if await unit.tx.identities.delete_of_subject(subject_id):
                await _put_out(unit, subject)
                await self._give(unit, subject, Wanted())  # nobody would take it back any more
                await unit.record("identity_unlink", of=subject.username)

    async def arrive(
        self,
        identity: Identity,
        wanted: Wanted,
        *,
        draft: SubjectDraft | None,
        remote: str,
    ) -> Subject | None:
        """Who it is here, with the grants and roles that are `wanted` and no more of those that
        followed the provider before; those by hand are left alone. Somebody new is made by
        `draft`; without one, None. Raises ValidationFailed, Conflict("username_taken"): an account
        that is there already is never taken over by its name."""
        by = Actor(None, "oidc", remote)
        async with self._units.begin(by) as unit:
            subject_id = await unit.tx.identities.subject_id(identity)
            subject = None if subject_id is None else await unit.tx.subjects.get(subject_id)
            if subject is None:
                # The first subject is whoever has the setup code, not whoever comes first.
                if draft is None or await nobody(unit.tx.subjects):
                    return None
                subject = await self._make(unit, identity, draft)
            if subject.enabled:
                await self._give(unit, subject, wanted)
        return subject

    async def _make(self, unit: Unit, identity: Identity, draft: SubjectDraft) -> Subject:
        subject = Subject(
            id=new_id("su"),
            username=check.username(draft.username),
            display_name=check.name("display_name", draft.display_name),
            kind=SubjectKind.PERSON,
        )
        await unit.tx.subjects.add(subject)
        await unit.tx.identities.add(identity, subject.id)
        await unit.record(
            "subject_create", id=subject.id, username=subject.username, issuer=identity.issuer
        )
        return subject

    async def _give(self, unit: Unit, subject: Subject, wanted: Wanted) -> None:
        await self._grant(unit, subject, wanted.grants)
        await _join(unit, subject, wanted.roles)

    async def _grant(self, unit: Unit, subject: Subject, wanted: Collection[WantedGrant]) -> None:
        """The one place where a provider's word becomes grants."""
        now = self._clock()
        targets: set[tuple[frozenset[str], str]] = set()
        for each in wanted:
            area = await unit.tx.areas.by_code(each.area_code)
            if area is None:
                _log.warning("provider_names_unknown_area", area_code=each.area_code)
            else:
                targets.add((check.actions(each.actions), area.id))
        for grant in await unit.tx.identities.granted(subject.id):
            target = (grant.actions, grant.area_id or "")
            if target in targets:
                targets.discard(target)
                continue
            await unit.tx.grants.revoke(grant.id, now)
            await _record(unit, "grant_revoke", grant, subject)
        for actions, area_id in sorted(targets, key=lambda each: (each[1], sorted(each[0]))):
            grant = Grant(new_id("gr"), subject.id, actions, area_id, None, now, None, now)
            await unit.tx.grants.add(grant)
            await unit.tx.identities.add_grant(grant)
            await _record(unit, "grant_create", grant, subject)


async def _join(unit: Unit, subject: Subject, wanted: Collection[str]) -> None:
    """The one place where a provider's word becomes memberships of roles."""
    rows = await unit.tx.roles.all()
    # Ids last: a role that is called like another's id is not the other.
    known = {row.name: row for row in rows} | {row.id: row for row in rows}
    targets: dict[str, Role] = {}
    for each in sorted(wanted):
        if each in known:
            targets[known[each].id] = known[each]
        else:
            _log.warning(
                "provider_names_unknown_role",
                role=each,
                mend="Correct [[oidc.roles]] by `streamhub role list`, or add the role.",
            )
    for role in await unit.tx.identities.roles(subject.id):
        if role.id not in targets:
            await unit.tx.roles.remove_member(role.id, subject.id)
            await _record_member(unit, "role_member_remove", role, subject)
    for role in targets.values():
        members = await unit.tx.roles.members(role.id)
        if subject.id in members:
            continue
        if len(members) >= MAX_MEMBERS:
            _log.warning("provider_names_full_role", role=role.name, members=len(members))
            continue
        await unit.tx.roles.add_member(role.id, subject.id, of_provider=True)
        await _record_member(unit, "role_member_add", role, subject)


async def _put_out(unit: Unit, subject: Subject) -> None:
    """Who came in by the former identity is out: sign-ins, tokens and tickets."""
    await unit.tx.sign_ins.delete_of_subject(subject.id)
    await unit.tx.subjects.update(subject)  # raises its version


async def _record(unit: Unit, act: str, grant: Grant, subject: Subject) -> None:
    await unit.record(
        act,
        area_id=grant.area_id,
        id=grant.id,
        to=subject.username,
        actions=sorted(grant.actions),
    )


async def _record_member(unit: Unit, act: str, role: Role, subject: Subject) -> None:
    await unit.record(act, id=role.id, role=role.name, member=subject.username)

"""Use cases about who asks and what they were granted: subjects and grants.

Whether the caller may do them is decided before, in `streamhub.access`; hashing of passwords is
done there too: only finished argon2 hashes come in here.
"""

from __future__ import annotations

from dataclasses import replace

from . import validation as check
from .domain import Actor, Grant, Page, Subject, SubjectKind, new_id
from .drafts import GrantDraft, SubjectChanges, SubjectDraft
from .errors import NotFound, ValidationFailed
from .feed import ChangeFeed
from .store.contract import Store
from .units import Clock, Units, utc_now


class People:
    def __init__(
        self, store: Store, feed: ChangeFeed | None = None, *, clock: Clock = utc_now
    ) -> None:
        self._store = store
        self._units = Units(store, feed)
        self._clock = clock

    async def find_for_sign_in(self, username: str) -> tuple[Subject, str | None] | None:
        """The subject and its argon2 hash, enabled or not; None when there is none."""
        async with self._store.read() as tx:
            subject = await tx.subjects.by_username(username.strip().lower())
            if subject is None:
                return None
            return subject, await tx.subjects.password_hash(subject.id)

    async def get_subject(self, subject_id: str) -> Subject:
        async with self._store.read() as tx:
            subject = await tx.subjects.get(subject_id)
        if subject is None:
            raise NotFound("subject", subject_id)
        return subject

    async def list_subjects(
        self, *, q: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Subject]:
        """By username. Raises ValidationFailed for a bad limit, cursor or query."""
        limit = check.integer("limit", limit, 1, check.MAX_PAGE)
        async with self._store.read() as tx:
            return await tx.subjects.page(q=check.search_text(q), limit=limit, cursor=cursor)

    async def create_subject(
        self, draft: SubjectDraft, by: Actor, password_hash: str | None = None
    ) -> Subject:
        """Raises ValidationFailed, or Conflict("username_taken")."""
        subject = Subject(
            id=new_id("su"),
            username=check.username(draft.username),
            display_name=check.name("display_name", draft.display_name),
            kind=check.one_of("kind", draft.kind, SubjectKind),
            enabled=draft.enabled,
        )
        async with self._units.begin(by) as unit:
            await unit.tx.subjects.add(subject, password_hash)
            await unit.record("subject_create", id=subject.id, username=subject.username)
        return subject

    async def update_subject(self, subject_id: str, changes: SubjectChanges, by: Actor) -> Subject:
        """Raises the version, so that tokens of before are void; disabling ends its sign-ins."""
        check.only_known(changes, SubjectChanges.__annotations__)
        async with self._units.begin(by) as unit:
            subject = await unit.tx.subjects.get(subject_id)
            if subject is None:
                raise NotFound("subject", subject_id)
            subject = await unit.tx.subjects.update(
                replace(
                    subject,
                    display_name=check.name(
                        "display_name", changes.get("display_name", subject.display_name)
                    ),
                    enabled=changes.get("enabled", subject.enabled),
                )
            )
            if not subject.enabled:
                await unit.tx.sign_ins.delete_of_subject(subject_id)
            await unit.record(
                "subject_update", id=subject_id, username=subject.username, changed=dict(changes)
            )
        return subject

    async def set_password_hash(self, subject_id: str, password_hash: str, by: Actor) -> Subject:
        """Sets an argon2 hash; ends its sign-ins and voids its tokens."""
        async with self._units.begin(by) as unit:
            if await unit.tx.subjects.get(subject_id) is None:
                raise NotFound("subject", subject_id)
            subject = await unit.tx.subjects.set_password_hash(subject_id, password_hash)
            await unit.tx.sign_ins.delete_of_subject(subject_id)
            await unit.record("subject_password", id=subject_id, username=subject.username)
        return subject

    async def delete_subject(self, subject_id: str, by: Actor) -> None:
        """Its grants and sign-ins go too; its audit rows stay."""
        async with self._units.begin(by) as unit:
            subject = await unit.tx.subjects.get(subject_id)
            if subject is None:
                raise NotFound("subject", subject_id)
            await unit.tx.subjects.delete(subject_id)
            await unit.record("subject_delete", id=subject_id, username=subject.username)

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
        area_id: str | None = None,
        channel_id: str | None = None,
        include_revoked: bool = False,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Grant]:
        """By creation. `area_id` and `channel_id` match the grant's own target only."""
        limit = check.integer("limit", limit, 1, check.MAX_PAGE)
        async with self._store.read() as tx:
            return await tx.grants.page(
                subject_id=subject_id,
                area_id=area_id,
                channel_id=channel_id,
                include_revoked=include_revoked,
                limit=limit,
                cursor=cursor,
            )

    async def create_grant(self, draft: GrantDraft, by: Actor) -> Grant:
        """Raises ValidationFailed: unknown action, area, channel or subject, empty window."""
        actions = check.actions(draft.actions)
        if (draft.area_id is None) == (draft.channel_id is None):
            raise ValidationFailed(
                "area_id", "grant_target", "Grant on one area or on one channel, not on both."
            )
        now = self._clock()
        valid_from = draft.valid_from or now
        for field, moment in (("valid_from", valid_from), ("valid_until", draft.valid_until)):
            if moment is not None and moment.tzinfo is None:
                raise ValidationFailed(
                    field, "time_without_offset", "Give the time with its offset, e.g. +08:00."
                )
            # At the ends of the calendar a time has no UTC, and can't be kept.
            if moment is not None and not 1 < moment.year < 9999:
                raise ValidationFailed(field, "out_of_range", "Give a year between 2 and 9998.")
        if draft.valid_until is not None and draft.valid_until <= max(valid_from, now):
            raise ValidationFailed(
                "valid_until", "window_empty", "The grant would end before it begins."
            )
        grant = Grant(
            id=new_id("gr"),
            subject_id=draft.subject_id,
            actions=actions,
            area_id=draft.area_id,
            channel_id=draft.channel_id,
            valid_from=valid_from,
            valid_until=draft.valid_until,
            created_at=now,
        )
        async with self._units.begin(by) as unit:
            tx = unit.tx
            subject = await tx.subjects.get(draft.subject_id)
            if subject is None:
                raise _unknown("subject_id", "unknown_subject", "subject")
            if draft.area_id is not None and await tx.areas.get(draft.area_id) is None:
                raise _unknown("area_id", "unknown_area", "area")
            if draft.channel_id is not None and await tx.channels.get(draft.channel_id) is None:
                raise _unknown("channel_id", "unknown_channel", "channel")
            await tx.grants.add(grant)
            await unit.record(
                "grant_create",
                channel_id=grant.channel_id,
                area_id=grant.area_id,
                id=grant.id,
                to=subject.username,
                actions=sorted(actions),
                valid_from=valid_from.isoformat(),
                valid_until=draft.valid_until.isoformat() if draft.valid_until else None,
            )
        return grant

    async def revoke_grant(self, grant_id: str, by: Actor) -> Grant:
        """The grant as it now is; revoking twice changes nothing and is not audited again."""
        async with self._units.begin(by) as unit:
            before = await unit.tx.grants.get(grant_id)
            if before is None:
                raise NotFound("grant", grant_id)
            if before.revoked_at is not None:
                return before
            grant = await unit.tx.grants.revoke(grant_id, self._clock())
            if grant is None:
                raise NotFound("grant", grant_id)
            subject = await unit.tx.subjects.get(grant.subject_id)
            await unit.record(
                "grant_revoke",
                channel_id=grant.channel_id,
                area_id=grant.area_id,
                id=grant.id,
                to=subject.username if subject else grant.subject_id,
                actions=sorted(grant.actions),
            )
        return grant


def _unknown(field: str, code: str, noun: str) -> ValidationFailed:
    return ValidationFailed(field, code, f"There is no such {noun}; choose one that exists.")

"""Use cases about who asks and what they were granted: subjects, and with `rights.py`,
`roles.py` and `quota_cases.py` grants, purposes, roles and quotas.

Whether the caller may do them is decided before, in `streamhub.access`; hashing of passwords is
done there too: only finished argon2 hashes come in here.
"""

from __future__ import annotations

from dataclasses import replace

from . import validation as check
from .credentials import SignInMethod
from .domain import Actor, Page, Subject, SubjectKind, new_id
from .drafts import NewPassword, SubjectChanges, SubjectDraft
from .errors import NotFound
from .feed import ChangeFeed
from .quota_cases import QuotaCases, put_home
from .rights import GrantCases
from .roles import RoleCases
from .store.contract import Store, WriteTx
from .units import Clock, Unit, Units, utc_now


class People(GrantCases, RoleCases, QuotaCases):
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
        """Raises ValidationFailed ("unknown_area" too), or Conflict("username_taken")."""
        subject = Subject(
            id=new_id("su"),
            username=check.username(draft.username),
            display_name=check.name("display_name", draft.display_name),
            kind=check.one_of("kind", draft.kind, SubjectKind),
            enabled=draft.enabled,
            must_change_password=draft.must_change_password,
        )
        async with self._units.begin(by) as unit:
            await unit.tx.subjects.add(subject, password_hash)
            if subject.kind is SubjectKind.SERVICE:
                await unit.tx.subjects.add_keeper(subject.id, by.person)
            await unit.record("subject_create", id=subject.id, username=subject.username)
            if draft.home_area_id is not None:
                await put_home(unit, subject, draft.home_area_id)
        return subject

    async def update_subject(
        self,
        subject_id: str,
        changes: SubjectChanges,
        by: Actor,
        *,
        password: NewPassword | None = None,
    ) -> Subject:
        """All of it or nothing. Raises the version, so that tokens of before are void, but for
        another home, by which quotas alone go; disabling, and another password, end its sign-ins.
        Raises NotFound, ValidationFailed ("unknown_area" too)."""
        check.only_known(changes, SubjectChanges.__annotations__)
        of_itself = {key: value for key, value in changes.items() if key != "home_area_id"}
        async with self._units.begin(by) as unit:
            subject = await _subject(unit.tx, subject_id)
            if of_itself:
                subject = await unit.tx.subjects.update(
                    replace(
                        subject,
                        display_name=check.name(
                            "display_name", changes.get("display_name", subject.display_name)
                        ),
                        enabled=changes.get("enabled", subject.enabled),
                        second_factor_required=changes.get(
                            "second_factor_required", subject.second_factor_required
                        ),
                    )
                )
                if not subject.enabled:
                    await unit.tx.sign_ins.delete_of_subject(subject_id)
                else:
                    await _end_tokens(unit.tx, subject_id)
                await unit.record(
                    "subject_update", id=subject_id, username=subject.username, changed=of_itself
                )
            if password is not None:
                subject = await _set_password(
                    unit, subject, password.hash, must_change=password.must_change
                )
            if "home_area_id" in changes:
                await put_home(unit, subject, changes["home_area_id"])
        return subject

    async def set_password_hash(
        self,
        subject_id: str,
        password_hash: str,
        by: Actor,
        *,
        must_change: bool = False,
        but: str | None = None,
    ) -> Subject:
        """Sets an argon2 hash; ends its sign-ins, but for one, and voids its tokens."""
        async with self._units.begin(by) as unit:
            subject = await _subject(unit.tx, subject_id)
            return await _set_password(
                unit, subject, password_hash, must_change=must_change, but=but
            )

    async def delete_subject(self, subject_id: str, by: Actor) -> None:
        """Its grants and sign-ins go too; its audit rows stay."""
        async with self._units.begin(by) as unit:
            subject = await _subject(unit.tx, subject_id)
            await unit.tx.subjects.delete(subject_id)
            await unit.record("subject_delete", id=subject_id, username=subject.username)


async def _subject(tx: WriteTx, subject_id: str) -> Subject:
    subject = await tx.subjects.get(subject_id)
    if subject is None:
        raise NotFound("subject", subject_id)
    return subject


async def _end_tokens(tx: WriteTx, subject_id: str) -> None:
    """They are void by the subject's new version."""
    rows = await tx.sign_ins.of_subject(subject_id)
    await tx.sign_ins.delete([row.id for row in rows if row.method is SignInMethod.TOKEN])


async def _set_password(
    unit: Unit,
    subject: Subject,
    password_hash: str,
    *,
    must_change: bool = False,
    but: str | None = None,
) -> Subject:
    subject = await unit.tx.subjects.set_password_hash(
        subject.id, password_hash, must_change=must_change
    )
    if subject.kind is SubjectKind.SERVICE:
        await unit.tx.subjects.add_keeper(subject.id, unit.by.person)
    await unit.tx.sign_ins.delete_of_subject(subject.id, but=but)
    await unit.record("subject_password", id=subject.id, username=subject.username)
    return subject

"""The first administrator of an empty registry: district, subject and grant in one commit.

Whether the caller may do it (the setup code) is decided before, in `streamhub.access`.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import validation as check
from .domain import ACTIONS, Actor, Area, AreaKind, Grant, Subject, SubjectKind, new_id
from .errors import Conflict
from .feed import ChangeFeed
from .store.contract import Store, SubjectReader
from .units import Clock, Units, utc_now


@dataclass(frozen=True, slots=True)
class FirstStartDraft:
    """`area_code` and `area_name` are of the district; not looked at where areas exist already."""

    username: str
    display_name: str
    area_code: str
    area_name: str


class FirstStart:
    """A registry needs it as long as there is no subject in it."""

    def __init__(
        self, store: Store, feed: ChangeFeed | None = None, *, clock: Clock = utc_now
    ) -> None:
        self._store = store
        self._units = Units(store, feed)
        self._clock = clock

    async def is_needed(self) -> bool:
        async with self._store.read() as tx:
            return await nobody(tx.subjects)

    async def make(self, draft: FirstStartDraft, password_hash: str, by: Actor) -> Subject:
        """The administrator, with all rights on every district there is.

        Raises ValidationFailed, or Conflict("setup_done") when a subject exists.
        """
        subject = Subject(
            id=new_id("su"),
            username=check.username(draft.username),
            display_name=check.name("display_name", draft.display_name),
            kind=SubjectKind.PERSON,
        )
        async with self._units.begin(by) as unit:
            tx = unit.tx
            if not await nobody(tx.subjects):
                raise Conflict(
                    "username", "setup_done", "An administrator exists already: sign in."
                )
            roots = [area for area in await tx.areas.all() if area.parent_id is None]
            if not roots:
                district = Area(
                    id=new_id("ar"),
                    parent_id=None,
                    kind=AreaKind.DISTRICT,
                    code=check.area_code(draft.area_code),
                    name=check.name("area_name", draft.area_name),
                )
                await tx.areas.add(district)
                roots = [district]
            await tx.subjects.add(subject, password_hash)
            now = self._clock()
            for root in roots:
                grant = Grant(
                    id=new_id("gr"),
                    subject_id=subject.id,
                    actions=ACTIONS,
                    area_id=root.id,
                    channel_id=None,
                    valid_from=now,
                    valid_until=None,
                    created_at=now,
                )
                await tx.grants.add(grant)
            await unit.record(
                "first_start",
                area_id=roots[0].id,
                id=subject.id,
                username=subject.username,
                areas=[root.name for root in roots],
            )
        return subject


async def nobody(subjects: SubjectReader) -> bool:
    return not (await subjects.page(q=None, limit=1, cursor=None)).items

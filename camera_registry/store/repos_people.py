"""SQL about subjects."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import ColumnElement, or_, select

from ..domain import ChangeKind, ChangeOp, Page, Subject
from ..errors import Conflict, NotFound
from . import schema
from .dialect import contains
from .repos_base import Repo, first, parts
from .rows import (
    cursor_of,
    keys_of,
    subject_from,
    subject_values,
)

_S, _I, _G, _M = (
    schema.subjects.c,
    schema.sign_ins.c,
    schema.grants.c,
    schema.role_members.c,
)
_K, _P = schema.api_keys.c, schema.keepers.c


class SqlSubjects(Repo):
    async def get(self, subject_id: str) -> Subject | None:
        row = await self._tx.one(select(schema.subjects).where(_S.id == subject_id))
        return subject_from(row) if row else None

    async def by_username(self, username: str) -> Subject | None:
        row = await self._tx.one(select(schema.subjects).where(_S.username == username))
        return subject_from(row) if row else None

    async def all(self) -> list[Subject]:
        rows = await self._tx.rows(select(schema.subjects).order_by(_S.username))
        return [subject_from(row) for row in rows]

    async def password_hash(self, subject_id: str) -> str | None:
        row = await self._tx.one(select(_S.password_hash).where(_S.id == subject_id))
        return row.password_hash if row else None

    async def page(self, *, q: str | None, limit: int, cursor: str | None) -> Page[Subject]:
        where: list[ColumnElement[bool]] = []
        if q:
            where.append(or_(contains(_S.username, q), contains(_S.display_name, q)))
        statement = select(schema.subjects).where(*where).order_by(_S.username)
        if cursor is not None:
            statement = statement.where(_S.username > keys_of(cursor, str)[0])
        items = [subject_from(row) for row in await self._tx.rows(first(statement, limit))]
        more = len(items) > limit
        items = items[:limit]
        return Page(
            items,
            cursor_of(items[-1].username) if more else None,
            await self._tx.count(schema.subjects, *where),
        )

    async def add(self, subject: Subject, password_hash: str | None = None) -> None:
        await self._tx.run_or(
            Conflict(
                "username", "username_taken", f"The username {subject.username} is taken already."
            ),
            schema.subjects.insert().values(
                subject_values(subject) | {"password_hash": password_hash}
            ),
        )
        await self._tx.changed(ChangeKind.SUBJECT, subject.id, ChangeOp.CREATED)

    async def update(self, subject: Subject) -> Subject:
        values = subject_values(subject) | {"version": _S.version + 1}
        await self._tx.run(schema.subjects.update().where(_S.id == subject.id).values(values))
        return await self._updated(subject.id)

    async def set_password_hash(
        self, subject_id: str, password_hash: str | None, *, must_change: bool = False
    ) -> Subject:
        await self._tx.run(
            schema.subjects.update()
            .where(_S.id == subject_id)
            .values(
                password_hash=password_hash,
                must_change_password=must_change,
                version=_S.version + 1,
            )
        )
        return await self._updated(subject_id)

    async def keepers(self, subject_ids: Collection[str]) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for part in parts(sorted(subject_ids)):
            statement = select(schema.keepers).where(_P.subject_id.in_(part))
            for row in await self._tx.rows(statement):
                found.setdefault(row.subject_id, set()).add(row.person)
        return {subject_id: frozenset(people) for subject_id, people in found.items()}

    async def add_keeper(self, subject_id: str, person: str) -> None:
        known = await self.keepers([subject_id, person])
        people = {schema.fitting(_P.person, person), *known.get(person, ())}
        new = people - known.get(subject_id, frozenset()) - {subject_id}
        for each in sorted(filter(None, new)):
            await self._tx.run(schema.keepers.insert().values(subject_id=subject_id, person=each))

    async def delete(self, subject_id: str) -> None:
        granted = await self._tx.rows(select(_G.id).where(_G.subject_id == subject_id))
        signed_in = await self._tx.rows(select(_I.id).where(_I.subject_id == subject_id))
        member_of = await self._tx.rows(select(_M.role_id).where(_M.subject_id == subject_id))
        keys = await self._tx.rows(select(_K.id).where(_K.subject_id == subject_id))
        if not await self._tx.run(schema.subjects.delete().where(_S.id == subject_id)):
            return
        for row in member_of:
            await self._tx.changed(ChangeKind.ROLE, row.role_id, ChangeOp.UPDATED)
        for row in granted:
            await self._tx.changed(ChangeKind.GRANT, row.id, ChangeOp.DELETED)
        for row in signed_in:
            await self._tx.changed(ChangeKind.SIGN_IN, row.id, ChangeOp.DELETED)
        for row in keys:
            await self._tx.changed(ChangeKind.API_KEY, row.id, ChangeOp.DELETED)
        await self._tx.changed(ChangeKind.SUBJECT, subject_id, ChangeOp.DELETED)

    async def _updated(self, subject_id: str) -> Subject:
        subject = await self.get(subject_id)
        if subject is None:
            raise NotFound("subject", subject_id)
        await self._tx.changed(ChangeKind.SUBJECT, subject_id, ChangeOp.UPDATED)
        return subject

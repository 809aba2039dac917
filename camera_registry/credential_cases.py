"""Use cases about what subjects are let in by: which sign-ins there are, and ending them.

Whether the caller may do them is decided before, in `streamhub.access`.
"""

from __future__ import annotations

from .credentials import SignIn
from .domain import Actor
from .errors import NotFound
from .feed import ChangeFeed
from .store.contract import Store, WriteTx
from .units import Units


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


async def _name(tx: WriteTx, subject_id: str) -> str:
    subject = await tx.subjects.get(subject_id)
    if subject is None:
        raise NotFound("subject", subject_id)
    return subject.username

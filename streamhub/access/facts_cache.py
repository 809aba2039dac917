"""Keeps the newest `Facts` in memory by following the changes feed.

Small changes are read by id, big ones by table. Followers (live views, sign-ins) are called after
the new snapshot is in place, so what they recheck they recheck against the change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from camera_registry.area_tree import AreaTree
from camera_registry.credentials import ApiKey, SignIn
from camera_registry.domain import Change, ChangeKind, Channel, Grant, Subject
from camera_registry.feed import ChangeFeed, Subscription
from camera_registry.store.contract import ReadTx, Store

from .departed import Departed
from .facts import Facts

# Beyond this many rows of one kind in a batch, one read of the table is cheaper than reads by id.
MAX_READS_BY_ID = 50
# Quotas and homes go with the areas and subjects that they are of.
_QUOTAS = {ChangeKind.QUOTA, ChangeKind.AREA, ChangeKind.SUBJECT}
# What they change needs no index of areas or grants.
_CREDENTIALS = {ChangeKind.SIGN_IN, ChangeKind.API_KEY}


@dataclass(frozen=True, slots=True)
class FactsChange:
    """What a batch of the feed was about; the snapshot already has it."""

    version: int
    kinds: frozenset[str]
    object_ids: frozenset[str]

    @property
    def is_everything(self) -> bool:
        return ChangeKind.EVERYTHING.value in self.kinds


T = TypeVar("T")

Follower = Callable[[FactsChange], Awaitable[None]]


class FactsCache:
    """A `FactsSource` that follows the store. `start()` before use, `stop()` at the end."""

    def __init__(self, store: Store, feed: ChangeFeed) -> None:
        self.store = store
        self._feed = feed
        self._current = Facts.build()
        self.departed = Departed()
        self._grants: dict[str, Grant] = {}
        self._followers: list[Follower] = []
        self._subscription: Subscription | None = None

    @property
    def current(self) -> Facts:
        return self._current

    @property
    def deaf_s(self) -> float:
        return self._feed.deaf_s

    def on_change(self, follower: Follower) -> None:
        """Call `follower` once per batch, after the snapshot moved. A batch can come again when
        a follower raised: be idempotent."""
        self._followers.append(follower)

    async def start(self) -> None:
        """Load everything, then follow."""
        async with self.store.read() as tx:
            self._current = await self._load_all(tx)
        await self._look_up_rules()
        self._subscription = self._feed.subscribe(
            self._changed, since=self._current.version, name="facts"
        )

    async def stop(self) -> None:
        if self._subscription is not None:
            await self._subscription.close()
            self._subscription = None

    async def _changed(self, batch: Sequence[Change]) -> None:
        ids: dict[ChangeKind, set[str]] = {}
        for each in batch:
            ids.setdefault(each.kind, set()).add(each.object_id)
        before = self._current
        async with self.store.read() as tx:
            if ChangeKind.EVERYTHING in ids:
                self._current = await self._load_all(tx)
            elif changed := ids.keys() - {ChangeKind.DEVICE, ChangeKind.WEBHOOK}:
                # Not the store's newest: of kinds that are not in this batch nothing later is
                # read. All that was read at the start may be newer than the batch.
                version = max(self._current.version, batch[-1].seq)
                if changed - _CREDENTIALS:
                    self._current = await self._load_changed(tx, ids, version)
                self._current = await self._load_credentials(tx, ids, version)
            # Before anything else is awaited: who shows one now finds it here or there.
            self.departed.compare_sign_ins(before.sign_ins, self._current.sign_ins)
            self.departed.compare_keys(before.api_keys, self._current.api_keys)
        change = FactsChange(
            version=self._current.version,
            kinds=frozenset(kind.value for kind in ids),
            object_ids=frozenset().union(*ids.values()),
        )
        # One follower's failure must not keep the news from the others.
        results = await asyncio.gather(
            *(follower(change) for follower in self._followers), return_exceptions=True
        )
        await self._look_up_rules()
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _look_up_rules(self) -> None:
        """Beside the loop, and after the followers: decisions do not need it, lists will."""
        facts = self._current
        for rule in facts.unknown_rules():
            facts.keep(rule, await asyncio.to_thread(facts.look_up, rule))

    async def _load_all(self, tx: ReadTx) -> Facts:
        self._grants = {row.id: row for row in await tx.grants.all_unrevoked()}
        return Facts(
            version=await tx.change_seq(),
            tree=AreaTree(await tx.areas.all()),
            channels={row.id: row for row in await tx.channels.all()},
            subjects={row.id: row for row in await tx.subjects.all()},
            grants=self._grants,
            roles={row.id: row for row in await tx.roles.all()},
            members=await tx.roles.all_members(),
            purposes={row.code: row for row in await tx.purposes.all()},
            quotas={row.holder_id: row for row in await tx.quotas.all()},
            homes=await tx.quotas.homes(),
            sign_ins={row.id: row for row in await tx.sign_ins.all()},
            api_keys={row.id: row for row in await tx.api_keys.all()},
        )

    async def _load_credentials(
        self, tx: ReadTx, ids: Mapping[ChangeKind, set[str]], version: int
    ) -> Facts:
        now = self._current
        sign_ins, api_keys = now.sign_ins, now.api_keys
        if ChangeKind.SIGN_IN in ids:
            sign_ins = await _sign_ins(tx, sign_ins, ids[ChangeKind.SIGN_IN])
        if ChangeKind.API_KEY in ids:
            api_keys = await _api_keys(tx, api_keys, ids[ChangeKind.API_KEY])
        return now.with_credentials(version, sign_ins=sign_ins, api_keys=api_keys)

    async def _load_changed(
        self, tx: ReadTx, ids: Mapping[ChangeKind, set[str]], version: int
    ) -> Facts:
        now = self._current
        tree, channels, subjects = now.tree, now.channels, now.subjects
        roles, members, purposes = now.roles, now.members, now.purposes
        quotas, homes = now.quotas, now.homes
        if ChangeKind.AREA in ids:
            tree = AreaTree(await tx.areas.all())
        if ChangeKind.CHANNEL in ids:
            channels = await _channels(tx, channels, ids[ChangeKind.CHANNEL])
        if ChangeKind.SUBJECT in ids:
            subjects = await _subjects(tx, subjects, ids[ChangeKind.SUBJECT])
        if ChangeKind.ROLE in ids:
            roles = {row.id: row for row in await tx.roles.all()}
            members = await tx.roles.all_members()
        if ChangeKind.PURPOSE in ids:
            purposes = {row.code: row for row in await tx.purposes.all()}
        if ids.keys() & _QUOTAS:
            quotas = {row.holder_id: row for row in await tx.quotas.all()}
            homes = await tx.quotas.homes()
        if ChangeKind.GRANT in ids:
            self._grants = await _grants(tx, self._grants, ids[ChangeKind.GRANT])
        facts = Facts(
            version=version,
            tree=tree,
            channels=channels,
            subjects=subjects,
            grants=self._grants,
            roles=roles,
            members=members,
            purposes=purposes,
            quotas=quotas,
            homes=homes,
            sign_ins=now.sign_ins,
            api_keys=now.api_keys,
        )
        facts.take_matches(now, ids.get(ChangeKind.CHANNEL, ()))
        return facts


async def _sign_ins(tx: ReadTx, known: Mapping[str, SignIn], ids: set[str]) -> Mapping[str, SignIn]:
    if len(ids) > MAX_READS_BY_ID:
        return {row.id: row for row in await tx.sign_ins.all()}
    return _merged(known, {each: await tx.sign_ins.get(each) for each in ids})


async def _api_keys(tx: ReadTx, known: Mapping[str, ApiKey], ids: set[str]) -> Mapping[str, ApiKey]:
    if len(ids) > MAX_READS_BY_ID:
        return {row.id: row for row in await tx.api_keys.all()}
    return _merged(known, {each: await tx.api_keys.get(each) for each in ids})


async def _channels(
    tx: ReadTx, known: Mapping[str, Channel], ids: set[str]
) -> Mapping[str, Channel]:
    if len(ids) > MAX_READS_BY_ID:
        return {row.id: row for row in await tx.channels.all()}
    return _merged(known, {each: await tx.channels.get(each) for each in ids})


async def _subjects(
    tx: ReadTx, known: Mapping[str, Subject], ids: set[str]
) -> Mapping[str, Subject]:
    if len(ids) > MAX_READS_BY_ID:
        return {row.id: row for row in await tx.subjects.all()}
    return _merged(known, {each: await tx.subjects.get(each) for each in ids})


async def _grants(tx: ReadTx, known: Mapping[str, Grant], ids: set[str]) -> dict[str, Grant]:
    if len(ids) > MAX_READS_BY_ID:
        return {row.id: row for row in await tx.grants.all_unrevoked()}
    found = {each: await tx.grants.get(each) for each in ids}
    return _merged(
        known,
        {each: row if row and row.revoked_at is None else None for each, row in found.items()},
    )


def _merged(known: Mapping[str, T], found: Mapping[str, T | None]) -> dict[str, T]:
    """A new table: rows found replace, rows gone (None) fall out."""
    merged = dict(known)
    for each, row in found.items():
        if row is None:
            merged.pop(each, None)
        else:
            merged[each] = row
    return merged

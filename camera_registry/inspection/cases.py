"""Use cases about inspections: a run is begun, its results are kept, its cards are read.

A run's life is in the store, one target a row until it has a result: after a restart what is left
goes on. Who dials is `streamhub.inspection`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from .. import validation as check
from ..area_tree import AreaTree
from ..domain import PROFILES, Actor, Channel, Filing, Page, Scope, new_id
from ..errors import Conflict, NotFound, ValidationFailed
from ..filing import Manages
from ..store.contract import ReadTx, Store, WriteTx
from ..store.contract_inspections import CardQuery
from ..units import Units, utc_now
from .card import MAX_PICTURE_BYTES, Card, Run, RunState, Target, Verdict

# Named one by one; more than this is an area, or all.
MAX_NAMED_CHANNELS: Final = 1_000
KEEP_RUNS: Final = timedelta(days=90)
GONE: Final = "gone"
"""In a run's counts: channels that were deleted before their turn came."""


@dataclass(frozen=True, slots=True)
class Result:
    """Of one target. `card` is None when its channel is gone."""

    number: int
    card: Card | None
    jpeg: bytes | None = None


class InspectionCases:
    """Runs and cards. Whether the caller may is decided before, in `streamhub.access`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # Nobody follows runs or cards by the feed.
        self._units = Units(store, None)

    async def begin(
        self,
        by: Actor,
        *,
        area_id: str | None = None,
        channel_ids: Sequence[str] | None = None,
        profiles: Sequence[str] = ("main",),
        manages: Manages | None = None,
    ) -> Run:
        """A new run over an area with all below it, over named channels, or over all; of those
        that are not named, over what the caller `manages` (None: all).

        Raises ValidationFailed, NotFound("area" or "channel"), Conflict("inspection_under_way").
        """
        chosen = tuple(dict.fromkeys(_profile(each) for each in profiles))
        if not chosen:
            raise ValidationFailed("profiles", "no_profile", "Name a profile: main, sub or both.")
        if channel_ids is not None and len(channel_ids) > MAX_NAMED_CHANNELS:
            raise ValidationFailed(
                "channel_ids",
                "too_many_channels",
                f"Name at most {MAX_NAMED_CHANNELS} channels, or an area.",
            )
        async with self._units.begin(by) as unit:
            tx = unit.tx
            for run in await tx.inspections.running():
                raise Conflict(
                    "state",
                    "inspection_under_way",
                    f"The inspection {run.id} is under way, {run.done} of {run.total} done; follow "
                    "it or stop it first.",
                )
            channels, scope = await _chosen(tx, area_id, channel_ids, manages)
            targets = [
                (channel.id, profile)
                for channel in channels
                for profile in chosen
                if profile in channel.profiles
            ]
            if not targets:
                raise ValidationFailed(
                    "channels", "no_channels", "There is nothing to inspect; choose other channels."
                )
            await tx.inspections.delete_runs_before(utc_now() - KEEP_RUNS)
            run = Run(
                id=new_id("in"),
                created_at=utc_now(),
                subject_id=by.subject_id,
                subject_name=by.subject_name,
                scope=scope,
                profiles=chosen,
                total=len(targets),
            )
            await tx.inspections.add_run(run, targets)
            await unit.record(
                "inspection_begin",
                area_id=area_id,
                run_id=run.id,
                targets=run.total,
                profiles=list(chosen),
            )
        return run

    async def get(self, run_id: str) -> Run:
        """Raises NotFound("inspection")."""
        async with self._store.read() as tx:
            return await _run(tx, run_id)

    async def runs(self, *, limit: int = 50, cursor: str | None = None) -> Page[Run]:
        """Newest first."""
        limit = check.integer("limit", limit, 1, check.MAX_PAGE)
        async with self._store.read() as tx:
            return await tx.inspections.runs(limit=limit, cursor=cursor)

    async def running(self) -> Run | None:
        """The one that is under way, or was when the service ended."""
        async with self._store.read() as tx:
            found = await tx.inspections.running()
        return found[0] if found else None

    async def left(self, run_id: str) -> tuple[list[Target], list[int]]:
        """What is left to do, and the numbers of targets whose channel is gone."""
        async with self._store.read() as tx:
            rows = await tx.inspections.left(run_id)
            channels = {
                each.id: each for each in await tx.channels.by_ids({row[1] for row in rows})
            }
            devices = {each.id: each for each in await tx.devices.all()}
        targets, gone = [], []
        for number, channel_id, profile in rows:
            channel = channels.get(channel_id)
            url = None if channel is None else _url(channel, profile)
            if channel is None or url is None:
                gone.append(number)
                continue
            targets.append(
                Target(
                    number,
                    channel_id,
                    profile,
                    device_id=channel.device_id,
                    host=urlsplit(url).hostname or "",
                    max_dials=devices[channel.device_id].max_dials,
                )
            )
        return targets, gone

    async def record(self, run_id: str, results: Sequence[Result]) -> Run:
        """Keep what was found: cards, pictures and progress in one commit. Nothing of it is
        audited row by row: the run's own rows say who asked. A target that has a result already
        (a command and a service went on with one run) is not counted again."""
        async with self._store.write() as tx:
            run = await _run(tx, run_id)
            left = await tx.inspections.still_left(run_id, [each.number for each in results])
            results = [each for each in results if each.number in left]
            cards = [(each.card, each.jpeg) for each in results if each.card is not None]
            there = {
                each.id for each in await tx.channels.by_ids({card.channel_id for card, _ in cards})
            }
            counts = Counter(run.counts)
            counts[GONE] += len(results) - len(cards)
            for card, jpeg in cards:
                if card.channel_id not in there:
                    counts[GONE] += 1
                    continue
                if jpeg is not None and len(jpeg) > MAX_PICTURE_BYTES:
                    raise ValueError(f"a picture of {len(jpeg)} bytes is not kept")
                await tx.inspections.put(card, jpeg)
                counts[card.verdict.value] += 1
            run = replace(run, counts={key: n for key, n in counts.items() if n})
            await tx.inspections.drop_targets(run_id, [each.number for each in results])
            await tx.inspections.update_run(run)
        return run

    async def finish(self, run_id: str, by: Actor, *, stopped: bool = False) -> Run:
        """The run is over: all is inspected, or somebody stopped it. A second time changes
        nothing. Raises NotFound("inspection")."""
        async with self._units.begin(by) as unit:
            run = await _run(unit.tx, run_id)
            if run.state is not RunState.RUNNING:
                return run
            state = RunState.STOPPED if stopped else RunState.DONE
            run = replace(run, state=state, finished_at=utc_now())
            await unit.tx.inspections.drop_targets(run_id, None)
            await unit.tx.inspections.update_run(run)
            await unit.record(
                "inspection_stop" if stopped else "inspection_end",
                run_id=run.id,
                counts=dict(run.counts),
            )
        return run

    async def card(self, channel_id: str, profile: str = "main") -> Card:
        """The newest. Raises NotFound("inspection of channel")."""
        async with self._store.read() as tx:
            card = await tx.inspections.card(channel_id, _profile(profile))
        if card is None:
            raise NotFound("inspection of channel", channel_id)
        return card

    async def cards(
        self,
        *,
        verdict: Verdict | None = None,
        profile: str | None = None,
        run_id: str | None = None,
        area_id: str | None = None,
        filing: Filing | None = None,
        channel_ids: Collection[str] | None = None,
        scope: Scope | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Card]:
        """By channel. `area_id` means its subtree; `scope` narrows to what the caller may see."""
        limit = check.integer("limit", limit, 1, check.MAX_PAGE)
        async with self._store.read() as tx:
            tree = AreaTree(await tx.areas.all())
            query = CardQuery(
                verdict=verdict,
                profile=None if profile is None else _profile(profile),
                run_id=run_id,
                filing=filing,
                channel_ids=None if channel_ids is None else frozenset(channel_ids),
                area_ids=None if area_id is None else tree.descendants(area_id),
                visible_area_ids=None if scope is None else scope.areas(tree),
                visible_channel_ids=None if scope is None else scope.channel_ids,
                visible_class_areas=None if scope is None else scope.class_areas,
                except_channel_ids=frozenset() if scope is None else scope.except_ids,
            )
            return await tx.inspections.cards(query, limit=limit, cursor=cursor)

    async def picture(self, channel_id: str, profile: str = "main") -> bytes:
        """The card's still, a JPEG of at most `MAX_PICTURE_BYTES`. Raises NotFound."""
        async with self._store.read() as tx:
            jpeg = await tx.inspections.picture(channel_id, _profile(profile))
        if jpeg is None:
            raise NotFound("picture of channel", channel_id)
        return jpeg


def _profile(text: str) -> str:
    if text not in PROFILES:
        raise ValidationFailed(
            "profile", "unknown_value", f"{text[:40]!r} is no profile; use main or sub."
        )
    return text


async def _chosen(
    tx: WriteTx,
    area_id: str | None,
    channel_ids: Collection[str] | None,
    manages: Manages | None,
) -> tuple[list[Channel], dict[str, object]]:
    if area_id is not None and channel_ids is not None:
        raise ValidationFailed(
            "area_id", "scope_twice", "Name an area or channels, not both; neither means all."
        )
    if channel_ids is not None:
        found = await tx.channels.by_ids(set(channel_ids))
        for missing in sorted(set(channel_ids) - {channel.id for channel in found}):
            raise NotFound("channel", missing)
        return found, {"channel_ids": sorted(set(channel_ids))}
    channels = await tx.channels.all()
    if manages is not None:
        channels = [each for each in channels if manages(each)]
    if area_id is None:
        return channels, {"all": True}
    if await tx.areas.get(area_id) is None:
        raise NotFound("area", area_id)
    within = AreaTree(await tx.areas.all()).descendants(area_id)
    return [each for each in channels if each.area_id in within], {"area_id": area_id}


def _url(channel: Channel, profile: str) -> str | None:
    return {"main": channel.main_url, "sub": channel.sub_url}.get(profile)


async def _run(tx: ReadTx | WriteTx, run_id: str) -> Run:
    run = await tx.inspections.run(run_id)
    if run is None:
        raise NotFound("inspection", run_id)
    return run

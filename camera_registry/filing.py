"""Use cases about filing: channels are reviewed and filed, or sent back; by one or by thousands.

Whether the caller manages the channels is decided before, in `streamhub.access`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from .area_tree import AreaTree
from .domain import Actor, Channel
from .errors import Conflict, NotFound, ValidationFailed
from .feed import ChangeFeed
from .filing_rules import (
    STEP_ACTS,
    FilingSettings,
    FilingStep,
    begun,
    checked_note,
    fits,
    is_same_person,
    keep_settings,
    moved,
    settings_of,
)
from .store.contract import ReadTx, Store, WriteTx
from .units import Unit, Units

MAX_CHOSEN: Final = 500  # channels named one by one; each has an audit row of its own
# Beyond this many one changes row for all is cheaper for every follower than one for each.
MAX_WRITTEN_EACH: Final = 50
WRITE_ROWS: Final = 1_000  # of one statement

Manages = Callable[[Channel], bool]
"""Whether whoever asks manages a camera: of an area that they manage, single ones may be denied."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which channels: exactly one of these is given."""

    channel_ids: frozenset[str] | None = None
    area_id: str | None = None  # with all areas beneath
    job_id: str | None = None  # what an import added or changed


@dataclass(frozen=True, slots=True)
class FilingOutcome:
    changed: int
    left_out: int  # of an area or an import: in another state, or one's own where that was allowed


class Filings:
    """Filing of channels, and what the site chose about it."""

    def __init__(self, store: Store, feed: ChangeFeed | None = None) -> None:
        self._store = store
        self._units = Units(store, feed)

    async def settings(self) -> FilingSettings:
        async with self._store.read() as tx:
            return await settings_of(tx)

    async def choose(
        self, by: Actor, *, second_person: bool | None = None, by_hand: str | None = None
    ) -> FilingSettings:
        """Change what the site chose; audited in any case. Raises ValidationFailed."""
        async with self._units.begin(by) as unit:
            before = await settings_of(unit.tx)
            chosen = before
            if second_person is not None:
                chosen = replace(chosen, second_person=second_person)
            if by_hand is not None:
                chosen = replace(chosen, by_hand=begun("by_hand", by_hand))
            await keep_settings(unit.tx, chosen)
            await unit.record(
                "filing_settings",
                second_person=chosen.second_person,
                second_person_before=before.second_person,
                by_hand=chosen.by_hand.value,
                by_hand_before=before.by_hand.value,
            )
        return chosen

    async def take(
        self,
        step: FilingStep,
        which: Selection,
        by: Actor,
        *,
        reason: str | None = None,
        without_own: bool = False,
        manages: Manages | None = None,
    ) -> FilingOutcome:
        """Take a step with all of these channels, or with none.

        Of an area or an import those are taken that are in a state for it. `without_own`: leave
        out, instead of refusing, what the reviewer changed himself. Cameras that the caller does
        not manage are not there. Raises NotFound;
        ValidationFailed about the reason or the selection; Conflict("wrong_filing_state",
        "second_person_wanted").
        """
        note = checked_note(step, reason)
        async with self._units.begin(by) as unit:
            chosen = await select(unit.tx, which, manages)
            asked = len(chosen)
            if which.channel_ids is None:
                chosen = [channel for channel in chosen if fits(channel, step)]
            after = [moved(channel, step, note) for channel in chosen]
            if step is FilingStep.REVIEW and (await settings_of(unit.tx)).second_person:
                own = await _own(unit, chosen)
                if own and not without_own:
                    raise _second_person(own)
                mine = {channel.id for channel in own}
                after = [channel for channel in after if channel.id not in mine]
            befores = {channel.id: channel for channel in chosen}
            pairs = [(befores[channel.id], channel) for channel in after]
            await write(unit, pairs, step.act)
            await _audit(unit, which, step, after, note)
        return FilingOutcome(len(after), asked - len(after))


async def select(
    tx: ReadTx | WriteTx, which: Selection, manages: Manages | None = None
) -> list[Channel]:
    """The channels meant, by code; of those that are not named, only what the caller `manages`
    (None: all). Raises NotFound, ValidationFailed."""
    given = (which.channel_ids, which.area_id, which.job_id)
    if sum(each is not None for each in given) != 1:
        raise ValidationFailed(
            "channel_ids", "selection", "Give either cameras, or one area, or one import."
        )
    if which.area_id is not None:
        areas = AreaTree(await tx.areas.all()).descendants(which.area_id)
        if not areas:
            raise NotFound("area", which.area_id)
        found = await tx.channels.by_areas(areas)
    elif which.job_id is not None:
        if await tx.jobs.get(which.job_id) is None:
            raise NotFound("import", which.job_id)
        versions = await tx.versions.of_job(which.job_id)
        found = await tx.channels.by_ids({version.channel_id for version in versions})
    else:
        ids = which.channel_ids or frozenset()
        if not 1 <= len(ids) <= MAX_CHOSEN:
            raise ValidationFailed(
                "channel_ids", "selection", f"Give 1 to {MAX_CHOSEN} cameras, or a whole area."
            )
        found = await tx.channels.by_ids(ids)
        for missing in sorted(ids - {channel.id for channel in found}):
            raise NotFound("channel", missing)
    if manages is not None and which.channel_ids is None:
        found = [channel for channel in found if manages(channel)]
    return sorted(found, key=lambda channel: channel.code)


async def write(unit: Unit, pairs: list[tuple[Channel, Channel]], act: str) -> None:
    """Writes the channels as they are after, a version for each."""
    changed = [after for _, after in pairs]
    if len(changed) <= MAX_WRITTEN_EACH:
        for channel in changed:
            await unit.tx.channels.update(channel)
    else:
        for start in range(0, len(changed), WRITE_ROWS):
            await unit.tx.bulk_update(channels=changed[start : start + WRITE_ROWS])
    await unit.tx.versions.add(pairs, act=act, by=unit.by)


async def _own(unit: Unit, channels: list[Channel]) -> list[Channel]:
    """Those that the actor was the last to change; steps of filing are no change."""
    authors = await unit.tx.versions.authors({each.id for each in channels}, but=STEP_ACTS)
    return [each for each in channels if is_same_person(authors.get(each.id), unit.by)]


async def _audit(
    unit: Unit, which: Selection, step: FilingStep, channels: list[Channel], note: str | None
) -> None:
    """A row for each camera that was named; one for an area or an import: versions tell which."""
    detail = {} if note is None else {"reason": note}
    if which.channel_ids is None:
        await unit.record(
            step.act, area_id=which.area_id, job_id=which.job_id, channels=len(channels), **detail
        )
        return
    for channel in channels:
        await unit.record(
            step.act,
            channel_id=channel.id,
            area_id=channel.area_id,
            code=channel.code,
            name=channel.name,
            **detail,
        )


def _second_person(own: list[Channel]) -> Conflict:
    return Conflict(
        "filing",
        "second_person_wanted",
        f"You were the last to change {len(own)} of these, {own[0].name} ({own[0].code}) among "
        "them; somebody else has to review those. Leave them out, or let somebody else sign in to "
        "the page (Manage > Acceptance); a site with one person: "
        "`streamhub camera filing --second-person off`.",
    )

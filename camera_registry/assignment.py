"""Use cases about assignment: cameras are put where rules and boundaries say, after a look at it.

A plan is not kept: whoever applies one names it, it is made again in the transaction that carries
it out, and refused when it is another. Whether the caller manages the areas is decided before.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from . import validation as check
from .area_tree import AreaTree
from .channel_facts import merged
from .denials import Denials
from .domain import Actor, AssignmentRule, ChangeKind, Channel, RuleKind, new_id
from .errors import Conflict, NotFound, ValidationFailed
from .feed import ChangeFeed
from .filing import Manages, Selection, select, write
from .filing_rules import sent_back, settings_of
from .placing import Placement, Placer, asks_boundaries
from .store.contract import ReadTx, Store, WriteTx
from .units import Units, touched_since

MAX_RULES: Final = 500  # each is asked for each camera
MAX_PRIORITY: Final = 1_000_000
MAX_RULE_CHARS: Final = 200  # as long as an address may be
MAX_FIELD_CHARS: Final = 64
# A plan says who will see what: that rests on these.
_PLAN_RESTS_ON: Final = frozenset(
    {
        ChangeKind.AREA,
        ChangeKind.CHANNEL,
        ChangeKind.SUBJECT,
        ChangeKind.ROLE,
        ChangeKind.GRANT,
        ChangeKind.EVERYTHING,
    }
)
ACT: Final = "area_assign"


@dataclass(frozen=True, slots=True)
class Move:
    """One camera goes to another area."""

    before: Channel
    after: Channel
    placement: Placement


@dataclass(frozen=True, slots=True)
class AssignmentPlan:
    """What assigning would do. `id` names the plan, for whoever applies it."""

    id: str
    moves: tuple[Move, ...]  # by code
    looked_at: int
    unplaced: int  # neither a rule nor a boundary says where they belong
    beyond: int  # they belong in areas that the caller does not manage
    under_denial: tuple[Move, ...]  # a denial would cover them no more: not for the caller

    @property
    def schematic(self) -> int:
        """Moves that rest on a boundary that is a drawing."""
        return sum(move.placement.schematic for move in self.moves)


@dataclass(frozen=True, slots=True)
class Assignees:
    """Which cameras are looked at, and where they may go."""

    which: Selection | None = None  # None: all
    boundaries: bool = True  # ask the boundaries where no rule fits
    into: frozenset[str] | None = None  # areas that the caller manages; None: all
    manages: Manages | None = None  # others are not looked at
    keeps_denials: bool = False  # nothing is taken from under one


class Assignment:
    """Rules, plans, and carrying them out."""

    def __init__(self, store: Store, feed: ChangeFeed | None = None) -> None:
        self._store = store
        self._units = Units(store, feed)

    async def rules(self) -> list[AssignmentRule]:
        """In the order they are asked in."""
        async with self._store.read() as tx:
            return await tx.rules.all()

    async def add_rule(
        self,
        *,
        kind: str,
        area_id: str,
        by: Actor,
        text: str | None = None,
        field: str | None = None,
        priority: int = 100,
    ) -> AssignmentRule:
        """Raises ValidationFailed, Conflict("too_many_rules")."""
        chosen = check.one_of("kind", kind, RuleKind)
        field, text = _checked(chosen, field, text)
        rule = AssignmentRule(
            id=new_id("ru"),
            priority=check.integer("priority", priority, 0, MAX_PRIORITY),
            kind=chosen,
            area_id=area_id,
            field=field,
            text=text,
        )
        async with self._units.begin(by) as unit:
            if await unit.tx.areas.get(area_id) is None:
                raise ValidationFailed(
                    "area_id", "unknown_area", "There is no such area; choose one that exists."
                )
            if len(await unit.tx.rules.all()) >= MAX_RULES:
                raise Conflict(
                    "rules", "too_many_rules", f"There are {MAX_RULES} rules; remove some first."
                )
            await unit.tx.rules.add(rule)
            await unit.record(
                "assignment_rule_add",
                area_id=area_id,
                id=rule.id,
                kind=chosen.value,
                field=field,
                text=text,
                priority=rule.priority,
            )
        return rule

    async def remove_rule(self, rule_id: str, by: Actor) -> None:
        async with self._units.begin(by) as unit:
            rule = next((each for each in await unit.tx.rules.all() if each.id == rule_id), None)
            if rule is None:
                raise NotFound("rule", rule_id)
            await unit.tx.rules.delete(rule_id)
            await unit.record(
                "assignment_rule_remove", area_id=rule.area_id, id=rule_id, kind=rule.kind.value
            )

    async def plan(self, asked: Assignees, *, known_seq: int | None = None) -> AssignmentPlan:
        """What assigning would do now; nothing is changed. `known_seq`: the changes seq of the
        facts that the caller says more from, if it may be older. Raises NotFound."""
        async with self._store.read() as tx:
            seq = await tx.change_seq()
            return await _planned(tx, asked, seq if known_seq is None else min(seq, known_seq))

    async def apply(self, asked: Assignees, plan_id: str, by: Actor) -> AssignmentPlan:
        """Carry out the plan that was looked at, in one transaction; each camera gets a version.

        Raises NotFound, ValidationFailed("plan"), Conflict("registry_changed").
        """
        seq = _seq_of(plan_id)
        async with self._units.begin(by) as unit:
            plan = await _planned(unit.tx, asked, seq)
            if plan.id != plan_id or await touched_since(self._store, seq, _PLAN_RESTS_ON):
                raise Conflict(
                    "plan",
                    "registry_changed",
                    "The registry has changed since the preview; look at what assigning would do "
                    "now.",
                )
            if plan.moves:
                await write(unit, [(move.before, move.after) for move in plan.moves], ACT)
            which = asked.which or Selection()
            await unit.record(
                ACT,
                area_id=which.area_id,
                job_id=which.job_id,
                channels=len(plan.moves),
                by_drawing=plan.schematic,
                into=sorted({move.placement.area.code for move in plan.moves}),
            )
        return plan


async def _planned(tx: ReadTx | WriteTx, asked: Assignees, seq: int) -> AssignmentPlan:
    rules = await tx.rules.all()
    tree = AreaTree(await tx.areas.all(boundaries=asks_boundaries(rules, asked.boundaries)))
    placer = await asyncio.to_thread(Placer, tree, rules, boundaries=asked.boundaries)
    if asked.which is None:
        channels = await tx.channels.all()
        if asked.manages is not None:
            channels = [each for each in channels if asked.manages(each)]
    else:
        channels = await select(tx, asked.which, asked.manages)
    files = (await settings_of(tx)).files_by_hand
    denials = await Denials.read(tx) if asked.keeps_denials else None
    return await asyncio.to_thread(_plan, seq, placer, channels, asked.into, denials, files)


def _plan(
    seq: int,
    placer: Placer,
    channels: list[Channel],
    into: Collection[str] | None,
    denials: Denials | None,
    files: bool,
) -> AssignmentPlan:
    moves: list[Move] = []
    under_denial: list[Move] = []
    unplaced = beyond = 0
    for channel, placement in zip(channels, placer.place(channels), strict=True):
        if placement is None:
            unplaced += 1
        elif placer.stays(channel, placement.area):
            continue
        elif into is not None and placement.area.id not in into:
            beyond += 1
        else:
            after = replace(channel, area_id=placement.area.id)
            move = Move(channel, after if files else sent_back(channel, after), placement)
            left = denials is not None and denials.leaves_one(channel, after)
            (under_denial if left else moves).append(move)
    return AssignmentPlan(
        _id(seq, moves), tuple(moves), len(channels), unplaced, beyond, tuple(under_denial)
    )


def _id(seq: int, moves: list[Move]) -> str:
    lines = "\n".join(f"{m.before.id} {m.before.area_id} {m.after.area_id}" for m in moves)
    return f"{seq}-{hashlib.sha256(lines.encode()).hexdigest()[:32]}"


def _seq_of(plan_id: str) -> int:
    head = plan_id.partition("-")[0]
    if not head.isascii() or not head.isdecimal() or len(head) > 15:
        raise ValidationFailed("plan", "plan_unknown", "Give the plan that a preview named.")
    return int(head)


def _checked(kind: RuleKind, field: str | None, text: str | None) -> tuple[str | None, str | None]:
    """Field and text as the kind wants them, a fact's text as an import would keep it."""
    if (field is not None) != (kind is RuleKind.FACT):
        raise ValidationFailed(
            "field", "rule_field", "A rule by a fact names its field, and no other does."
        )
    if kind is RuleKind.POLYGON:
        if text is not None:
            raise ValidationFailed("text", "rule_text", "A rule by boundaries has no text.")
        return None, None
    text = check.text("text", text or "", MAX_RULE_CHARS)
    if field is not None:
        field = check.text("field", field, MAX_FIELD_CHARS)
        text = merged({}, {field: text}).get(field)
    return field, text

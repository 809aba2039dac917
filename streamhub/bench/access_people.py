"""Subjects, roles and grants of any number for `bench access`, the same for the same numbers.

As a district grows them: most reach a street or a grid, some a single camera, a class, or what a
rule says; a tenth denies, some hold at hours of the week, and a part is given to roles.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from camera_registry.domain import (
    Area,
    Condition,
    DeviceClass,
    Effect,
    Grant,
    Op,
    Role,
    Subject,
    SubjectKind,
    WeeklyWindow,
)

from . import registry_places as places

SEED: Final = 29
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
SUBJECTS_PER_ROLE: Final = 20
SUBJECTS_PER_MEMBERSHIP: Final = 5  # one in so many is in a role
# Rules that the grants share: a district has some dozens (`access.facts.MAX_MATCHES`).
RULES: Final = 40
DAY: Final = ("list", "live", "snapshot")
MORE: Final = (DAY, ("list", "live"), ("list", "live", "snapshot", "ptz"), (*DAY, "manage"))
SHIFTS: Final = (
    (WeeklyWindow((0, 1, 2, 3, 4), 480, 1080),),
    (WeeklyWindow((0, 1, 2, 3, 4, 5, 6), 1320, 360),),
    (WeeklyWindow((0, 2, 4), 0, 720), WeeklyWindow((1, 3, 5), 720, 1440)),
)
# (how many of a hundred, what the grant is about)
KINDS: Final = (
    (38, "area"),
    (22, "channel"),
    (10, "class"),
    (6, "rule"),
    (6, "rule_in_area"),
    (8, "shift"),
    (6, "deny_channel"),
    (2, "deny_class"),
    (2, "deny_rule"),
)


def subjects(count: int) -> Iterator[Subject]:
    for number in range(count):
        name = f"platform{number}"
        yield Subject(f"su_{number}", name, name, SubjectKind.SERVICE)


def roles(subjects: int) -> Iterator[tuple[Role, list[str]]]:
    """Each with ids of its members."""
    rng = random.Random(SEED)  # noqa: S311  (a drawing, not a secret)
    count = max(1, subjects // (SUBJECTS_PER_ROLE * SUBJECTS_PER_MEMBERSHIP))
    for number in range(count):
        members = rng.sample(range(subjects), min(SUBJECTS_PER_ROLE, subjects))
        yield (
            Role(f"ro_{number}", f"shift{number}", f"班次{number}"),
            [f"su_{each}" for each in members],
        )


def grants(count: int, *, channels: int, subjects: int) -> Iterator[Grant]:
    """`count` of them, in turn to each subject; every twentieth to a role."""
    rng = random.Random(SEED + 1)  # noqa: S311
    areas = places.areas()
    rules = _rules(channels)
    role_ids = [role.id for role, _ in roles(subjects)]
    weights, kinds = zip(*KINDS, strict=True)
    for number in range(count):
        [kind] = rng.choices(kinds, weights)
        holder: dict[str, Any] = {"subject_id": f"su_{number % subjects}"}
        if number % 20 == 19:
            holder = {"subject_id": None, "role_id": rng.choice(role_ids)}
        terms: dict[str, Any] = {"area_id": None, "channel_id": None}
        yield Grant(
            id=f"gr_{number}",
            actions=frozenset(DAY if kind.startswith("deny") else rng.choice(MORE)),
            valid_from=START,
            valid_until=None,
            created_at=START,
            **holder,
            **(terms | _terms(kind, rng, areas, rules, channels)),
        )


def _terms(
    kind: str,
    rng: random.Random,
    areas: list[Area],
    rules: list[tuple[Condition, ...]],
    channels: int,
) -> dict[str, Any]:
    """What the grant is about, and how."""
    terms: dict[str, Any] = {}
    if kind.endswith("channel"):
        terms["channel_id"] = places.channel_id(rng.randrange(channels))
    if kind in {"area", "class", "rule_in_area", "shift"}:
        terms["area_id"] = rng.choice(areas[1:]).id
    if kind.endswith("class"):
        classes = (DeviceClass.HIGH_ALTITUDE, DeviceClass.CIVIL_DEFENCE, DeviceClass.ALLEY)
        terms["conditions"] = (Condition("device_class", Op.EQ, (rng.choice(classes).value,)),)
    if "rule" in kind:
        terms["conditions"] = rng.choice(rules)
    if kind == "shift":
        terms["windows"] = rng.choice(SHIFTS)
    if kind == "area":
        terms["purpose_required"] = rng.random() < 0.05
    if kind.startswith("deny"):
        terms["effect"] = Effect.DENY
    return terms


def _rules(channels: int) -> list[tuple[Condition, ...]]:
    """Some hundred cameras of a million each, by what people call the place."""
    named = (each.facts.get("common_name") for _, each in places.cameras(min(channels, 20_000)))
    names = sorted({name for name in named if name})
    rng = random.Random(SEED + 2)  # noqa: S311
    return [
        (Condition("common_name", Op.EQ, (name,)),)
        for name in rng.sample(names, min(RULES, len(names)))
    ]

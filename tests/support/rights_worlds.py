"""Generated worlds of rights: small enough to be compared case by case, odd enough to differ.

A world is made from one number, so that thousands are made in seconds; whoever has the number has
the world again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from hypothesis import strategies as st

from camera_registry.credentials import ApiKey
from camera_registry.domain import (
    ACTIONS,
    Area,
    AreaKind,
    Channel,
    Condition,
    DeviceClass,
    Effect,
    Filing,
    Grant,
    Op,
    Purpose,
    Role,
    Subject,
    SubjectKind,
    WeeklyWindow,
)
from streamhub.access.principal import Principal
from support.rights_model import Who, World

T = TypeVar("T")

# A Sunday evening in Shanghai: the week turns within the hours that are drawn.
NOW = datetime(2026, 6, 7, 13, 0, tzinfo=UTC)
EVERY_ACTION = tuple(sorted(ACTIONS))
LENDABLE = ("live", "snapshot", "playback")
SUBJECTS = ("su_a", "su_b")
ROLES = ("ro_x", "ro_y")
AREAS = (("d", None), ("s1", "d"), ("s2", "d"), ("c1", "s1"), ("g1", "c1"), ("e", None))
CHANNELS = ("ch0", "ch1", "ch2", "ch3", "ch4")
OWNERS = ("人防办", "公安局", "公安局一所")
CLASSES = (DeviceClass.POLICE_HD, DeviceClass.HIGH_ALTITUDE, DeviceClass.ALLEY)


class Maker:
    """Draws the parts of a world."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def world(self) -> World:
        askers = [self.asker(each) for each in SUBJECTS]
        return World(
            areas=[Area(id_, above, AreaKind.GRID, id_, id_) for id_, above in AREAS],
            channels=[self.channel(each) for each in CHANNELS],
            subjects=[self.subject(each) for each in SUBJECTS],
            grants=self.grants(),
            roles=[Role(each, each, each) for each in ROLES],
            members={each: frozenset(self._some(SUBJECTS, 0)) for each in ROLES},
            purposes=[
                Purpose("duty", "值守", "duty"),
                Purpose("other", "其他", "other", needs_note=True),
            ],
            askers=askers,
            revoked_keys=frozenset(
                each.key.id for each in askers if each.key is not None and self._one_in(20)
            ),
        )

    def subject(self, subject_id: str) -> Subject:
        """Mostly one that nothing stands in the way of."""
        return Subject(
            subject_id,
            subject_id,
            subject_id,
            SubjectKind.PERSON,
            enabled=not self._one_in(20),
            version=1 + self._one_in(20),
            second_factor_required=self._one_in(8),
            has_second_factor=not self._one_in(4),
            must_change_password=self._one_in(30),
        )

    def asker(self, subject_id: str) -> Who:
        """The subject signed in before its password was changed, or a program with its key."""
        return Who(subject_id, key=self.key(subject_id) if self._one_in(3) else None)

    def key(self, subject_id: str) -> ApiKey:
        some_areas = frozenset(self._random.sample([each for each, _ in AREAS], 2))
        return ApiKey(
            id=f"ak_{subject_id}",
            key_hash=f"hash of {subject_id}'s",
            prefix="shk_",
            subject_id=subject_id,
            name="wall",
            actions=None if self._one_in(2) else frozenset(self._some(EVERY_ACTION, 1)),
            area_ids=None if self._one_in(3) else some_areas,
            created_at=NOW - timedelta(days=30),
            expires_at=NOW + timedelta(minutes=self._random.randint(-1440, 30 * 1440)),
        )

    def moment(self) -> datetime:
        """NOW, or minutes around it, or a microsecond beside an even minute."""
        if self._one_in(3):
            return NOW
        minutes = self._random.randint(-3 * 1440, 8 * 1440)
        if self._one_in(2):
            minutes -= minutes % 60
        near = self._random.choice((0, 0, 1, -1))
        return NOW + timedelta(minutes=minutes, microseconds=near)

    def window(self) -> WeeklyWindow:
        start = self._random.choice((0, 1320, self._random.randint(0, 1439)))
        end = self._random.choice((1440, 360, self._random.randint(1, 1440)))
        if start == end:
            end = end % 1440 + 1
        return WeeklyWindow(tuple(sorted(self._some(range(7), 1))), start, end)

    def channel(self, channel_id: str) -> Channel:
        owner = self._random.choice((None, *OWNERS))
        return Channel(
            id=channel_id,
            device_id="de",
            area_id=self._random.choice(AREAS)[0],
            code=f"1101120011131{channel_id[2:]:>07}",
            name=self._random.choice(("路口一", "桥头", "塔")),
            device_class=self._random.choice(CLASSES),
            main_url="rtsp://192.0.2.1/x",
            sub_url=None,
            enabled=not self._one_in(8),
            facts={} if owner is None else {"owner": owner},
            filing=Filing.DRAFT if self._one_in(4) else Filing.FILED,
            sensitive=self._one_in(6),
        )

    def grants(self) -> list[Grant]:
        """A handful. Or what makes one the district's, the same on each root, and cameras lent to
        who has them anyhow."""
        found = [self.grant(number) for number in range(self._random.randint(0, 9))]
        if not self._one_in(3):
            return found
        whose = self._random.choice(SUBJECTS)
        lent = [replace(self.loan(number), subject_id=whose) for number in (10, 11)]
        whole = replace(
            self.own_grant(12),
            subject_id=whose,
            role_id=None,
            channel_id=None,
            conditions=(),
            effect=Effect.ALLOW,
        )
        roots = [each for each, above in AREAS if above is None]
        on_roots = [
            replace(whole, id=f"gr_{each}", area_id=each, purpose_required=self._one_in(2))
            for each in roots
        ]
        return [*found[:2], *lent, *on_roots]

    def grant(self, number: int) -> Grant:
        return self.loan(number) if self._one_in(5) else self.own_grant(number)

    def loan(self, number: int) -> Grant:
        """As `loan allow` writes it: of one camera, to one subject, with an end."""
        lent_at = NOW - timedelta(minutes=self._random.randint(-600, 1440))
        return Grant(
            id=f"gr_{number}",
            subject_id=self._random.choice(SUBJECTS),
            actions=frozenset(("list", *self._some(LENDABLE, 1))),
            area_id=None,
            channel_id=self._random.choice(CHANNELS),
            valid_from=lent_at,
            valid_until=lent_at + timedelta(minutes=self._random.randint(1, 2 * 1440)),
            created_at=lent_at,
            purpose_required=self._one_in(4),
            lent_by="wang",
        )

    def own_grant(self, number: int) -> Grant:
        to_role, denies = self._one_in(2), self._one_in(4)
        on_channel = self._one_in(4)
        conditions: tuple[Condition, ...] = ()
        area_id = None
        if not on_channel:
            conditions = tuple(self._condition() for _ in range(self._random.randint(0, 2)))
            if not (conditions and self._one_in(2)):
                area_id = self._random.choice(AREAS)[0]
        long_ago = NOW - timedelta(days=30)
        return Grant(
            id=f"gr_{number}",
            subject_id=None if to_role else self._random.choice(SUBJECTS),
            actions=frozenset(self._some(EVERY_ACTION, 1)),
            area_id=area_id,
            channel_id=self._random.choice(CHANNELS) if on_channel else None,
            valid_from=self.moment() if self._one_in(3) else long_ago,
            valid_until=self.moment() if self._one_in(3) else None,
            created_at=long_ago,
            revoked_at=NOW if self._one_in(8) else None,
            role_id=self._random.choice(ROLES) if to_role else None,
            effect=Effect.DENY if denies else Effect.ALLOW,
            conditions=conditions,
            windows=tuple(
                self.window() for _ in range(self._random.randint(1, 3) if self._one_in(2) else 0)
            ),
            purpose_required=not denies and self._one_in(4),
        )

    def _condition(self) -> Condition:
        match self._random.randrange(3):
            case 0:
                classes = tuple(each.value for each in self._some(CLASSES, 1))
                return Condition("device_class", self._random.choice((Op.EQ, Op.NE)), classes)
            case 1:
                op = self._random.choice(tuple(Op))
                return Condition("owner", op, tuple(self._some(OWNERS, 1)))
        return Condition("name", Op.PREFIX, self._random.choice((("路口",), ("桥", "塔"))))

    def _some(self, choices: Sequence[T], at_least: int) -> list[T]:
        return self._random.sample(choices, self._random.randint(at_least, len(choices)))

    def _one_in(self, number: int) -> bool:
        return self._random.randrange(number) == 0


def principal(who: Who) -> Principal:
    """Who asks, as the doors hand them to the decision."""
    name, key = who.subject_id, who.key
    if key is None:
        return Principal(name, name, "192.0.2.7", "bearer", who.version)
    return Principal(name, name, "192.0.2.7", "key", 0, key.id)


SEEDS = st.integers(0, 2**63)
MOMENTS = SEEDS.map(lambda seed: Maker(seed).moment())
WORLDS = SEEDS.map(lambda seed: Maker(seed).world())
WINDOWS = st.lists(SEEDS.map(lambda seed: Maker(seed).window()), min_size=1, max_size=4)

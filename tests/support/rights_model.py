"""The rights written down a second time, the slow and obvious way: no index, no cache, no sets of
areas. Local time by the time zone database, one day after the other. For tests that compare.

Written from docs/rights.md (and of keys, docs/sign-in.md; of loans, docs/loans.md), not from what
it is held against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from camera_registry.credentials import ApiKey
from camera_registry.domain import (
    Area,
    Channel,
    Condition,
    DeviceClass,
    Grant,
    Op,
    Purpose,
    Role,
    Stated,
    Subject,
    WeeklyWindow,
)
from streamhub.access.facts import Facts

SHANGHAI = ZoneInfo("Asia/Shanghai")
ASKED_WHY = {"live", "snapshot", "playback", "talk", "export"}
# A camera that is switched off gives no picture and no sound, and stands still.
NEEDS_THE_CAMERA = {"live", "snapshot", "talk", "ptz"}


@dataclass(frozen=True)
class Who:
    """Who asks: a subject as it signed in, or with one of its API keys."""

    subject_id: str
    version: int = 1  # the subject's, when it signed in
    key: ApiKey | None = None


@dataclass
class World:
    areas: list[Area]
    channels: list[Channel]
    subjects: list[Subject]
    grants: list[Grant]
    roles: list[Role] = field(default_factory=list)
    members: dict[str, frozenset[str]] = field(default_factory=dict)
    purposes: list[Purpose] = field(default_factory=list)
    # Those who ask; their keys are the world's, but for those that were revoked.
    askers: list[Who] = field(default_factory=list)
    revoked_keys: frozenset[str] = frozenset()

    def facts(self) -> Facts:
        return Facts.build(
            areas=self.areas,
            channels=self.channels,
            subjects=self.subjects,
            grants=self.grants,
            roles=self.roles,
            members=self.members,
            purposes=self.purposes,
            api_keys=[
                each.key
                for each in self.askers
                if each.key is not None and each.key.id not in self.revoked_keys
            ],
        )

    def lies_within(self, area_id: str, above: str) -> bool:
        at: str | None = area_id
        while at is not None:
            if at == above:
                return True
            at = next(area.parent_id for area in self.areas if area.id == at)
        return False

    def roots(self) -> list[str]:
        return [each.id for each in self.areas if each.parent_id is None]


def in_window(window: WeeklyWindow, now: datetime) -> bool:
    local = now.astimezone(SHANGHAI)
    for days_ago in (0, 1):
        begun = (local - timedelta(days=days_ago)).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        if begun.weekday() not in window.days:
            continue
        start = begun + timedelta(minutes=window.start_min)
        end = begun + timedelta(minutes=window.end_min)
        if end <= start:
            end += timedelta(days=1)
        if start <= local < end:
            return True
    return False


def is_over(grant: Grant, now: datetime) -> bool:
    if grant.revoked_at is not None:
        return True
    return grant.valid_until is not None and now >= grant.valid_until


def in_force(grant: Grant, now: datetime) -> bool:
    if is_over(grant, now) or now < grant.valid_from:
        return False
    return grant.windows == () or any(in_window(window, now) for window in grant.windows)


def condition_holds(condition: Condition, row: Channel) -> bool:
    own = {"name": row.name, "code": row.code, "device_class": str(row.device_class)}
    text = own[condition.field] if condition.field in own else row.facts.get(condition.field)
    if not text:
        return False
    if condition.op == Op.EQ:
        return any(text == value for value in condition.values)
    if condition.op == Op.NE:
        return all(text != value for value in condition.values)
    return any(text[: len(value)] == value for value in condition.values)


def denies(grant: Grant) -> bool:
    return grant.effect == "deny"


def actions_left(grants: list[Grant]) -> set[str]:
    """What these together allow: a denial wins over all that allow."""
    allowed = {action for grant in grants if not denies(grant) for action in grant.actions}
    return allowed - {action for grant in grants if denies(grant) for action in grant.actions}


@dataclass
class Asked:
    """What one may at one moment. `given`: whose time has come or not; `grants`: in force now."""

    world: World
    who: Who
    now: datetime

    def __post_init__(self) -> None:
        self.given = [grant for grant in self.world.grants if self._is_given(grant)]
        self.grants = [grant for grant in self.given if in_force(grant, self.now)]

    def _is_given(self, grant: Grant) -> bool:
        if grant.subject_id == self.who.subject_id:
            return True
        known = {role.id for role in self.world.roles}
        members = self.world.members.get(grant.role_id or "", frozenset())
        return grant.role_id in known and self.who.subject_id in members

    # --- whether they are let in --------------------------------------------------------------

    def is_out(self) -> bool:
        """What they came with does not hold: they may nothing, and know of nothing."""
        subject = next((e for e in self.world.subjects if e.id == self.who.subject_id), None)
        if subject is None or not subject.enabled:
            return True
        if self.who.key is None:
            return self.who.version != subject.version
        return self.who.key.id in self.world.revoked_keys or self.now >= self.who.key.expires_at

    def is_due(self) -> bool:
        """A person sees to their password and second factor before anything else."""
        if self.is_out() or self.who.key is not None:
            return False
        [subject] = (each for each in self.world.subjects if each.id == self.who.subject_id)
        lacks_factor = subject.second_factor_required and not subject.has_second_factor
        return subject.must_change_password or lacks_factor

    # --- a key is for some actions, in some areas ---------------------------------------------

    def _key_s(self, actions: set[str]) -> set[str]:
        key = self.who.key
        return actions if key is None or key.actions is None else actions & key.actions

    def _key_reaches(self, area_id: str) -> bool:
        key = self.who.key
        if key is None or key.area_ids is None:
            return True
        return any(self.world.lies_within(area_id, each) for each in key.area_ids)

    # --- cameras ------------------------------------------------------------------------------

    def is_about(self, grant: Grant, row: Channel) -> bool:
        if grant.channel_id is not None:
            return grant.channel_id == row.id
        if grant.area_id is not None and not self.world.lies_within(row.area_id, grant.area_id):
            return False
        return all(condition_holds(each, row) for each in grant.conditions)

    def listed(self, row: Channel) -> set[str]:
        """What lists of each action show it in: neither a purpose nor a switched-off camera
        matters."""
        if self.is_out() or self.is_due() or not self._key_reaches(row.area_id):
            return set()
        left = self._key_s(actions_left([g for g in self.grants if self.is_about(g, row)]))
        return left if row.filing == "filed" or "manage" in left else set()

    def allowed(self, row: Channel, stated: Stated | None = None) -> set[str]:
        return {each for each in self.listed(row) if self._is_enough(each, row, stated)}

    def _is_enough(self, action: str, row: Channel, stated: Stated | None) -> bool:
        """For what is granted: the camera is on, and it was said what for where that is asked."""
        if action in NEEDS_THE_CAMERA and not row.enabled:
            return False
        if stated is not None:
            return any(
                each.code == stated.purpose and (stated.note is not None or not each.needs_note)
                for each in self.world.purposes
            )
        if action not in ASKED_WHY:
            return True
        allowing = self._allowing(action, row)
        return not row.sensitive and any(not grant.purpose_required for grant in allowing)

    def _allowing(self, action: str, row: Channel) -> list[Grant]:
        return [
            grant
            for grant in self.grants
            if self.is_about(grant, row) and action in grant.actions and not denies(grant)
        ]

    def visible(self, row: Channel) -> bool:
        """Whether they may know that there is such a channel."""
        return self.is_due() or bool(self.listed(row))

    # --- areas and the district ---------------------------------------------------------------

    def _is_about_area(self, grant: Grant, area_id: str) -> bool:
        """As such: a single camera or a rule about some is not."""
        if grant.area_id is None or grant.conditions:
            return False
        return self.world.lies_within(area_id, grant.area_id)

    def allowed_on_area(self, area_id: str) -> set[str]:
        if self.is_out() or self.is_due() or not self._key_reaches(area_id):
            return set()
        return self._key_s(
            actions_left([each for each in self.grants if self._is_about_area(each, area_id)])
        )

    def known_areas(self) -> set[str]:
        """Where they may anything, or may with a camera that is there, or that could be; and the
        areas above: the tree is drawn with them."""
        at = {row.area_id for row in self.world.channels if self.listed(row)}
        for each in self.world.areas:
            could_be = (_unknown_camera(each.id, kind) for kind in DeviceClass)
            if self.allowed_on_area(each.id) or any(self.listed(row) for row in could_be):
                at.add(each.id)
        return {
            above.id
            for above in self.world.areas
            if self.is_due() or any(self.world.lies_within(each, above.id) for each in at)
        }

    def allowed_on_district(self) -> set[str]:
        """What is allowed on every one of its root areas."""
        by_root = [self.allowed_on_area(each) for each in self.world.roots()]
        return set.intersection(*by_root)

    def knows_district(self) -> bool:
        """Whoever has something, wherever it is."""
        if self.is_out():
            return False
        return self.is_due() or any(
            not denies(grant) and self._key_s(set(grant.actions)) and self._key_meets(grant)
            for grant in self.grants
        )

    def _key_meets(self, grant: Grant) -> bool:
        """Whether something that the grant is about may lie in the key's areas."""
        at = [each.id for each in self.world.areas]
        if grant.channel_id is not None:
            at = [row.area_id for row in self.world.channels if row.id == grant.channel_id]
        elif grant.area_id is not None:
            at = [each for each in at if self.world.lies_within(each, grant.area_id)]
        return any(self._key_reaches(each) for each in at)

    # --- passing on -----------------------------------------------------------------------------

    def passes_on(self, row: Channel, *, asking: bool) -> set[str]:
        """What of it they may give to others, who are (`asking`) or are not asked for a purpose:
        allowed, never denied from now on, not on loan alone."""
        stated = Stated(next(each.code for each in self.world.purposes), "-")
        return {
            action
            for action in self.allowed(row, stated)
            if not any(self.is_about(grant, row) for grant in self._denying(action))
            and _gives(action, self._allowing(action, row), asking)
        }

    def passes_on_in(self, area_id: str | None, *, asking: bool) -> set[str]:
        """The same of an area with all that is in it; None: of the district."""
        at = self.world.roots() if area_id is None else [area_id]
        allowed = self.allowed_on_district() if area_id is None else self.allowed_on_area(area_id)
        return {
            action
            for action in allowed
            if not any(area_id is None or self._meet(g, area_id) for g in self._denying(action))
            and all(_gives(action, self._allowing_in(action, each), asking) for each in at)
        }

    def _allowing_in(self, action: str, area_id: str) -> list[Grant]:
        return [
            grant
            for grant in self.grants
            if self._is_about_area(grant, area_id) and action in grant.actions and not denies(grant)
        ]

    def _denying(self, action: str) -> Iterator[Grant]:
        """Now, or at some hour to come."""
        for grant in self.given:
            if denies(grant) and action in grant.actions and not is_over(grant, self.now):
                yield grant

    def _meet(self, grant: Grant, area_id: str) -> bool:
        """Whether the grant is about something that is, or may come to be, in the area."""
        if grant.channel_id is not None:
            [row] = (each for each in self.world.channels if each.id == grant.channel_id)
            return self.world.lies_within(row.area_id, area_id)
        if grant.area_id is None:
            return True
        return self.world.lies_within(grant.area_id, area_id) or self.world.lies_within(
            area_id, grant.area_id
        )


def _gives(action: str, allowing: list[Grant], asking: bool) -> bool:
    """Of their own right, what is on loan left out: there is one, and it asks no more than the
    others would be asked."""
    own = [grant for grant in allowing if grant.lent_by is None]
    asked = action in ASKED_WHY and all(grant.purpose_required for grant in own)
    return bool(own) and (asking or not asked)


def _unknown_camera(area_id: str, kind: DeviceClass) -> Channel:
    """One that may come there, of which nothing is known but its class."""
    return Channel("", "de", area_id, "", "", kind, "rtsp://192.0.2.1/x", None)

"""What a decision is made from: an immutable snapshot of who there is, what there is, and grants.

`Facts` is plain data with lookups by id; `facts_cache` keeps the newest one in memory, so that
deciding on the join path needs no SQL.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from typing import TYPE_CHECKING, Final, Protocol

from camera_registry.area_tree import AreaTree
from camera_registry.credentials import ApiKey, SignIn
from camera_registry.domain import Area, Channel, Condition, Grant, Purpose, Quota, Role, Subject
from camera_registry.matching import fits

from .narrowing import narrowed

if TYPE_CHECKING:
    from .reach import Scope


# Rules that lists are filtered by: a district has some dozens; of each, its channels' ids.
MAX_MATCHES: Final = 64
# Scopes of those who list now; each holds sets of areas, and of ids where there are rules.
MAX_SCOPES: Final = 256


class Held:
    """The grants of one subject, its own and its roles', by where they reach."""

    __slots__ = ("_by_area", "_by_channel", "_loose", "all")

    def __init__(self, grants: Iterable[Grant]) -> None:
        self.all = tuple(grants)
        self._by_channel: dict[str, list[Grant]] = {}
        self._by_area: dict[str, list[Grant]] = {}
        self._loose: list[Grant] = []  # of the whole district, by conditions
        for grant in self.all:
            if grant.channel_id is not None:
                self._by_channel.setdefault(grant.channel_id, []).append(grant)
            if grant.area_id is not None:
                self._by_area.setdefault(grant.area_id, []).append(grant)
            elif grant.conditions:
                self._loose.append(grant)

    def covering_channel(self, row: Channel, chain: Iterable[str]) -> list[Grant]:
        """Those that say something of the channel, at whatever time. `chain`: its areas."""
        found = list(self._by_channel.get(row.id, ()))
        if self._by_area:
            for area_id in chain:
                for grant in self._by_area.get(area_id, ()):
                    if not grant.conditions or fits(grant.conditions, row):
                        found.append(grant)
        found.extend(grant for grant in self._loose if fits(grant.conditions, row))
        return found

    def covering_area(self, chain: Iterable[str]) -> list[Grant]:
        """Those that say something of an area as such: no rule does."""
        return [
            grant
            for area_id in chain
            for grant in self._by_area.get(area_id, ())
            if not grant.conditions
        ]


_NOTHING: Final = Held(())


class Facts:
    """One snapshot; what it says never changes after it was built."""

    __slots__ = (
        "_by_hash",
        "_chains",
        "_grants",
        "_held",
        "_keys_by_hash",
        "_matches",
        "_roles_of",
        "api_keys",
        "channels",
        "homes",
        "members",
        "purposes",
        "quotas",
        "roles",
        "roots",
        "scopes",
        "sign_ins",
        "subjects",
        "tree",
        "version",
    )

    def __init__(
        self,
        *,
        version: int,
        tree: AreaTree,
        channels: Mapping[str, Channel],
        subjects: Mapping[str, Subject],
        grants: Mapping[str, Grant],
        roles: Mapping[str, Role] | None = None,
        members: Mapping[str, frozenset[str]] | None = None,
        purposes: Mapping[str, Purpose] | None = None,
        quotas: Mapping[str, Quota] | None = None,
        homes: Mapping[str, str] | None = None,
        sign_ins: Mapping[str, SignIn] | None = None,
        api_keys: Mapping[str, ApiKey] | None = None,
    ) -> None:
        """`members`: ids of subjects by role; `purposes` by code; `quotas` by holder; `homes`: ids
        of areas by subject."""
        self.version = version
        self.tree = tree
        self.channels = channels
        self.subjects = subjects
        self.roles = roles or {}
        self.members = members or {}
        self.purposes = purposes or {}
        self.quotas = quotas or {}
        self.homes = homes or {}
        # By holder: a subject's or a role's id.
        self._grants: defaultdict[str, list[Grant]] = defaultdict(list)
        for grant in grants.values():
            if grant.revoked_at is None:
                self._grants[grant.role_id or grant.subject_id or ""].append(grant)
        self._roles_of: defaultdict[str, list[str]] = defaultdict(list)
        for role_id in sorted(self.members):
            if role_id in self.roles:
                for subject_id in self.members[role_id]:
                    self._roles_of[subject_id].append(role_id)
        self._chains = {each.id: (each.id, *tree.ancestors(each.id)) for each in tree}
        self.roots = frozenset(each.id for each in tree.roots())
        # Worked out when first asked for.
        self._held: dict[str, Held] = {}
        self._matches: dict[tuple[Condition, ...], frozenset[str]] = {}
        self.scopes: dict[tuple[str, ...], Scope] = {}
        self._set_credentials(sign_ins or {}, api_keys or {})

    @classmethod
    def build(
        cls,
        *,
        version: int = 0,
        areas: Iterable[Area] = (),
        channels: Iterable[Channel] = (),
        subjects: Iterable[Subject] = (),
        grants: Iterable[Grant] = (),
        roles: Iterable[Role] = (),
        members: Mapping[str, frozenset[str]] | None = None,
        purposes: Iterable[Purpose] = (),
        quotas: Iterable[Quota] = (),
        homes: Mapping[str, str] | None = None,
        sign_ins: Iterable[SignIn] = (),
        api_keys: Iterable[ApiKey] = (),
    ) -> Facts:
        """Index plain rows. Revoked grants may be among them; they never allow anything."""
        return cls(
            version=version,
            tree=AreaTree(areas, version),
            channels={row.id: row for row in channels},
            subjects={row.id: row for row in subjects},
            grants={row.id: row for row in grants},
            roles={row.id: row for row in roles},
            members=members,
            purposes={row.code: row for row in purposes},
            quotas={row.holder_id: row for row in quotas},
            homes=homes,
            sign_ins={row.id: row for row in sign_ins},
            api_keys={row.id: row for row in api_keys},
        )

    def with_credentials(
        self, version: int, *, sign_ins: Mapping[str, SignIn], api_keys: Mapping[str, ApiKey]
    ) -> Facts:
        """The same but for these. They change often: nothing else is indexed anew."""
        facts = copy(self)
        facts.version = version
        facts._set_credentials(sign_ins, api_keys)
        return facts

    def _set_credentials(
        self, sign_ins: Mapping[str, SignIn], api_keys: Mapping[str, ApiKey]
    ) -> None:
        self.sign_ins = sign_ins
        self.api_keys = api_keys
        self._keys_by_hash = {row.key_hash: row for row in api_keys.values()}
        self._by_hash = {row.id_hash: row for row in sign_ins.values()}

    def sign_in_by_hash(self, id_hash: str) -> SignIn | None:
        """Over or not: the decision looks at its end."""
        return self._by_hash.get(id_hash)

    def api_key_by_hash(self, key_hash: str) -> ApiKey | None:
        """Over or not: the decision looks at its end."""
        return self._keys_by_hash.get(key_hash)

    def sign_ins_of(self, subject_id: str) -> list[SignIn]:
        """Oldest first."""
        rows = (row for row in self.sign_ins.values() if row.subject_id == subject_id)
        return sorted(rows, key=lambda row: (row.created_at, row.id))

    def subject(self, subject_id: str) -> Subject | None:
        return self.subjects.get(subject_id)

    def subject_named(self, username: str) -> Subject | None:
        return next((each for each in self.subjects.values() if each.username == username), None)

    def channel(self, channel_id: str) -> Channel | None:
        return self.channels.get(channel_id)

    def area(self, area_id: str) -> Area | None:
        return self.tree.get(area_id)

    def held(self, subject_id: str) -> Held:
        """Its grants and its roles', ready to be asked. Those of nobody are nothing."""
        held = self._held.get(subject_id)
        if held is None:
            holders = (subject_id, *self._roles_of.get(subject_id, ()))
            rows = [row for holder in holders for row in self._grants.get(holder, ())]
            held = Held(rows) if rows else _NOTHING
            if subject_id in self.subjects:  # bounded by them
                self._held[subject_id] = held
        return held

    def held_with(self, key: ApiKey) -> Held:
        """What its subject holds, as far as the key is for it. A key is never changed."""
        held = self._held.get(key.id)
        if held is None:
            rows = list(narrowed(self.grants_of(key.subject_id), key, self))
            held = Held(rows) if rows else _NOTHING
            if key.id in self.api_keys:  # bounded by them
                self._held[key.id] = held
        return held

    def grants_of(self, subject_id: str) -> tuple[Grant, ...]:
        """Grants that were not revoked, by itself and by its roles; their time is the decision's
        business."""
        return self.held(subject_id).all

    def is_kept_from_somebody(self, channel_ids: frozenset[str]) -> bool:
        """Whether one of the channels is, by a denial of it alone, or by its mark `sensitive`:
        neither would be said of it when it is added again."""
        rows_here = filter(None, map(self.channel, channel_ids))
        return any(each.sensitive for each in rows_here) or any(
            row.channel_id in channel_ids for row in self.denials()
        )

    def denials(self) -> Iterator[Grant]:
        """Everybody's, but those that were revoked."""
        return (row for rows in self._grants.values() for row in rows if row.denies)

    def grants_of_role(self, role_id: str) -> tuple[Grant, ...]:
        """Those that were not revoked."""
        return tuple(self._grants.get(role_id, ()))

    def roles_of(self, subject_id: str) -> list[Role]:
        return [self.roles[each] for each in self._roles_of.get(subject_id, ())]

    def matches(self, conditions: tuple[Condition, ...]) -> frozenset[str]:
        """Ids of all channels that the conditions hold of. Looked up once per rule."""
        found = self._matches.get(conditions)
        return self.keep(conditions, self.look_up(conditions)) if found is None else found

    def look_up(self, conditions: tuple[Condition, ...]) -> frozenset[str]:
        """What `matches` gives, worked out: 0.1 s for 100,000 channels; for any thread."""
        return frozenset(row.id for row in self.channels.values() if fits(conditions, row))

    def keep(self, conditions: tuple[Condition, ...], found: frozenset[str]) -> frozenset[str]:
        """Know what was looked up."""
        if len(self._matches) >= MAX_MATCHES:
            self._matches.pop(next(iter(self._matches)))
        self._matches[conditions] = found
        return found

    def unknown_rules(self) -> list[tuple[Condition, ...]]:
        """Rules of the grants that lists will ask for and nobody has looked up, so many as are
        kept."""
        rules = {
            grant.conditions: None
            for grants in self._grants.values()
            for grant in grants
            if any(each.field != "device_class" for each in grant.conditions)
        }
        room = MAX_MATCHES - len(self._matches)
        return [each for each in rules if each not in self._matches][: max(0, room)]

    def take_matches(self, before: Facts, changed: Iterable[str]) -> None:
        """Know what the snapshot before knew of its rules; only `changed` channels are looked at
        again."""
        changed = frozenset(changed)
        rows = [row for each in changed if (row := self.channels.get(each)) is not None]
        for conditions, known in before._matches.items():
            fitting = {row.id for row in rows if fits(conditions, row)}
            self._matches[conditions] = (known - changed) | fitting if changed else known

    def area_chain(self, area_id: str) -> tuple[str, ...]:
        """The area itself first, then its parents up to the root; empty when unknown."""
        return self._chains.get(area_id, ())

    def area_path(self, area_id: str) -> tuple[str, ...]:
        """Names from the root down to the area."""
        return tuple(each.name for each in self.tree.path(area_id))

    def descendants(self, area_id: str) -> frozenset[str]:
        """The area and all below it; empty when unknown."""
        return self.tree.descendants(area_id)


class FactsSource(Protocol):
    """Where the newest snapshot is read."""

    @property
    def current(self) -> Facts: ...

    @property
    def deaf_s(self) -> float:
        """Seconds for which nobody could say whether the snapshot is still the newest."""
        ...


class StaticFacts:
    """A snapshot set by hand: for tests and for the command line without a service."""

    def __init__(self, facts: Facts) -> None:
        self._current = facts
        self.deaf_s = 0.0

    @property
    def current(self) -> Facts:
        return self._current

    def set(self, facts: Facts) -> None:
        self._current = facts

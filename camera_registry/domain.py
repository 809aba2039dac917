"""The registry's words: frozen dataclasses, no SQL, no I/O.

Times are timezone-aware UTC. Ids are opaque strings (`new_id`); the 20-digit GB/T 28181 code is
a field, never an id.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from .grants import ACTIONS as ACTIONS
from .grants import Condition as Condition
from .grants import Effect as Effect
from .grants import Grant as Grant
from .grants import Op as Op
from .grants import Purpose as Purpose
from .grants import Role as Role
from .grants import Stated as Stated
from .grants import WeeklyWindow as WeeklyWindow
from .quotas import Quota as Quota
from .secret import Secret

if TYPE_CHECKING:
    from .area_tree import AreaTree

ID_BODY_CHARS: Final = 20  # 100 bits of base32: unguessable, and short enough for a URL
PROFILES: Final = ("main", "sub")

T = TypeVar("T")


class AreaKind(StrEnum):
    """The four storeys of the area tree, from the top down."""

    DISTRICT = "district"
    STREET = "street"  # a street office or a township
    COMMUNITY = "community"  # or a village
    GRID = "grid"


class DeviceClass(StrEnum):
    """Whose camera it is and what it is for: this customer's classes."""

    POLICE_HD = "police_hd"
    HIGH_ALTITUDE = "high_altitude"
    CIVIL_DEFENCE = "civil_defence"
    ALLEY = "alley"


class Filing(StrEnum):
    """How far a channel is on its way to the operators (docs/filing.md)."""

    DRAFT = "draft"  # not reviewed yet, or sent back: `filing_note` says why
    REVIEWED = "reviewed"  # somebody else has looked at it
    FILED = "filed"  # only such a channel is there for whoever does not manage it


class SubjectKind(StrEnum):
    PERSON = "person"
    SERVICE = "service"


class ChangeKind(StrEnum):
    """What a row of the changes feed is about."""

    AREA = "area"
    DEVICE = "device"
    CHANNEL = "channel"
    SUBJECT = "subject"
    ROLE = "role"  # or who is in it
    GRANT = "grant"
    PURPOSE = "purpose"
    QUOTA = "quota"  # or of which area a subject is
    SIGN_IN = "sign_in"
    API_KEY = "api_key"
    WEBHOOK = "webhook"
    EVERYTHING = "everything"  # a bulk change (seed, import): followers reload all they hold


class ChangeOp(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"  # a revoked grant is UPDATED: its row stays


def new_id(prefix: str) -> str:
    """A fresh opaque id, e.g. ``ch_3k7q…``: prefix, underscore, 20 lower-case base32 characters."""
    body = base64.b32encode(secrets.token_bytes(13)).decode("ascii")[:ID_BODY_CHARS].lower()
    return f"{prefix}_{body}"


@dataclass(frozen=True, slots=True)
class Area:
    """A node of the tree district -> street/township -> community/village -> grid."""

    id: str
    parent_id: str | None  # None only for a district
    kind: AreaKind
    code: str  # unique; digits, longer further down
    name: str
    boundary: tuple[tuple[float, float], ...] | None = None  # (lon, lat) WGS-84, not closed
    schematic: bool = False  # True: the boundary is a drawing, not a survey
    unread_points: int = 0  # of a boundary that was left in the store, `boundary` being None

    @property
    def boundary_points(self) -> int:
        """How many its boundary has, read or not; 0: it has none."""
        return len(self.boundary) if self.boundary else self.unread_points


@dataclass(frozen=True, slots=True)
class Device:
    """A box with an address and credentials; an NVR is one device with many channels."""

    id: str
    name: str
    host: str
    port: int
    username: str | None = None
    has_password: bool = False  # the password itself lies sealed in the store
    max_dials: int = 4  # streams we may pull from it at once
    listen_to_events: bool = False  # what it says by itself (motion, an input) is asked for


@dataclass(frozen=True, slots=True)
class Channel:
    """One camera view of a device: what people name and are granted."""

    id: str
    device_id: str
    area_id: str
    code: str  # 20 digits, unique (GB/T 28181)
    name: str
    device_class: DeviceClass
    main_url: str  # rtsp:// without userinfo
    sub_url: str | None
    lon: float | None = None  # WGS-84
    lat: float | None = None
    enabled: bool = True
    # What the archive forms ask besides: texts by field key (importers/fields.yaml).
    facts: Mapping[str, str] = field(default_factory=dict)
    # Every use case that makes one says which; whatever was there before states were is filed.
    filing: Filing = Filing.FILED
    filing_note: str | None = None  # why it was sent back
    sensitive: bool = False  # whoever wants its picture says what for

    @property
    def is_filed(self) -> bool:
        return self.filing is Filing.FILED

    @property
    def profiles(self) -> tuple[str, ...]:
        """The stream profiles it offers: ``main`` and, when there is a second URL, ``sub``."""
        return ("main", "sub") if self.sub_url else ("main",)


@dataclass(frozen=True, slots=True)
class ChannelVersion:
    """One change of a channel: `before` is None when it was made, `after` when it was deleted."""

    seq: int
    channel_id: str
    at: datetime
    subject_id: str | None
    subject_name: str | None
    act: str  # the audit's word for the change
    job_id: str | None  # the import that did it
    before: Channel | None
    after: Channel | None

    @property
    def channel(self) -> Channel:
        """As it is after the change, or was before it went."""
        channel = self.after or self.before
        if channel is None:
            raise ValueError(f"version {self.seq} has neither a before nor an after")
        return channel


class RuleKind(StrEnum):
    """What a rule of assignment goes by."""

    POLYGON = "polygon"  # the deepest boundary at or beneath its area that contains the position
    ADDRESS_PREFIX = "address_prefix"
    NAME_PREFIX = "name_prefix"
    FACT = "fact"  # a fact is exactly the text


@dataclass(frozen=True, slots=True)
class AssignmentRule:
    """Cameras that fit belong in the area. Low priorities are asked first."""

    id: str
    priority: int
    kind: RuleKind
    area_id: str
    field: str | None = None  # of FACT: the fact's key
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """Whoever asks: an operator, a sub-platform's service account, an integrator."""

    id: str
    username: str  # unique, lower case
    display_name: str
    kind: SubjectKind
    enabled: bool = True
    version: int = 1  # raised by each change; a token minted under an older version is void
    second_factor_required: bool = False
    has_second_factor: bool = False  # one that was confirmed
    must_change_password: bool = False  # somebody else knows it


@dataclass(frozen=True, slots=True)
class Basis:
    """What the right to a change was decided from."""

    # Of the changes: later ones were not known. None: nobody can take the right away.
    seq: int | None
    credential_id: str | None = None  # the sign-in or API key that it was asked with
    # Whether somebody whose change came too late decides again now: theirs is made first.
    gives_way: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does a change, as the audit row will name them."""

    subject_id: str | None  # None: the local operator or the system itself
    subject_name: str  # a username, or e.g. "local:root", "system"
    remote: str | None = None
    as_role: str | None = None
    # Given, the change is refused (`RightsChanged`) where it is not by the newest rights.
    basis: Basis | None = field(default=None, compare=False)

    @property
    def person(self) -> str:
        """An account's id; a local operator's name."""
        return self.subject_id or self.subject_name

    def is_same_person(self, subject_id: str | None, name: str | None) -> bool:
        """A person is an account; a local operator, the name of theirs on this machine."""
        if subject_id is not None or self.subject_id is not None:
            return subject_id == self.subject_id
        return name == self.subject_name


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What a caller hands to the audit; the store adds seq, time and hashes.

    `detail` holds JSON values only (str, int, float, bool, None, list, dict); a `Secret` in it
    raises `TypeError`.
    """

    act: str  # snake_case verb, e.g. "sign_in", "view_start", "grant_revoked"
    outcome: str  # "ok" | "refused" | "failed"
    subject_id: str | None = None
    subject_name: str | None = None
    as_role: str | None = None
    remote: str | None = None
    channel_id: str | None = None
    area_id: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row of the chain: `hash` covers every other field, `prev_hash` included."""

    seq: int  # 1, 2, 3 … without gaps
    at: datetime
    subject_id: str | None
    subject_name: str | None
    as_role: str | None
    remote: str | None
    act: str
    channel_id: str | None
    area_id: str | None
    outcome: str
    detail: Mapping[str, Any]
    prev_hash: str  # 64 hex digits; zeros in row 1
    hash: str


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the changes feed, written in the transaction that made the change."""

    seq: int
    at: datetime
    kind: ChangeKind
    object_id: str  # "*" for EVERYTHING
    op: ChangeOp = ChangeOp.UPDATED


class EventKind(StrEnum):
    """What is told outward: of a channel by webhooks and by the stream of events, and by webhooks
    that ask for it of the log."""

    ADDED = "channel.added"
    CHANGED = "channel.changed"
    REMOVED = "channel.removed"
    ONLINE = "channel.online"
    OFFLINE = "channel.offline"
    DEVICE_EVENT = "device_event"
    AUDIT_ROOT = "audit.root"  # a segment of the log was signed


OF_CHANNELS: Final = frozenset(EventKind) - {EventKind.AUDIT_ROOT}


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that is told of events. Its secret lies sealed in the store."""

    id: str
    url: str  # http or https, without userinfo
    kinds: frozenset[EventKind]
    area_id: str | None  # with all beneath; None: the whole registry
    enabled: bool
    created_at: datetime
    version_seq: int  # every version up to it has become a delivery, or was none of its business
    dropped: int = 0  # events online and offline that found its queue full


class DeliveryState(StrEnum):
    QUEUED = "queued"
    DEAD = "dead"  # tried often enough; kept to be looked at and sent again


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one webhook. `body` is JSON as it is sent, never with a secret."""

    seq: int  # the order of the queue; 0 before it is stored
    webhook_id: str
    event_id: str  # the same however often it is sent
    kind: str
    channel_id: str  # empty: of none
    body: str
    created_at: datetime
    due_at: datetime
    state: DeliveryState = DeliveryState.QUEUED
    attempts: int = 0
    last_error: str | None = None  # a sentence


@dataclass(frozen=True, slots=True)
class Scope:
    """What a caller may list: these areas **and all beneath them**, and these single channels.

    `exact` areas stand for themselves alone. Of the areas in `class_areas` (exact, too) it is the
    channels of that class. `except_ids` are left out wherever they are. Channels that are not
    filed only where they are in `unfiled` too (None: wherever the others are). Passing None where
    a `Scope | None` is asked means everything.
    """

    area_ids: frozenset[str] = frozenset()
    channel_ids: frozenset[str] = frozenset()
    unfiled: Scope | None = None
    class_areas: Mapping[DeviceClass, frozenset[str]] = field(default_factory=dict)
    except_ids: frozenset[str] = frozenset()
    exact: bool = False

    @property
    def is_empty(self) -> bool:
        return not self.area_ids and not self.channel_ids and not self.class_areas

    def areas(self, tree: AreaTree) -> frozenset[str]:
        """`area_ids` with those beneath."""
        return self.area_ids if self.exact else tree.expand(self.area_ids)

    def has(self, row: Channel, area_ids: frozenset[str]) -> bool:
        """Whether the channel is in it, filed or not; `area_ids`: what `areas` gave."""
        if row.id in self.except_ids:
            return False
        return (
            row.area_id in area_ids
            or row.id in self.channel_ids
            or row.area_id in self.class_areas.get(row.device_class, ())
        )


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list: `next_cursor` is None on the last; `total` counts all that match, or up
    to a bound, when `total_capped` says that there are more."""

    items: list[T]
    next_cursor: str | None
    total: int
    total_capped: bool = False


@dataclass(frozen=True, slots=True)
class StreamAddress:
    """Where one channel's stream is pulled from; the URL carries no userinfo."""

    channel_id: str
    device_id: str
    profile: str
    url: str
    username: str | None
    password: Secret | None
    max_dials: int

"""What a caller gives to make or change a thing: drafts (all fields) and changes (some fields)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict

from .domain import Condition, Effect, WeeklyWindow
from .secret import Secret


@dataclass(frozen=True, slots=True)
class AreaDraft:
    parent_id: str | None
    kind: str
    code: str
    name: str
    boundary: tuple[tuple[float, float], ...] | None = None
    schematic: bool = False


class AreaChanges(TypedDict, total=False):
    name: str
    boundary: tuple[tuple[float, float], ...] | None
    schematic: bool


@dataclass(frozen=True, slots=True)
class DeviceDraft:
    name: str
    host: str
    port: int = 554
    username: str | None = None
    password: Secret | None = None
    max_dials: int = 4
    listen_to_events: bool = False


class DeviceChanges(TypedDict, total=False):
    name: str
    host: str
    port: int
    username: str | None
    password: Secret | None  # None takes the password away
    max_dials: int
    listen_to_events: bool


@dataclass(frozen=True, slots=True)
class ChannelDraft:
    """URLs may carry userinfo: it becomes the device's credentials and leaves the URL."""

    code: str
    name: str
    area_id: str
    device_class: str
    main_url: str
    sub_url: str | None = None
    lon: float | None = None
    lat: float | None = None
    enabled: bool = True
    device_id: str | None = None  # None: found by host, port and credentials, or made
    username: str | None = None
    password: Secret | None = None
    facts: Mapping[str, str | None] = field(default_factory=dict)
    sensitive: bool = False
    filing: str | None = None  # draft or filed; None: as the site chose for what is added by hand


class ChannelChanges(TypedDict, total=False):
    code: str
    name: str
    area_id: str
    device_class: str
    main_url: str
    sub_url: str | None
    lon: float | None
    lat: float | None
    enabled: bool
    facts: Mapping[str, str | None]  # merged; None takes one away
    sensitive: bool


@dataclass(frozen=True, slots=True)
class SubjectDraft:
    username: str
    display_name: str
    kind: str = "person"
    enabled: bool = True
    must_change_password: bool = False
    home_area_id: str | None = None


class SubjectChanges(TypedDict, total=False):
    display_name: str
    enabled: bool
    second_factor_required: bool
    home_area_id: str | None


@dataclass(frozen=True, slots=True)
class NewPassword:
    """`must_change`: the subject may do nothing before it has chosen its own."""

    hash: str  # argon2
    must_change: bool


@dataclass(frozen=True, slots=True)
class GrantDraft:
    subject_id: str | None
    actions: Collection[str]
    area_id: str | None = None
    channel_id: str | None = None
    valid_from: datetime | None = None  # None: now
    valid_until: datetime | None = None  # None: until revoked
    role_id: str | None = None  # instead of subject_id
    effect: Effect = Effect.ALLOW
    conditions: Sequence[Condition] = ()
    windows: Sequence[WeeklyWindow] = ()
    purpose_required: bool = False
    lent_by: str | None = None  # of a loan: who lent it
    loan_id: str | None = None


@dataclass(frozen=True, slots=True)
class RoleDraft:
    name: str
    display_name: str

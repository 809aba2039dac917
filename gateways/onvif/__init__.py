"""Devices that speak ONVIF: found, asked what they are, steered and listened to.

Belongs here: how a device is signed on to, described, steered and listened to, and how devices are
found in a network. Does not belong here: pictures (`rtsp` and the core), who may steer (access),
what becomes of what was found (registry). May be called by: `app`, and through it `api` and `cli`.

    discover           who answers to a multicast probe; `discover_host` asks one host
    sweep              who answers in whole networks, past the borders of multicast
    describe           a device as it describes itself, with its channels and stream addresses
    find_ptz           which profile of a device is steered
    PtzControl         steers one profile, and stops it when whoever steers falls silent
    listen             a device's events, by one subscription that is always given back
    CredentialSet      passwords to try; a `TryLedger` keeps accounts from being locked

No request is ever signed by HTTP Basic, redirected, or read past 2 MB (`transport`).
"""

from gateways.onvif.address import DeviceAddress
from gateways.onvif.client import DeviceClient
from gateways.onvif.credentials import MAX_DEVICES, CredentialSet, TryLedger
from gateways.onvif.describe import (
    ChannelDescription,
    DeviceDescription,
    Note,
    StreamDescription,
    describe,
    find_services,
    list_sources,
)
from gateways.onvif.discovery import Match, discover, discover_host
from gateways.onvif.errors import (
    AddressInvalid,
    AuthRefused,
    BadAnswer,
    Faulted,
    OnvifError,
    SweepInvalid,
    Unreachable,
)
from gateways.onvif.event_kinds import classify, picture_of
from gateways.onvif.events import Event, listen
from gateways.onvif.find_ptz import NoPtz, PtzProfile, find_ptz
from gateways.onvif.hold_to_move import HOLD_S, Velocity
from gateways.onvif.ptz import PtzControl
from gateways.onvif.ptz_wire import Position, Preset, PtzStatus
from gateways.onvif.services import Services
from gateways.onvif.subscription import Notification
from gateways.onvif.sweep import SweepHit, SweepProgress, sweep
from gateways.onvif.sweep_plan import SweepCursor, SweepPaceSettings, SweepPlan
from gateways.onvif.transport import HttpTransport, Timeouts

__all__ = [
    "HOLD_S",
    "MAX_DEVICES",
    "AddressInvalid",
    "AuthRefused",
    "BadAnswer",
    "ChannelDescription",
    "CredentialSet",
    "DeviceAddress",
    "DeviceClient",
    "DeviceDescription",
    "Event",
    "Faulted",
    "HttpTransport",
    "Match",
    "NoPtz",
    "Note",
    "Notification",
    "OnvifError",
    "Position",
    "Preset",
    "PtzControl",
    "PtzProfile",
    "PtzStatus",
    "Services",
    "StreamDescription",
    "SweepCursor",
    "SweepHit",
    "SweepInvalid",
    "SweepPaceSettings",
    "SweepPlan",
    "SweepProgress",
    "Timeouts",
    "TryLedger",
    "Unreachable",
    "Velocity",
    "classify",
    "describe",
    "discover",
    "discover_host",
    "find_ptz",
    "find_services",
    "list_sources",
    "listen",
    "picture_of",
    "sweep",
]

"""The words of an inspection: frozen dataclasses, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal

# Half the width of a sub stream's picture, and a card's; a JPEG of it has 10 to 40 kB.
PICTURE_WIDTH: Final = 480
# A larger one is not kept: 3,000 cards with pictures are 100 MB at most.
MAX_PICTURE_BYTES: Final = 64 << 10

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What one pull of one stream showed. None: it was not learnt.

    `failed_step` and `failure` are those of `gateways.rtsp.check` when the dialogue stopped.
    `gop_ms` is the longest whole GOP that was seen; `gop_at_least_ms` the longest time without a
    keyframe, which is all that is known where no whole GOP was. `clock_skew_ms` is the camera's
    clock minus ours, learnt from `clock_source`.
    """

    failed_step: str | None = None
    failure: str | None = None
    connected: bool = False
    authenticated: bool | None = None
    transport: Literal["tcp", "udp"] | None = None
    codec: str | None = None
    profile: str | None = None
    level: str | None = None
    width: int | None = None
    height: int | None = None
    chroma: str | None = None
    bit_depth: int | None = None
    interlaced: bool | None = None
    fps_declared: float | None = None
    fps_measured: float | None = None
    bit_rate_bps: int | None = None
    gop_ms: int | None = None
    gop_pictures: int | None = None
    gop_at_least_ms: int | None = None
    gop_varies: bool = False
    b_frames: bool | None = None
    audio: str | None = None
    clock_skew_ms: int | None = None
    clock_source: Literal["rtcp_sender_report", "rtsp_date"] | None = None
    first_packet_ms: int | None = None
    first_keyframe_ms: int | None = None
    watched_ms: int = 0
    packets: int = 0
    packets_lost: int = 0
    picture: Literal["kept", "undecodable", "too_large", "not_decoded"] | None = None

    def values(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Facts:
        """From `values()`; what an older or newer program wrote besides is left out."""
        known = {each.name for each in fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in known})


class Verdict(StrEnum):
    """What a card comes to."""

    PLAYS = "plays"
    LIMITED = "limited"  # it plays, and something in the camera's menu should be changed
    FAILS = "fails"  # it does not play in a browser


@dataclass(frozen=True, slots=True)
class Card:
    """What the newest inspection of one channel at one profile found. `codes`: of the rules in
    `verdicts.yaml`, errors first."""

    channel_id: str
    profile: str
    at: datetime
    run_id: str | None
    verdict: Verdict
    codes: tuple[str, ...]
    facts: Facts
    has_picture: bool = False


class RunState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"  # somebody ended it before all were inspected


@dataclass(frozen=True, slots=True)
class Run:
    """One inspection of many channels. `scope` is what was asked for: `{"area_id": …}`,
    `{"channel_ids": […]}` or `{"all": true}`."""

    id: str
    created_at: datetime
    subject_id: str | None
    subject_name: str | None
    scope: Mapping[str, Any]
    profiles: tuple[str, ...]
    total: int
    state: RunState = RunState.RUNNING
    counts: Mapping[str, int] = field(default_factory=dict)  # by verdict, and `gone`
    finished_at: datetime | None = None

    @property
    def done(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Target:
    """What is left to do of a run: one channel at one profile. `host`: where it is dialled."""

    number: int
    channel_id: str
    profile: str
    device_id: str
    host: str
    max_dials: int

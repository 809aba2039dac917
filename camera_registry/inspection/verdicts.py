"""The table of rules: what the facts of a look come to. Pure.

A rule's severity and sentences are data (`verdicts.yaml`); when it applies stands here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import yaml

from .card import Facts, Severity, Verdict

# The service answers a join from its cached GOP; beyond this a lost picture is missed for long.
GOP_LONG_MS: Final = 4_000
# Cameras' menus go up to 400 pictures; what is longer, nobody has set by hand.
GOP_SMART_MS: Final = 10_000
# 4K of a camera is 3840x2160 or 4096x2160; 5 and 8 megapixels are below it.
LARGE_PIXELS: Final = 4096 * 2160
HIGH_BIT_RATE_BPS: Final = 8_000_000
LOW_FPS_SHARE: Final = 0.8
SLOW_FIRST_KEYFRAME_MS: Final = 3_000
# The RTSP Date header has whole seconds, and is a round trip old.
CLOCK_OFF_MS: Final = 5_000
LOST_SHARE: Final = 0.001
PLAYABLE_AUDIO: Final = frozenset({"PCMA", "PCMU"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table; `zh` and `en` say what to change."""

    code: str
    severity: Severity
    zh: str
    en: str


@cache
def rules() -> dict[str, Rule]:
    """By code, in the order in which findings are shown."""
    text = files(__package__).joinpath("verdicts.yaml").read_text(encoding="utf-8")
    table: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return {code: Rule(code, **row) for code, row in table.items()}


_Applies = Callable[[Facts, str], bool]

# (facts, profile) -> whether it applies. `failure` is a code of its own: see `judged`.
_CONDITIONS: Final[dict[str, _Applies]] = {
    "b_frames": lambda f, _: f.b_frames is True,
    "profile_unsupported": lambda f, _: (
        (f.bit_depth or 8) > 8 or (f.chroma or "4:2:0") not in ("4:2:0", "4:0:0")
    ),
    "picture_undecodable": lambda f, _: f.picture == "undecodable",
    "h265": lambda f, profile: f.codec == "H265" and profile == "main",
    "sub_h265": lambda f, profile: f.codec == "H265" and profile != "main",
    "smart_codec": lambda f, _: f.gop_varies or (f.gop_at_least_ms or 0) > GOP_SMART_MS,
    "gop_long": lambda f, _: (f.gop_at_least_ms or 0) > GOP_LONG_MS,
    "interlaced": lambda f, _: f.interlaced is True,
    "size_large": lambda f, _: (f.width or 0) * (f.height or 0) > LARGE_PIXELS,
    "bit_rate_high": lambda f, _: (f.bit_rate_bps or 0) > HIGH_BIT_RATE_BPS,
    "fps_low": lambda f, _: _fps_low(f),
    "packets_lost": lambda f, _: f.packets_lost > LOST_SHARE * f.packets,
    "by_udp": lambda f, _: f.transport == "udp",
    "first_keyframe_slow": lambda f, _: (f.first_keyframe_ms or 0) > SLOW_FIRST_KEYFRAME_MS,
    "clock_off": lambda f, _: abs(f.clock_skew_ms or 0) > CLOCK_OFF_MS,
    "audio_unplayable": lambda f, _: bool(f.audio) and f.audio not in PLAYABLE_AUDIO,
}


def _fps_low(facts: Facts) -> bool:
    declared, measured = facts.fps_declared, facts.fps_measured
    return declared is not None and measured is not None and measured < LOW_FPS_SHARE * declared


def judged(facts: Facts, profile: str) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict and the codes of what was found, errors first. A failure that the table does not
    know counts as `refused`."""
    table = rules()
    codes = [code for code, applies in _CONDITIONS.items() if applies(facts, profile)]
    if facts.failure is not None:
        codes.append(facts.failure if facts.failure in table else "refused")
    order = list(table)
    codes.sort(key=lambda code: (table[code].severity != "error", order.index(code)))
    if not codes:
        return Verdict.PLAYS, ()
    fails = table[codes[0]].severity == "error"
    return Verdict.FAILS if fails else Verdict.LIMITED, tuple(codes)

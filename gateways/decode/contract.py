"""What a decode gives, and how it fails.

DecodeError
├── Busy             the queue is full: ask again later
├── TooLarge         more bytes than a keyframe has
├── Undecodable      the decoder found no picture in it
├── DecodeTimedOut   not done by the deadline; the worker was replaced
└── WorkerDied       the worker died of it, and was replaced
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG (baseline, 4:2:0) and its size in pixels."""

    jpeg: bytes
    width: int
    height: int


class DecodeError(Exception):
    """Root; `code` is stable."""

    code = "decode_failed"


class Busy(DecodeError):
    code = "decoder_busy"


class TooLarge(DecodeError):
    code = "keyframe_too_large"


class Undecodable(DecodeError):
    code = "undecodable"


class DecodeTimedOut(DecodeError):
    code = "decode_timed_out"


class WorkerDied(DecodeError):
    code = "decoder_died"

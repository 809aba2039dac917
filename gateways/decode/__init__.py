"""Keyframes to pictures, in processes of their own: a bad bitstream can only kill a worker.

Belongs here: the pool of worker processes and the worker itself. Does not belong here: which
keyframe (the core hands it out), who may see it, caching. May be called by: `delivery`,
`inspection`.
"""

from gateways.decode.contract import (
    Busy,
    DecodeError,
    DecodeTimedOut,
    Picture,
    TooLarge,
    Undecodable,
    WorkerDied,
)
from gateways.decode.pool import DecodePool, DecodeSettings

__all__ = [
    "Busy",
    "DecodeError",
    "DecodePool",
    "DecodeSettings",
    "DecodeTimedOut",
    "Picture",
    "TooLarge",
    "Undecodable",
    "WorkerDied",
]

"""Cameras that speak RTSP 1.0 (RFC 2326): from an address to what the core dials.

Belongs here: `prepare` (address -> `SourceSpec`) and `check` (a dialogue with one camera, told
step by step). Does not belong here: the live pull itself (core `peer::rtsp_client`), retries
(router). May be called by: `router` through `app`, and `cli` for checks.
"""

from gateways.rtsp.check import CheckReport, check
from gateways.rtsp.prepare import AddressInvalid, prepare

__all__ = ["AddressInvalid", "CheckReport", "check", "prepare"]

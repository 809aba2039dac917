"""Cameras that speak RTSP 1.0 (RFC 2326): from an address to what the core dials.

Belongs here: `prepare` (address -> `SourceSpec`), `check` (a dialogue with one camera, told step by
step) and `inspect` (a check that measures the stream for some seconds, in a process of its own).
Does not belong here: the live pull itself (core `peer::rtsp_client`), retries (router), when to
inspect what (`streamhub.inspection`). May be called by: `router` and `inspection` through `app`,
and `cli` for checks.
"""

from gateways.rtsp.check import CheckReport, check
from gateways.rtsp.prepare import AddressInvalid, prepare

__all__ = ["AddressInvalid", "CheckReport", "check", "prepare"]

"""What steering refuses. Each has a stable `code`; the api maps them to problems.

SteeringError
├── PtzHeld             somebody else steers            (409 ptz_held)
├── PtzUnsupported      there is nothing to steer       (409 ptz_unsupported)
├── DeviceUnreachable   the camera does not answer      (502 device_unreachable)
├── DeviceRefused       the camera says no              (502 device_refused)
├── SteeringBusy        as many as may be at once       (503 steering_busy)
└── NotWritten          no audit row, so nothing moved  (503 audit_unavailable)
"""

from __future__ import annotations

from datetime import datetime

_UNSUPPORTED = {
    "no_onvif_address": "It is not known that this camera speaks ONVIF; bring it in by a sweep, or"
    " set its facts `protocol` (ONVIF) and `access_port`.",
    "no_ptz_service": "The camera has no PTZ service; it can't be steered, or its firmware does"
    " not say so: look for PTZ in its own page.",
    "no_ptz_profile": "This channel of the device has no PTZ; if its camera turns, give a media"
    " profile of it a PTZ configuration in the device's own page.",
    "which_channel": "The device has several channels, and which one this is stands nowhere; set"
    " the fact `channel_number` (1 is the first).",
}


class SteeringError(Exception):
    """Root of this room's refusals. `reason`: machine-readable, None where the code says all."""

    code = "steering_error"
    reason: str | None = None


class PtzHeld(SteeringError):
    """`held_by`: as people call them; `held_until`: when it is free if they do nothing more."""

    code = "ptz_held"

    def __init__(self, held_by: str, held_until: datetime) -> None:
        super().__init__(
            f"{held_by} steers this camera; it is free when they have done nothing for some"
            " seconds. Whoever manages it may take over."
        )
        self.held_by = held_by
        self.held_until = held_until


class PtzUnsupported(SteeringError):
    code = "ptz_unsupported"

    def __init__(self, reason: str) -> None:
        super().__init__(_UNSUPPORTED[reason])
        self.reason = reason


class DeviceUnreachable(SteeringError):
    code = "device_unreachable"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class DeviceRefused(SteeringError):
    code = "device_refused"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class SteeringBusy(SteeringError):
    code = "steering_busy"

    def __init__(self) -> None:
        super().__init__("Too much is being steered at once. Try again in a few seconds.")


class NotWritten(SteeringError):
    code = "audit_unavailable"

    def __init__(self) -> None:
        super().__init__("The audit row could not be written, so nothing was moved. Try again.")

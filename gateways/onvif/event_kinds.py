"""What a notification says, in the few words that are told on.

A list of what is let through, not of what is kept out: topics that are not here (recognition of
faces, persons and number plates among them) end here, and of the others only the state and its
source go on. The topics are those of ONVIF's Imaging, Device IO and Analytics services.
"""

from __future__ import annotations

from typing import Final

from camera_registry.channel_events import DeviceEvent, Said
from gateways.onvif.subscription import Notification

# Values are tokens and states; what is longer is neither.
MAX_VALUE_CHARS: Final = 64

# Topic: what it says, and the data item that holds its state.
_TOPICS: Final[dict[str, tuple[Said, str]]] = {
    "VideoSource/MotionAlarm": (Said.MOTION, "State"),
    "RuleEngine/CellMotionDetector/Motion": (Said.MOTION, "IsMotion"),
    "RuleEngine/MotionRegionDetector/Motion": (Said.MOTION, "State"),
    "RuleEngine/TamperDetector/Tamper": (Said.TAMPER, "IsTamper"),
    **{
        f"VideoSource/{what}/{service}": (Said.TAMPER, "State")
        for what in ("GlobalSceneChange", "ImageTooDark", "ImageTooBright", "ImageTooBlurry")
        for service in ("ImagingService", "AnalyticsService", "RecordingService")
    },
    "VideoSource/SignalLoss": (Said.CONNECTION_LOST, "State"),
    "VideoSource/ConnectionFailed": (Said.CONNECTION_LOST, "State"),
    "Device/Trigger/DigitalInput": (Said.DIGITAL_INPUT, "LogicalState"),
}
# The picture that an event is of, by the names that firmwares give it.
_PICTURES: Final = (
    "Source",
    "VideoSourceToken",
    "VideoSource",
    "VideoSourceConfigurationToken",
)
_SOURCES: Final = (*_PICTURES, "InputToken")
_STATES: Final = {"true": True, "1": True, "false": False, "0": False}


def classify(notification: Notification) -> DeviceEvent | None:
    """None: not one of those that are told on, or without a state."""
    found = _TOPICS.get(notification.topic)
    if found is None:
        return None
    kind, item = found
    active = _STATES.get(notification.data.get(item, "").strip().casefold())
    if active is None:
        return None
    source = {
        name: value
        for name, value in notification.source.items()
        if name in _SOURCES and len(value) <= MAX_VALUE_CHARS
    }
    device_time = notification.device_time[:MAX_VALUE_CHARS]
    return DeviceEvent(kind, active, notification.topic, source, device_time)


def picture_of(said: DeviceEvent) -> str | None:
    """The token of the video source (or its configuration) that it is of; None: of none."""
    return next((said.source[name] for name in _PICTURES if name in said.source), None)

"""Which notifications are told on, and as what."""

from __future__ import annotations

import pytest

from camera_registry.channel_events import Said
from gateways.onvif import Notification, classify, picture_of
from gateways.onvif.event_kinds import MAX_VALUE_CHARS


def said(topic: str, data: dict[str, str], source: dict[str, str] | None = None) -> Notification:
    return Notification(topic, "Changed", source or {}, {}, data, "2026-11-27T08:00:00Z")


@pytest.mark.parametrize(
    ("topic", "item", "kind"),
    [
        ("RuleEngine/CellMotionDetector/Motion", "IsMotion", Said.MOTION),
        ("RuleEngine/MotionRegionDetector/Motion", "State", Said.MOTION),
        ("VideoSource/MotionAlarm", "State", Said.MOTION),
        ("RuleEngine/TamperDetector/Tamper", "IsTamper", Said.TAMPER),
        ("VideoSource/GlobalSceneChange/ImagingService", "State", Said.TAMPER),
        ("VideoSource/ImageTooDark/AnalyticsService", "State", Said.TAMPER),
        ("VideoSource/SignalLoss", "State", Said.CONNECTION_LOST),
        ("Device/Trigger/DigitalInput", "LogicalState", Said.DIGITAL_INPUT),
    ],
)
@pytest.mark.parametrize(("written", "active"), [("true", True), ("1", True), ("False", False)])
def test_a_topic_of_the_standard_is_one_of_four_kinds(
    topic: str, item: str, kind: Said, written: str, active: bool
) -> None:
    found = classify(said(topic, {item: written}))
    assert found is not None
    assert (found.kind, found.active, found.topic) == (kind, active, topic)
    assert found.device_time == "2026-11-27T08:00:00Z"


@pytest.mark.parametrize(
    ("topic", "data"),
    [
        ("VideoSource/MotionAlarm", {}),
        ("VideoSource/MotionAlarm", {"State": "perhaps"}),
        ("VideoSource/MotionAlarm/Other", {"State": "true"}),
        ("Device/Trigger/Relay", {"LogicalState": "active"}),
        ("Monitoring/ProcessorUsage", {"Value": "0.5"}),
        ("", {"State": "true"}),
    ],
)
def test_what_is_no_such_thing_ends_here(topic: str, data: dict[str, str]) -> None:
    assert classify(said(topic, data)) is None


def test_of_the_items_only_tokens_go_on() -> None:
    source = {
        "VideoSourceConfigurationToken": "V_1",
        "Rule": "MyMotion",
        "InputToken": "x" * (MAX_VALUE_CHARS + 1),
    }
    found = classify(said("RuleEngine/CellMotionDetector/Motion", {"IsMotion": "true"}, source))
    assert found is not None
    assert found.source == {"VideoSourceConfigurationToken": "V_1"}
    assert picture_of(found) == "V_1"
    found = classify(
        said("Device/Trigger/DigitalInput", {"LogicalState": "1"}, {"InputToken": "2"})
    )
    assert found is not None
    assert picture_of(found) is None

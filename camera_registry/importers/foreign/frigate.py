"""Frigate: `cameras` by name, their `ffmpeg.inputs` with roles; addresses of its own restream
(go2rtc inside it, port 8554 of the same machine) are led back to the camera.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from . import go2rtc, urls
from .config import ForeignConfig, Gathering, heading, label
from .yaml_file import Node

RESTREAM_PORT: Final = 8554
_RESTREAM = re.compile(
    rf"rtsp://(?:[^@/]*@)?(?:127\.0\.0\.1|localhost|\[::1\]):{RESTREAM_PORT}/(?P<name>[^?#]+)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Input:
    address: str
    column: str
    roles: frozenset[str]


def cameras(root: Node) -> ForeignConfig:
    """One camera per entry: what is recorded is the main stream, what is detected on the sub."""
    found = Gathering("frigate")
    streams = root.at("go2rtc", "streams").mapping
    for name, camera in root.at("cameras").mapping.items():
        at = heading("cameras", name)
        row = found.named(camera.line, camera.at("friendly_name").text or name, at)
        enabled = camera.at("enabled").switch()
        if enabled is not None:
            row.values["enabled"] = "true" if enabled else "false"
            row.columns["enabled"] = heading("cameras", name, "enabled")
        inputs, dangling = _inputs(camera, at, streams)
        if not inputs:
            sentence = "no stream of that name is in go2rtc.streams" if dangling else "no address"
            found.skip(
                row,
                at,
                "unknown_stream" if dangling else "empty",
                f"{label(name)} is left out: {sentence}. Add the camera's address to the file.",
            )
        elif urls.put(found, row, at, _in_order(inputs), name):
            found.take(row)
    return found.done()


def _inputs(camera: Node, at: str, streams: dict[str, Node]) -> tuple[list[_Input], bool]:
    """The inputs with the cameras' own addresses; whether some named a stream that is not there."""
    inputs: list[_Input] = []
    dangling = False
    for index, node in enumerate(camera.at("ffmpeg", "inputs").items):
        path = node.at("path").text
        if not path:
            continue
        roles = frozenset(role.text or "" for role in node.at("roles").items)
        column = f"{at}.ffmpeg.inputs.{index}"
        restream = _RESTREAM.match(path.strip())
        if restream is None:
            inputs.append(_Input(path, column, roles))
            continue
        behind = next(go2rtc.addresses_of(streams, restream["name"]), None)
        if behind is None:
            dangling = True
        else:
            inputs.append(_Input(behind, column, roles))
    return inputs, dangling


def _in_order(inputs: list[_Input]) -> list[tuple[str, str]]:
    """Main first: the recorded one; then the one detected on; those of other roles last."""

    def rank(entry: _Input) -> int:
        return 0 if "record" in entry.roles else 1 if "detect" in entry.roles else 2

    return [(entry.column, entry.address) for entry in sorted(inputs, key=rank)]

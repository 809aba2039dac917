"""A foreign RTSP client: GStreamer's rtspsrc, run by Debian's own python3 (PyGObject), not by ours.

Given an address and a count it plays, by whatever transport is agreed on, until so many access
units have come; prints one JSON object: their number, keyframes, times (ns) and the caps.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import gi  # type: ignore[import-not-found]

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # type: ignore[import-not-found]  # noqa: E402


def main() -> None:
    Gst.init(None)
    pipeline = Gst.parse_launch(
        f'rtspsrc location="{sys.argv[1]}" latency=0 ! application/x-rtp,media=video '
        "! rtph264depay ! video/x-h264,stream-format=avc,alignment=au "
        "! fakesink name=sink signal-handoffs=true sync=false"
    )
    loop = GLib.MainLoop()
    seen: dict[str, Any] = {"units": 0, "keyframes": 0, "times": [], "caps": "", "error": ""}

    def handoff(_sink: Any, buffer: Any, pad: Any) -> None:
        seen["units"] += 1
        seen["keyframes"] += not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT)
        seen["times"].append(buffer.pts)
        seen["caps"] = pad.get_current_caps().to_string()
        if seen["units"] >= int(sys.argv[2]):
            loop.quit()

    def failed(_bus: Any, message: Any) -> None:
        seen["error"] = message.parse_error()[0].message
        loop.quit()

    pipeline.get_by_name("sink").connect("handoff", handoff)
    pipeline.get_bus().add_signal_watch()
    pipeline.get_bus().connect("message::error", failed)
    pipeline.set_state(Gst.State.PLAYING)
    loop.run()
    pipeline.set_state(Gst.State.NULL)
    sys.stdout.write(json.dumps(seen) + "\n")


main()

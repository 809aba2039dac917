"""A foreign RTSP server: GStreamer's, run by Debian's own python3 (PyGObject), not by ours.

Given an MP4 file and the payloader for its codec it prints `listening PORT`; the stream is /camera.
With `udp` as third argument it sends by UDP only.
"""

from __future__ import annotations

import sys

import gi  # type: ignore[import-not-found]

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # type: ignore[import-not-found]  # noqa: E402


def main() -> None:
    Gst.init(None)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        f"( filesrc location={sys.argv[1]} ! qtdemux ! {sys.argv[2]} name=pay0 pt=97 mtu=1400 )"
    )
    factory.set_shared(True)
    if sys.argv[3:] == ["udp"]:
        factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    server.get_mount_points().add_factory("/camera", factory)
    server.attach(None)
    sys.stdout.write(f"listening {server.get_bound_port()}\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


main()

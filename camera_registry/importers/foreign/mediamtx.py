"""MediaMTX: `paths` by name, each with a `source` (the settings of its shipped mediamtx.yml)."""

from __future__ import annotations

from typing import Final

from . import urls
from .config import ForeignConfig, Gathering, heading, label
from .yaml_file import Node

# Paths that stand for many, after the program's own names for them.
_ALL: Final = frozenset({"all", "all_others"})
_RTSP: Final = ("rtsp", "rtsps", "rtsp+http", "rtsps+http", "rtsp+ws", "rtsps+ws")


def cameras(root: Node) -> ForeignConfig:
    """One camera per path that pulls rtsp://; the path's name is its name."""
    found = Gathering("mediamtx")
    default = root.at("pathDefaults", "source").text or "publisher"
    for name, path in root.at("paths").mapping.items():
        row = found.named(path.line, name, heading("paths", name))
        source = path.at("source").text or default
        column = heading("paths", name, "source")
        if name.startswith("~") or name in _ALL:
            found.skip(
                row,
                column,
                "many_paths",
                f"{label(name)} stands for any number of paths; add those cameras one by one.",
                "error" if urls.scheme(source) in _RTSP else "warning",
            )
        elif source == "publisher":
            found.skip(
                row,
                column,
                "published",
                f"{label(name)} is sent to MediaMTX by somebody; there is no address to pull. "
                "Import the camera that sends it.",
                "warning",
            )
        elif source in ("redirect", "rpiCamera"):
            found.skip(
                row,
                column,
                "redirect" if source == "redirect" else "rpicamera",
                f"{label(name)} is no camera of the network.",
                "warning",
            )
        elif urls.put(found, row, column, [(column, source)], name):
            found.take(row)
    return found.done()

"""Cameras out of what other programs keep: their configurations, dumps and catalogues.

What belongs here: reading foreign bytes into `CameraRow`s, and saying what was left out. What does
not: sheets by template (`readers`), the rules of a row, the plan, files and sockets. Nothing in a
foreign file is run, included or looked up; bytes that are no such file give `FileRefused`.

    bytes -> kind -> one reader per kind -> Gathering -> ForeignConfig

Callers: `camera_registry.importers`, `streamhub.api`, `streamhub.cli`.
"""

from .config import KINDS, ForeignConfig, Kind
from .read import read

__all__ = ["KINDS", "ForeignConfig", "Kind", "read"]

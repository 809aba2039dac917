"""A foreign file's bytes to its cameras: what kind it is, and the reader of that kind."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Final

from ..rows import FileRefused
from . import catalogue, frigate, go2rtc, mediamtx, sql_dump, wvp, yaml_file
from .config import KINDS, ForeignConfig, Kind
from .text import decode
from .yaml_file import Node

MAX_NAME_CHARS: Final = 80
_HEAD_CHARS: Final = 65_536  # within which JSON shows whose it is
_WVP_KEYS = re.compile(r'"(?:gbDeviceId|deviceId|channelId|srcUrl)"')
_YAML: Final[dict[str, Callable[[Node], ForeignConfig]]] = {
    "mediamtx": mediamtx.cameras,
    "go2rtc": go2rtc.cameras,
    "frigate": frigate.cameras,
}
# What tells them apart; Frigate first, for its file may hold go2rtc's.
_MARKS: Final[dict[Kind, str]] = {"frigate": "cameras", "mediamtx": "paths", "go2rtc": "streams"}
_TEXTS: Final[dict[str, tuple[Callable[[str], ForeignConfig], int]]] = {
    "wvp-dump": (wvp.dump_cameras, sql_dump.MAX_DUMP_BYTES),
    "wvp-json": (wvp.json_cameras, wvp.MAX_JSON_BYTES),
    "gb28181-catalogue": (catalogue.cameras, catalogue.MAX_XML_BYTES),
}


def read(data: bytes, name: str, kind: str | None = None) -> ForeignConfig:
    """The cameras of another program's file.

    `name` is the file's, for sentences; `kind` is one of `KINDS`, told by the content when None.
    Raises `FileRefused`: no such kind, not a file of it, too big, broken, without an entry. Nothing
    of it is taken then. Credentials are in the rows' `username` and `password` and nowhere else.
    """
    name = PurePosixPath(name.replace("\\", "/")).name[:MAX_NAME_CHARS] or "The file"
    if kind is not None and kind not in KINDS:
        raise FileRefused(
            "unknown_kind", f"{kind[:40]!r} is no kind of file; use one of: {', '.join(KINDS)}."
        )
    _check_size(data, name, sql_dump.MAX_DUMP_BYTES)
    text = decode(data, name)
    kind = kind or _told(text)
    if kind in _TEXTS:
        reader, limit_bytes = _TEXTS[kind]
        _check_size(data, name, limit_bytes)
        config = reader(text)
    else:
        _check_size(data, name, yaml_file.MAX_YAML_BYTES)
        config = _of_yaml(yaml_file.parse(text), name, kind)
    if not config.cameras and not config.skipped:
        raise FileRefused(
            "nothing_found",
            f"{name} holds no entry that a file of {config.kind} has; export the cameras with it, "
            "or give another kind.",
        )
    return config


def _of_yaml(root: Node, name: str, kind: str | None) -> ForeignConfig:
    for known, mark in _MARKS.items():
        if mark in root.mapping and kind in (known, None):
            return _YAML[known](root)
    if kind is not None:
        mark = next(mark for known, mark in _MARKS.items() if known == kind)
        raise FileRefused("kind_mismatch", f"{name} has no {mark}, which a file of {kind} has.")
    raise FileRefused(
        "kind_unknown",
        f"It can't be told what {name} is; say so with one of: {', '.join(KINDS)}.",
    )


def _told(text: str) -> Kind | None:
    """What shows without parsing the whole; None for what may be YAML."""
    head = text[:_HEAD_CHARS].lstrip()
    if head.startswith("<"):
        return "gb28181-catalogue"
    if sql_dump.mentions(text, wvp.TABLES):
        return "wvp-dump"
    return "wvp-json" if head[:1] in ("{", "[") and _WVP_KEYS.search(head) else None


def _check_size(data: bytes, name: str, limit_bytes: int) -> None:
    if len(data) > limit_bytes:
        raise FileRefused(
            "file_too_big",
            f"{name} has {len(data):,} bytes; at most {limit_bytes:,} of its kind are read. "
            "Cut it up, or export the cameras alone.",
        )

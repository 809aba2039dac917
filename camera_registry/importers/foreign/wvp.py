"""WVP (WVP-GB28181-pro): its database as a dump, or what its API answers, as JSON.

Channels of GB/T 28181 devices have a code and no RTSP address; stream proxies have an address and,
where somebody put them into the tree, a channel with their code (`data_type` 3, the proxy's id in
`data_device_id`): those two are one camera.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..rows import MAX_COLUMNS, CameraRow, FileRefused
from . import gb_item, sql_dump, urls
from .config import ForeignConfig, Gathering, Kind, label, like_a_url

CHANNELS: Final = ("wvp_device_channel", "device_channel")
PROXIES: Final = ("wvp_stream_proxy", "stream_proxy")
TABLES: Final = CHANNELS + PROXIES
# 100,000 channels of the API, which leaves no field out, are about 100 MB; pages of it are usual.
MAX_JSON_BYTES: Final = 64 << 20
_MAX_JSON_DEPTH: Final = 5  # {code, data: {list: [{…}]}}, and a list of such answers

# `data_type` of a channel, in the program's words.
_GB28181, _PROXY = "1", "3"
_OFF: Final = frozenset({"0", "false", "f", "\0", "no"})
_ON: Final = frozenset({"1", "true", "t", "\x01", "yes"})


def dump_cameras(text: str) -> ForeignConfig:
    """The channels and stream proxies of a MySQL, PostgreSQL or H2 dump."""
    gathered = _Wvp("wvp-dump")
    for row in sql_dump.rows(text, TABLES):
        gathered.entry(gb_item.flat(row.values), row.table, row.table in PROXIES)
    return gathered.done()


def json_cameras(text: str) -> ForeignConfig:
    """The channels or stream proxies of one answer of its API, or of a list of them."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise FileRefused(
            "not_json", "The file is not JSON; save the API's answer whole."
        ) from None
    gathered = _Wvp("wvp-json")
    for values in _objects(content, _MAX_JSON_DEPTH):
        item = gb_item.flat(values)
        if "hostaddress" in item:
            gathered.device(item)
        else:
            gathered.entry(item, "list", "srcurl" in item)
    return gathered.done()


class _Wvp:
    def __init__(self, kind: Kind) -> None:
        self._found = Gathering(kind)
        self._of_proxy: dict[str, CameraRow] = {}  # channels that wait for their proxy, by its id
        self._proxies: list[tuple[CameraRow, dict[str, str], str]] = []

    def entry(self, item: dict[str, str], at: str, is_proxy: bool) -> None:
        row = self._found.row(0)
        kind = item.get("datatype", _GB28181)
        if is_proxy:
            self._proxies.append((row, item, at))
        elif kind not in (_GB28181, _PROXY):
            self._found.skip(
                row,
                at,
                "published",
                f"{label(item.get('gbname') or item.get('name', ''))} is sent to WVP by somebody; "
                "there is no address to pull. Import the camera that sends it.",
                "warning",
            )
        elif gb_item.put(self._found, row, item, at):
            if kind == _PROXY:
                self._of_proxy[item.get("datadeviceid", "")] = row
            else:
                self._found.take(row)

    def device(self, item: dict[str, str]) -> None:
        self._found.skip(
            self._found.row(0),
            "list",
            "not_a_camera",
            f"{label(item.get('name', ''))} is a device; save the list of its channels.",
            "warning",
        )

    def done(self) -> ForeignConfig:
        for row, item, at in self._proxies:
            self._proxy(self._of_proxy.pop(item.get("id", ""), row), item, at)
        for row in self._of_proxy.values():
            self._found.skip(
                row,
                row.columns["code"],
                "no_proxy",
                f"The stream proxy of {row.values['code']} is not in this file; export "
                f"{PROXIES[0]} with it.",
            )
        return self._found.done()

    def _proxy(self, row: CameraRow, item: Mapping[str, str], at: str) -> None:
        known_as = item.get("name") or "/".join(filter(None, (item.get("app"), item.get("stream"))))
        if "gbdeviceid" in item and not gb_item.put(self._found, row, item, at):
            return
        if "name" not in row.values and not like_a_url(known_as):
            row.values["name"], row.columns["name"] = known_as, at
        switch = item.get("enable", "").lower()
        if switch in _ON | _OFF:
            row.values["enabled"] = "true" if switch in _ON else "false"
            row.columns["enabled"] = at
        address = item.get("srcurl") or item.get("url", "")
        if urls.put(self._found, row, at, [(at, address)], known_as):
            self._found.take(row)


def _objects(content: Any, depth: int) -> Iterator[dict[str, Any]]:
    """The objects that look like channels or proxies, wherever an answer holds them."""
    if depth == 0:
        return
    if isinstance(content, list):
        for item in content:
            yield from _objects(item, depth - 1)
    elif isinstance(content, dict):
        keys = {key.lower() for key in content}
        if keys & {"deviceid", "gbdeviceid", "channelid", "srcurl"}:
            if len(content) <= MAX_COLUMNS:
                yield content
            return
        for item in content.values():
            if isinstance(item, dict | list):
                yield from _objects(item, depth - 1)

"""What the rows of a plan take: codes, addresses, cameras, each for one row alone."""

from __future__ import annotations

from collections.abc import Mapping

from ..domain import Channel
from .plan_row import Planned
from .reach import Reach


class Claims:
    """Remembers what the rows that are not refused take, each by the row's number."""

    def __init__(self, reach: Reach) -> None:
        # given
        self._reach = reach
        # owned
        self._codes: dict[str, int] = {}
        self._addresses: dict[str, int] = {}
        self._channels: dict[str, int] = {}

    def claim(self, each: Planned, code: str, url: str, by_url: Mapping[str, Channel]) -> None:
        """Refuses the row when another row, or a registered camera, has its code, its address or
        is the same camera; else all of that is this row's."""
        number, before = each.row.number, each.before
        other = by_url.get(url)
        same_camera = None if before is None else self._channels.get(before.id)
        if other is not None and (before is None or other.id != before.id):
            said = f"{self._named(other)} is registered with the same address."
            each.say("main_url", "duplicate_address", said)
        elif same_camera is not None:
            said = f"Row {same_camera} is the same camera; keep one of them."
            each.say("code", "duplicate_code", said)
        elif code in self._codes:
            said = f"Row {self._codes[code]} has this code already; give this one its own."
            each.say("code", "duplicate_code", said)
        elif url in self._addresses:
            said = f"Row {self._addresses[url]} has the same address; correct one of them."
            each.say("main_url", "duplicate_address", said)
        if each.refused:
            return
        self._codes[code] = self._addresses[url] = number
        if before is not None:
            self._channels[before.id] = number

    def compare_macs(self, each: Planned, by_mac: Mapping[str, list[Channel]]) -> None:
        """Warns of a registered camera of another device with the row's MAC address."""
        after = each.after
        if after is None:
            return
        for twin in by_mac.get(after.facts.get("mac", ""), ()):
            if twin.id != after.id and twin.device_id != after.device_id:
                each.say(
                    "mac",
                    "duplicate_mac",
                    f"{self._named(twin)} is registered with the same MAC address.",
                    warning=True,
                )
                break

    def _named(self, channel: Channel) -> str:
        if not self._reach.has(channel):
            return "A camera that you do not manage"
        return f"The camera {channel.name} ({channel.code})"

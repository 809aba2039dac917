"""What the rows of a plan take: codes, addresses, cameras, each for one row alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .. import validation as check
from ..domain import Channel
from ..store.contract import ReadTx
from .addresses import Addresses, Spot
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
        self._where: Addresses | None = None  # of the registry, and of rows that are new there

    def claim(self, each: Planned, code: str, url: str, by_url: Mapping[str, Channel]) -> None:
        """Refuses the row when another row, or a registered camera, has its code, its address or
        is the same camera; else all of that is this row's. What the rules said of the row, that
        it repeats another one, is not said again."""
        number, before = each.row.number, each.before
        other = by_url.get(url)
        same_camera = None if before is None else self._channels.get(before.id)
        if other is not None and (before is None or other.id != before.id):
            said = f"{self._named(other)} is registered with the same address."
            each.say("main_url", "duplicate_address", said)
        elif each.told("duplicate_code", "duplicate_address"):
            pass
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

    async def compare_addresses(
        self, batch: Sequence[Planned], mains: Mapping[int, check.RtspUrl | None], tx: ReadTx
    ) -> None:
        """Warns of cameras at the host and port, or with the IPv4 address, of a row that is new
        there; `mains` by the rows' numbers. The registry is read when the first such row comes,
        but for the cameras that this batch moves."""
        moved = [each for each in batch if self._is_moved(each, mains[each.row.number])]
        if not moved:
            return
        if self._where is None:
            self._where = Addresses()
            gone = {each.before.id for each in moved if each.before is not None}
            for channel in await tx.channels.all():
                if channel.id not in gone:
                    self._where.add(Spot.of(channel, self._named(channel)))
        for each in moved:
            found = self._where.of(*_spot(each, mains[each.row.number]))
            if found is not None and not each.told("duplicate_code", "duplicate_address"):
                each.say(found.key, found.code, found.sentence, warning=True)

    def _is_moved(self, each: Planned, main: check.RtspUrl | None) -> bool:
        spot, _ = _spot(each, main)
        if spot.main is None and spot.ipv4 is None:
            return False
        return each.before is None or not spot.is_where(Spot.of(each.before, ""))

    def _named(self, channel: Channel) -> str:
        if not self._reach.has(channel):
            return "A camera that you do not manage"
        return f"The camera {channel.name} ({channel.code})"


def _spot(each: Planned, main: check.RtspUrl | None) -> tuple[Spot, str]:
    """Where the row's camera is, of a refused one as far as that is known; and the field of it."""
    name, values = f"Row {each.row.number}", each.row.values
    key = "main_url" if "main_url" in values else "ipv4"
    if each.after is not None:
        return Spot.of(each.after, name), key
    number = values.get("channel_number")
    spot = Spot(name, main, values.get("ipv4"), values.get("access_port"), number)
    return spot._replace(id=each.before.id if each.before else None), key

"""How far an import reaches: the district, or the areas that whoever imports manages; without
single cameras that are denied to them. And no further than denials let it (`denials.py`).

Devices and their credentials are shared. So that nobody reaches another's cameras with them, an
import that is limited takes no device, and no host of one, that has cameras beyond.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Self

from .. import validation as check
from ..channel_facts import STEERED_BY
from ..denials import Denials
from ..domain import Area, Channel, Device
from ..errors import ValidationFailed
from ..store.contract import ReadTx


class Reach:
    """`area_ids`: those managed; None is the whole district. `without`: ids of cameras that are
    not, wherever they are. `denials`: that nothing is taken from under; None: whoever imports
    may."""

    def __init__(
        self,
        area_ids: Collection[str] | None = None,
        devices: Iterable[Device] = (),
        channels: Iterable[Channel] = (),
        *,
        without: Collection[str] = (),
        denials: Denials | None = None,
    ) -> None:
        self._area_ids = area_ids
        self._without = frozenset(without)
        self._denials = denials
        self._beyond: dict[str, Device] = {}
        if self.is_limited:
            cameras: defaultdict[str, list[Channel]] = defaultdict(list)
            for channel in channels:
                cameras[channel.device_id].append(channel)
            # One without cameras is nobody's of an area: it may wait for some with its password.
            self._beyond = {
                device.id: device
                for device in devices
                if not cameras[device.id] or not all(map(self.has, cameras[device.id]))
            }
        self._hosts = {device.host for device in self._beyond.values()}

    @classmethod
    async def read(
        cls,
        area_ids: Collection[str] | None,
        devices: Iterable[Device],
        tx: ReadTx,
        *,
        without: Collection[str] = (),
        keeps_denials: bool = False,
    ) -> Self:
        denials = await Denials.read(tx) if keeps_denials else None
        if area_ids is None and not without:
            return cls(denials=denials)
        into = None if area_ids is None else frozenset(area_ids)
        return cls(into, devices, await tx.channels.all(), without=without, denials=denials)

    @property
    def is_limited(self) -> bool:
        return self._area_ids is not None or bool(self._without)

    def has(self, channel: Channel) -> bool:
        """Whether a camera may be told of and changed."""
        if channel.id in self._without:
            return False
        return self._area_ids is None or channel.area_id in self._area_ids

    def has_area(self, area: Area) -> bool:
        return self._area_ids is None or area.id in self._area_ids

    def keeps_streams(
        self, before: Channel | None, main: check.RtspUrl, sub: check.RtspUrl | None
    ) -> bool:
        """Whether a camera goes on to be pulled from where it was."""
        if before is None or main.url != before.main_url:
            return False
        return sub is None or sub.url == before.sub_url

    def require_device(
        self,
        before: Channel | None,
        main: check.RtspUrl,
        sub: check.RtspUrl | None,
        username: str | None,
        *,
        with_password: bool,
    ) -> None:
        """Raises ValidationFailed("device_beyond" or "sub_elsewhere")."""
        if not self.is_limited:
            return
        if before is not None and self.keeps_streams(before, main, sub):
            device = self._beyond.get(before.device_id)
            if device is not None and (with_password or username not in {None, device.username}):
                raise ValidationFailed(
                    "username",
                    "device_beyond",
                    "The device has cameras that you do not manage, too; whoever manages the "
                    "district changes its user name and password.",
                )
            return
        if main.host in self._hosts:
            raise ValidationFailed(
                "main_url",
                "device_beyond",
                "At this address is a device that has cameras which you do not manage, or none "
                "yet; whoever manages the district gives its cameras their addresses.",
            )
        if sub is not None and sub.host != main.host:
            raise ValidationFailed(
                "sub_url",
                "sub_elsewhere",
                "The second address is of another host, to which this device's password must not "
                "go; give both streams of one host.",
            )

    def require_denials_kept(self, before: Channel, after: Channel) -> None:
        """Raises ValidationFailed("under_denial")."""
        if self._denials is not None and self._denials.leaves_one(before, after):
            key = "area" if before.area_id != after.area_id else ""
            raise ValidationFailed(
                key,
                "under_denial",
                "The camera is denied to somebody, and would not be any more; leave its area, "
                "class, name and facts as they are, or ask whoever manages the district.",
            )

    def require_steering(
        self,
        before: Channel,
        main: check.RtspUrl,
        sub: check.RtspUrl | None,
        facts: Mapping[str, str],
    ) -> None:
        """A camera stays on a device that is shared: by other `facts` it would be steered there as
        another's. Raises ValidationFailed("device_beyond")."""
        if before.device_id not in self._beyond or not self.keeps_streams(before, main, sub):
            return
        for key in sorted(STEERED_BY):
            if facts.get(key) != before.facts.get(key):
                raise ValidationFailed(
                    key,
                    "device_beyond",
                    "The device has cameras that you do not manage, too; whoever manages the "
                    "district says where and as which of its channels this one is steered.",
                )

"""Use cases about the past of channels: who changed what when, and back again."""

from __future__ import annotations

from collections.abc import Sequence

from . import validation as check
from .devices import DeviceCases
from .domain import Actor, Channel, ChannelVersion, Device, Filing, Page
from .errors import Conflict, NotFound
from .filing_rules import STEP_ACTS
from .store.contract import ReadTx, WriteTx
from .units import Unit


class VersionCases(DeviceCases):
    """The part of `Registry` about versions of channels."""

    async def list_versions(
        self, channel_id: str, *, limit: int = 50, cursor: str | None = None
    ) -> Page[ChannelVersion]:
        """Newest first; also of a channel that is no more."""
        limit = check.integer("limit", limit, 1, check.MAX_PAGE)
        async with self._store.read() as tx:
            return await tx.versions.page(channel_id, limit=limit, cursor=cursor)

    async def get_version(self, seq: int) -> ChannelVersion:
        async with self._store.read() as tx:
            return await _version(tx, seq)

    async def undo_version(self, seq: int, by: Actor) -> Channel | None:
        """Put a channel back to what it was before its newest version; None: it is gone again.

        A channel that comes back brings its device, but no password: those went with it. Raises
        NotFound, Conflict("changed_since" when a newer version is there, "code_taken",
        "area_gone").
        """
        async with self._units.begin(by) as unit:
            version = await _version(unit.tx, seq)
            _refuse_step_upwards(version)
            await put_back(unit, [version], act="channel_undo")
            await unit.record(
                "channel_undo",
                channel_id=version.channel_id,
                area_id=version.channel.area_id,
                version=seq,
            )
        return version.before


def _refuse_step_upwards(version: ChannelVersion) -> None:
    """A refusal or a reopening is not undone into a filed camera: that is for a reviewer."""
    before, after = version.before, version.after
    if version.act not in STEP_ACTS or before is None or after is None:
        return
    states = tuple(Filing)
    if states.index(before.filing) > states.index(after.filing):
        raise Conflict(
            "version",
            "filing_step",
            "A camera is filed again by review and file, not by taking a step back.",
        )


async def put_back(
    unit: Unit,
    versions: Sequence[ChannelVersion],
    *,
    act: str,
    job_id: str | None = None,
    devices_made: frozenset[str] | None = None,
) -> None:
    """Undo these versions, each the newest of its channel, in this unit of work.

    Devices that no channel hangs on then go: of `devices_made`, those that the same change made;
    None, not known: those that have no password, which could not be had back.

    Raises Conflict("changed_since", "code_taken", "area_gone") with nothing done.
    """
    tx = unit.tx
    await _check(tx, versions)
    gone = [v.after for v in versions if v.before is None and v.after is not None]
    back = [v.before for v in versions if v.after is None and v.before is not None]
    changed = [v.before for v in versions if v.before is not None and v.after is not None]
    devices = await tx.devices.all()
    here = {device.id for device in devices}
    if devices_made is None:
        devices_made = frozenset(each.id for each in devices if not each.has_password)
    lost = {each.device_id: each for each in (*back, *changed) if each.device_id not in here}
    if gone:
        await tx.bulk_delete(channels=[each.id for each in gone])
    await tx.bulk_add(devices=[(_device_of(each), None) for each in lost.values()], channels=back)
    await tx.bulk_update(channels=changed)
    left = await tx.devices.without_channels({v.after.device_id for v in versions if v.after})
    if left & devices_made:
        await tx.bulk_delete(devices=left & devices_made)
    await tx.versions.add(
        [(v.after, v.before) for v in versions], act=act, by=unit.by, job_id=job_id
    )


async def _check(tx: WriteTx, versions: Sequence[ChannelVersion]) -> None:
    latest = await tx.versions.latest({version.channel_id for version in versions})
    for version in versions:
        if latest.get(version.channel_id) != version.seq:
            raise Conflict(
                "version",
                "changed_since",
                f"{version.channel.name} was changed again since; undo its newer versions first "
                f"(streamhub camera versions {version.channel.code}).",
            )
    wanted = [version.before for version in versions if version.before is not None]
    mine = {channel.id for channel in wanted}
    for other in await tx.channels.by_codes({channel.code for channel in wanted}):
        if other.id not in mine:
            raise Conflict(
                "code",
                "code_taken",
                f"The code {other.code} belongs to {other.name} by now; give that another one.",
            )
    areas = {area.id for area in await tx.areas.all()}
    for channel in wanted:
        if channel.area_id not in areas:
            raise Conflict(
                "area_id",
                "area_gone",
                f"The area of {channel.name} is no more; make it again, or move the channel.",
            )


def _device_of(channel: Channel) -> Device:
    """The device that went with its last channel, without its credentials."""
    url = check.rtsp_url("main_url", channel.main_url)
    name = f"{url.host}:{url.port}"[: check.MAX_NAME_CHARS]
    return Device(channel.device_id, name, url.host, url.port)


async def _version(tx: ReadTx | WriteTx, seq: int) -> ChannelVersion:
    version = await tx.versions.get(seq)
    if version is None:
        raise NotFound("version", str(seq))
    return version

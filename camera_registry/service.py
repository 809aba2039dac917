"""The registry's use cases: channels here, devices and areas in the classes it is made of.

Every change checks its input, and commits with its audit row and its changes rows. Whether the
caller may is decided before, in `streamhub.access`; a `Scope` narrows lists to what it may see.
"""

from __future__ import annotations

from dataclasses import replace

from . import validation as check
from .area_tree import AreaTree
from .areas import AreaCases
from .channel_facts import merged
from .control import ControlCases
from .devices import credentials
from .domain import (
    PROFILES,
    Actor,
    AreaKind,
    Channel,
    DeviceClass,
    Filing,
    Page,
    Scope,
    StreamAddress,
    new_id,
)
from .drafts import (
    AreaChanges,
    AreaDraft,
    ChannelChanges,
    ChannelDraft,
    DeviceChanges,
    DeviceDraft,
)
from .errors import NotFound, ValidationFailed
from .exports import ExportCases
from .filing_rules import sent_back, settings_of
from .rotation import RotationCases
from .store.contract import ChannelQuery, WriteTx

__all__ = [
    "AreaCases",
    "AreaChanges",
    "AreaDraft",
    "ChannelChanges",
    "ChannelDraft",
    "DeviceChanges",
    "DeviceDraft",
    "Registry",
]


class Registry(ExportCases, RotationCases, ControlCases):
    """Areas, devices and channels. `start()` once before use, `stop()` at the end."""

    async def get_channel(self, channel_id: str) -> Channel:
        async with self._store.read() as tx:
            channel = await tx.channels.get(channel_id)
        if channel is None:
            raise NotFound("channel", channel_id)
        return channel

    async def list_channels(
        self,
        *,
        q: str | None = None,
        area_id: str | None = None,
        device_class: str | None = None,
        device_id: str | None = None,
        filing: str | None = None,
        enabled: bool | None = None,
        scope: Scope | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Channel]:
        """By code. `area_id` means its subtree; an area that is not there has no channels. `q`:
        words that must all be found (search_text.py). The total of many is capped.

        Raises ValidationFailed for a bad limit, cursor, query, class or filing.
        """
        limit = check.integer("limit", limit, 1, check.MAX_PAGE)
        query = ChannelQuery(
            q=check.search_text(q),
            device_class=(
                check.one_of("device_class", device_class, DeviceClass) if device_class else None
            ),
            device_id=device_id,
            filing=check.one_of("filing", filing, Filing) if filing else None,
            enabled=enabled,
        )
        if area_id is not None or scope is not None:
            query = _narrowed(query, await self.area_tree(), area_id, scope)
        async with self._store.read() as tx:
            return await tx.channels.page(query, limit=limit, cursor=cursor)

    async def create_channel(self, draft: ChannelDraft, by: Actor) -> Channel:
        """Raises ValidationFailed, or Conflict("code_taken", "second_person_wanted")."""
        main = _given_url("main_url", draft.main_url)
        sub = _given_url("sub_url", draft.sub_url) if draft.sub_url else None
        urls = [("main_url", main)] + ([("sub_url", sub)] if sub else [])
        given = credentials(urls, draft.username, draft.password)
        async with self._units.begin(by) as unit:
            tx = unit.tx
            channel = await _checked(
                tx,
                Channel(
                    id=new_id("ch"),
                    device_id="",
                    area_id=draft.area_id,
                    code=draft.code.strip(),
                    name=draft.name,
                    device_class=DeviceClass.POLICE_HD,
                    main_url=main.url,
                    sub_url=sub.url if sub else None,
                    lon=draft.lon,
                    lat=draft.lat,
                    enabled=draft.enabled,
                    facts=merged({}, draft.facts),
                    sensitive=draft.sensitive,
                    filing=(await settings_of(tx)).by_hand_begins(draft.filing),
                ),
                draft.device_class,
            )
            device = await self._device_for(tx, draft.device_id, main, given)
            channel = replace(channel, device_id=device.id)
            await tx.channels.add(channel)
            await tx.versions.add([(None, channel)], act="channel_create", by=by)
            await unit.record(
                "channel_create",
                channel_id=channel.id,
                area_id=channel.area_id,
                code=channel.code,
                name=channel.name,
                device_id=device.id,
                filing=channel.filing.value,
            )
        return channel

    async def update_channel(self, channel_id: str, changes: ChannelChanges, by: Actor) -> Channel:
        """Changes the fields given. Credentials in a new URL go to the device if it has none."""
        check.only_known(changes, ChannelChanges.__annotations__)
        async with self._units.begin(by) as unit:
            tx = unit.tx
            before = await tx.channels.get(channel_id)
            if before is None:
                raise NotFound("channel", channel_id)
            for field in ("main_url", "sub_url"):
                if changes.get(field):
                    _given_url(field, str(changes[field]))
            main = check.rtsp_url("main_url", changes.get("main_url", before.main_url))
            sub_text = changes.get("sub_url", before.sub_url)
            sub = check.rtsp_url("sub_url", sub_text) if sub_text else None
            channel = await _checked(
                tx,
                replace(
                    before,
                    code=changes.get("code", before.code).strip(),
                    name=changes.get("name", before.name),
                    area_id=changes.get("area_id", before.area_id),
                    main_url=main.url,
                    sub_url=sub.url if sub else None,
                    lon=changes.get("lon", before.lon),
                    lat=changes.get("lat", before.lat),
                    enabled=changes.get("enabled", before.enabled),
                    facts=merged(before.facts, changes.get("facts", {})),
                    sensitive=changes.get("sensitive", before.sensitive),
                ),
                changes.get("device_class", before.device_class),
            )
            urls = [("main_url", main)] + ([("sub_url", sub)] if sub else [])
            given = credentials(urls, None, None)
            if given is not None:
                device = await tx.devices.get(channel.device_id)
                if device is not None:
                    await self._with_credentials(tx, device, given)
            if not (await settings_of(tx)).files_by_hand:
                channel = sent_back(before, channel)
            await tx.channels.update(channel)
            await tx.versions.add([(before, channel)], act="channel_update", by=by)
            await unit.record(
                "channel_update",
                channel_id=channel_id,
                area_id=channel.area_id,
                code=channel.code,
                changed=sorted(changes),
            )
        return channel

    async def delete_channel(self, channel_id: str, by: Actor) -> None:
        """Takes its grants along, and its device with the last channel: no credentials linger."""
        async with self._units.begin(by) as unit:
            tx = unit.tx
            channel = await tx.channels.get(channel_id)
            if channel is None:
                raise NotFound("channel", channel_id)
            await tx.channels.delete(channel_id)
            await tx.versions.add([(channel, None)], act="channel_delete", by=by)
            left = await tx.channels.page(
                ChannelQuery(device_id=channel.device_id), limit=1, cursor=None
            )
            if left.total == 0:
                await tx.devices.delete(channel.device_id)
            await unit.record(
                "channel_delete",
                channel_id=channel_id,
                area_id=channel.area_id,
                code=channel.code,
                name=channel.name,
                device_deleted=left.total == 0,
            )

    async def spec_for(self, channel_id: str, profile: str) -> StreamAddress:
        """Where the stream is pulled from. Raises NotFound("channel" or "profile"), SealBroken."""
        async with self._store.read() as tx:
            channel = await tx.channels.get(channel_id)
            if channel is None:
                raise NotFound("channel", channel_id)
            url = {"main": channel.main_url, "sub": channel.sub_url}.get(profile)
            if profile not in PROFILES or url is None:
                raise NotFound("profile", profile)
            device = await tx.devices.get(channel.device_id)
            if device is None:
                raise NotFound("device", channel.device_id)
            password = await self._password(tx, device)
        return StreamAddress(
            channel_id=channel_id,
            device_id=device.id,
            profile=profile,
            url=url,
            username=device.username,
            password=password,
            max_dials=device.max_dials,
        )


def _narrowed(
    query: ChannelQuery, tree: AreaTree, area_id: str | None, scope: Scope | None
) -> ChannelQuery:
    """Subtrees written out; conditions that hold anyway are left out of the SQL."""
    areas = tree.descendants(area_id) if area_id is not None else None
    if scope is None:
        return replace(query, area_ids=areas)
    visible = scope.areas(tree)
    query = replace(query, except_channel_ids=scope.except_ids)
    if scope.unfiled is not None:
        query = replace(
            query,
            unfiled_area_ids=scope.unfiled.areas(tree),
            unfiled_channel_ids=scope.unfiled.channel_ids,
            unfiled_class_areas=scope.unfiled.class_areas,
            unfiled_except_ids=scope.unfiled.except_ids,
        )
    asked = areas if areas is not None else tree.descendants_of_all()
    if asked and asked <= visible:
        return replace(query, area_ids=areas)
    cells = scope.class_areas
    if asked and not scope.channel_ids and not visible and all(asked <= c for c in cells.values()):
        return replace(query, area_ids=areas, visible_classes=frozenset(cells))
    if areas is not None and not scope.channel_ids and not cells:
        return replace(query, area_ids=areas & visible)
    return replace(
        query,
        area_ids=areas,
        visible_area_ids=visible,
        visible_channel_ids=scope.channel_ids,
        visible_class_areas=cells,
    )


async def _checked(tx: WriteTx, channel: Channel, device_class: str) -> Channel:
    """The channel with clean fields, in an area that is there, under a code of its district."""
    area = await tx.areas.get(channel.area_id)
    if area is None:
        raise ValidationFailed(
            "area_id", "unknown_area", "There is no such area; choose one that exists."
        )
    while area.parent_id is not None:
        parent = await tx.areas.get(area.parent_id)
        if parent is None:
            break
        area = parent
    lon, lat = check.position(channel.lon, channel.lat)
    return replace(
        channel,
        code=check.channel_code(
            channel.code, area.code if area.kind is AreaKind.DISTRICT else None
        ),
        name=check.name("name", channel.name),
        device_class=check.one_of("device_class", device_class, DeviceClass),
        lon=lon,
        lat=lat,
    )


def _given_url(field: str, text: str) -> check.RtspUrl:
    return check.without_password(field, check.rtsp_url(field, text))

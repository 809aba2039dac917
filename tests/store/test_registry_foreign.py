"""Cameras of foreign files in the registry: a recorder is one device, with one budget of dials."""

from __future__ import annotations

import pytest

from camera_registry.domain import Actor, Area
from camera_registry.drafts import AreaDraft, ChannelDraft
from camera_registry.errors import ValidationFailed
from camera_registry.importers import foreign, vendors
from camera_registry.importers.rows import CameraRow
from camera_registry.secret import Secret
from camera_registry.service import Registry

CHANNELS = 16


def recorder_config() -> bytes:
    """A go2rtc configuration of a recorder with 16 channels, written from its maker's addresses."""
    lines = ["streams:"]
    for channel in range(1, CHANNELS + 1):
        made = vendors.urls("hikvision", "192.0.2.60", channel=channel, form="nvr")
        lines.append(f"  nvr-{channel}:")
        for url in (made.main, made.sub):
            assert url is not None
            lines.append(f"    - {url.replace('rtsp://', 'rtsp://ops:p%40ss@')}#backchannel=0")
    return "\n".join(lines).encode()


def draft(row: CameraRow, area: Area) -> ChannelDraft:
    values = row.values
    return ChannelDraft(
        code=f"11011201001321{row.number:06d}",
        name=values["name"],
        area_id=area.id,
        device_class="police_hd",
        main_url=values["main_url"],
        sub_url=values.get("sub_url"),
        username=values.get("username"),
        password=Secret(values["password"]) if "password" in values else None,
    )


@pytest.fixture
async def area(registry: Registry, by: Actor) -> Area:
    return await registry.create_area(AreaDraft(None, "district", "110112", "通州"), by)


async def test_sixteen_channels_of_a_recorder_are_one_device_with_one_dial_budget(
    registry: Registry, by: Actor, area: Area
) -> None:
    config = foreign.read(recorder_config(), "go2rtc.yaml")
    assert len(config.cameras) == CHANNELS
    channels = [await registry.create_channel(draft(row, area), by) for row in config.cameras]
    [device] = (await registry.list_devices()).items
    assert {channel.device_id for channel in channels} == {device.id}
    assert (device.host, device.port, device.username) == ("192.0.2.60", 554, "ops")
    addresses = [
        await registry.spec_for(channel.id, profile)
        for channel in channels
        for profile in ("main", "sub")
    ]
    # The budget hangs on the device: it is the same for all, and raised for all at once.
    assert {(a.device_id, a.max_dials) for a in addresses} == {(device.id, device.max_dials)}
    assert len({a.url for a in addresses}) == 2 * CHANNELS
    assert all(a.password == Secret("p@ss") for a in addresses)
    await registry.update_device(device.id, {"max_dials": 2 * CHANNELS}, by)
    assert (await registry.spec_for(channels[0].id, "main")).max_dials == 2 * CHANNELS


async def test_another_account_at_the_same_address_is_another_device(
    registry: Registry, by: Actor, area: Area
) -> None:
    config = foreign.read(
        b"paths: {a: {source: 'rtsp://one:x@h/1'}, b: {source: 'rtsp://two:x@h/2'}}", "mediamtx.yml"
    )
    for row in config.cameras:
        await registry.create_channel(draft(row, area), by)
    assert len((await registry.list_devices()).items) == 2


async def test_what_the_reader_keeps_apart_the_registry_would_refuse(
    registry: Registry, by: Actor, area: Area
) -> None:
    config = foreign.read(b"streams: {a: ['rtsp://one:x@h/1', 'rtsp://two:x@h/2']}", "go2rtc.yaml")
    [row] = config.cameras
    assert [fault.code for fault in row.faults] == ["sub_credentials"]
    await registry.create_channel(draft(row, area), by)
    as_written = ChannelDraft(
        "11011201001321000099", "a", area.id, "police_hd", "rtsp://one:x@h/1", "rtsp://two:x@h/2"
    )
    with pytest.raises(ValidationFailed) as caught:
        await registry.create_channel(as_written, by)
    assert caught.value.code == "credentials_conflict"

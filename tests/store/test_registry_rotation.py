"""Passwords of many devices at once: all or none, sealed, and nowhere else."""

from __future__ import annotations

import pytest

from camera_registry import rotation
from camera_registry.domain import Actor, Area, Device
from camera_registry.drafts import AreaDraft, ChannelDraft, DeviceDraft
from camera_registry.errors import Conflict, NotFound, ValidationFailed
from camera_registry.rotation import AreaCredentials, NewCredentials
from camera_registry.secret import Secret
from camera_registry.service import Registry
from camera_registry.store import AuditQuery, SqlStore

from .conftest import Place

OLD, NEW = Secret("0ld-w0rd-of-before"), Secret("n3w-w0rd-of-after")


@pytest.fixture
async def site(registry: Registry, by: Actor) -> tuple[Area, Area]:
    district = await registry.create_area(AreaDraft(None, "district", "110112", "通州"), by)
    one = await registry.create_area(AreaDraft(district.id, "street", "110112001", "中仓"), by)
    two = await registry.create_area(AreaDraft(district.id, "street", "110112002", "梨园"), by)
    return one, two


async def box(registry: Registry, by: Actor, host: str, user: str | None = "ops") -> Device:
    password = None if user is None else OLD
    return await registry.create_device(
        DeviceDraft(host, host, 554, username=user, password=password), by
    )


async def camera(registry: Registry, by: Actor, device: Device, area: Area, number: int) -> str:
    draft = ChannelDraft(
        code=f"1101120011131{number:07d}",
        name=f"路口{number}",
        area_id=area.id,
        device_class="police_hd",
        main_url=f"rtsp://{device.host}/cam/{number}",
        device_id=device.id,
    )
    return (await registry.create_channel(draft, by)).id


async def word(registry: Registry, channel_id: str) -> tuple[str | None, Secret | None]:
    address = await registry.spec_for(channel_id, "main")
    return address.username, address.password


async def test_a_list_is_changed_at_once_and_said_nowhere(
    registry: Registry, by: Actor, store: SqlStore, site: tuple[Area, Area], place: Place
) -> None:
    channels = [
        await camera(registry, by, await box(registry, by, f"192.0.2.{n}"), site[0], n)
        for n in (1, 2, 3)
    ]
    order = [
        NewCredentials(2, "192.0.2.1", 554, NEW, "ops"),
        NewCredentials(3, "192.0.2.2", 554, NEW, "viewer"),
    ]
    before = await registry.preview_rotation(order)
    assert not before.applied
    assert await word(registry, channels[0]) == ("ops", OLD)
    report = await registry.rotate_passwords(order, by)
    assert (report.applied, len(report.rotated), report.refused) == (True, 2, ())
    assert [await word(registry, each) for each in channels] == [
        ("ops", NEW),
        ("viewer", NEW),
        ("ops", OLD),
    ]
    async with store.read() as tx:
        rows = (await tx.audit.page(AuditQuery(), limit=1, cursor=None)).items
    ids = [each.device.id for each in report.rotated]
    assert (rows[0].act, rows[0].detail) == ("device_passwords_rotate", {"devices": ids, "of": 2})
    assert (await registry.list_versions(channels[0])).total == 1  # no version of a channel
    assert NEW.reveal() not in repr(report)
    assert NEW.reveal().encode() not in place.held()


async def test_one_refused_row_and_nothing_is_done(
    registry: Registry, by: Actor, site: tuple[Area, Area]
) -> None:
    channel = await camera(registry, by, await box(registry, by, "192.0.2.1"), site[0], 1)
    await box(registry, by, "192.0.2.2", "a")
    await box(registry, by, "192.0.2.2", "b")
    await box(registry, by, "192.0.2.3", None)
    order = [
        NewCredentials(2, "192.0.2.1", 554, NEW),
        NewCredentials(3, "192.0.2.1", 554, NEW, "ops"),
        NewCredentials(4, "192.0.2.2", 554, NEW, "b"),
        NewCredentials(5, "192.0.2.2", 554, NEW, "c"),
        NewCredentials(6, "192.0.2.3", 554, NEW),
        NewCredentials(7, "192.0.2.9", 554, NEW),
    ]
    report = await registry.preview_rotation(order)
    assert [(each.row, each.code) for each in report.refused] == [
        (3, "given_twice"),
        (5, "unknown_device"),
        (6, "password_without_username"),
        (7, "unknown_device"),
    ]
    assert [each.row for each in report.rotated] == [2, 4]
    with pytest.raises(Conflict, match="4 devices can't be changed") as caught:
        await registry.rotate_passwords(order, by)
    assert caught.value.code == "rows_refused"
    assert NEW.reveal() not in str(caught.value)
    assert await word(registry, channel) == ("ops", OLD)


async def test_an_areas_devices_get_one_password_and_keep_their_names(
    registry: Registry, by: Actor, site: tuple[Area, Area]
) -> None:
    one, two = site
    shared = await box(registry, by, "192.0.2.1", "first")
    here = await camera(registry, by, shared, one, 1)
    await camera(registry, by, shared, two, 2)
    there = await camera(registry, by, await box(registry, by, "192.0.2.2", "second"), two, 3)
    report = await registry.rotate_passwords(AreaCredentials(one.id, NEW), by)
    assert ([each.device.host for each in report.rotated], report.channels_elsewhere) == (
        ["192.0.2.1"],
        1,
    )
    assert await word(registry, here) == ("first", NEW)
    assert await word(registry, there) == ("second", OLD)
    with pytest.raises(NotFound, match="area"):
        await registry.rotate_passwords(AreaCredentials("ar_none", NEW), by)


async def test_what_is_refused_as_a_whole(
    registry: Registry, by: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "MAX_ROTATED", 1)
    row = NewCredentials(2, "192.0.2.1", 554, NEW)
    for order, code in (
        ([], "too_many_devices"),
        ([row, row], "too_many_devices"),
        ([NewCredentials(2, "192.0.2.1", 554, Secret(""))], "password_empty"),
        ([NewCredentials(2, "192.0.2.1", 554, Secret("x" * 257))], "credentials_too_long"),
    ):
        with pytest.raises(ValidationFailed) as caught:
            await registry.rotate_passwords(order, by)
        assert caught.value.code == code


async def test_thousands_are_changed_in_one_go(
    registry: Registry, by: Actor, store: SqlStore
) -> None:
    async with store.write() as tx:
        await tx.bulk_add(
            devices=[
                (Device(f"de_{n}", f"n{n}", f"10.0.{n >> 8}.{n & 255}", 554, "ops"), None)
                for n in range(1200)
            ]
        )
    order = [
        NewCredentials(n, f"10.0.{n >> 8}.{n & 255}", 554, Secret(f"word-{n}")) for n in range(1200)
    ]
    assert len((await registry.rotate_passwords(order, by)).rotated) == 1200
    async with store.read() as tx:
        assert await tx.devices.count_sealed() == 1200
        rows = (await tx.audit.page(AuditQuery(), limit=9, cursor=None)).items
    assert [len(row.detail["devices"]) for row in rows] == [200, 500, 500]
    assert (await store.verify_audit()).ok

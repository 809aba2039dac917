"""The registry's use cases on a real store: areas, devices, channels, where streams come from."""

from __future__ import annotations

import pytest

from camera_registry.domain import Actor, Area, Scope
from camera_registry.drafts import AreaDraft, ChannelChanges, ChannelDraft, DeviceDraft
from camera_registry.errors import Conflict, NotFound, SealBroken, ValidationFailed
from camera_registry.secret import Secret
from camera_registry.service import Registry
from camera_registry.store import AuditQuery, SqlStore

from .conftest import Place

PASSWORD = "p@ss/wörd"
URL = "rtsp://ops:p%40ss%2Fw%C3%B6rd@192.0.2.10:8554/cam/1/main?x=1"


def code(serial: int, street: int = 1) -> str:
    return f"110112{street:02d}001321{serial:06d}"


async def areas(registry: Registry, by: Actor) -> list[Area]:
    """A district, two streets, a community in the first."""
    district = await registry.create_area(AreaDraft(None, "district", "110112", "通州"), by)
    one = await registry.create_area(AreaDraft(district.id, "street", "110112001", "中仓"), by)
    two = await registry.create_area(AreaDraft(district.id, "street", "110112002", "新华"), by)
    within = await registry.create_area(AreaDraft(one.id, "community", "110112001001", "上营"), by)
    return [district, one, two, within]


def draft(area: Area, serial: int = 1, **fields: object) -> ChannelDraft:
    values: dict[str, object] = {
        "code": code(serial),
        "name": f"上营新华大街{serial}号",
        "area_id": area.id,
        "device_class": "police_hd",
        "main_url": f"rtsp://192.0.2.10:8554/cam/{serial}/main",
    }
    return ChannelDraft(**(values | fields))  # type: ignore[arg-type]


async def acts(store: SqlStore) -> list[str]:
    async with store.read() as tx:
        page = await tx.audit.page(AuditQuery(), limit=100, cursor=None)
    return [row.act for row in reversed(page.items)]


async def test_the_tree_shows_a_change_as_soon_as_it_is_answered(
    registry: Registry, by: Actor, store: SqlStore
) -> None:
    district, one, two, within = await areas(registry, by)
    assert [area.id for area in registry.tree] == [district.id, one.id, within.id, two.id]
    assert [area.name for area in await registry.area_path(within.id)] == ["通州", "中仓", "上营"]
    assert registry.tree.is_within(within.id, district.id)
    with pytest.raises(Conflict, match="still has") as caught:
        await registry.delete_area(one.id, by)
    assert caught.value.code == "area_in_use"
    await registry.update_area(within.id, {"name": "西营"}, by)
    await registry.delete_area(two.id, by)
    assert [area.name for area in registry.tree] == ["通州", "中仓", "西营"]
    assert await acts(store) == [*["area_create"] * 4, "area_update", "area_delete"]


async def test_the_tree_leaves_boundaries_in_the_store(
    registry: Registry, by: Actor, store: SqlStore
) -> None:
    district, one, *_ = await areas(registry, by)
    ring = ((116.0, 39.0), (116.5, 39.0), (116.5, -4e-05), (116.0, 40.0))
    await registry.update_area(one.id, {"boundary": ring}, by)
    held = registry.tree.get(one.id)
    assert held is not None
    assert (held.boundary, held.boundary_points) == (None, 4)
    assert [area.boundary_points for area in registry.tree] == [0, 4, 0, 0]
    assert (await registry.area(one.id)).boundary == ring
    async with store.read() as tx:
        read = {area.id: area for area in await tx.areas.all(boundaries=True)}
    assert (read[one.id].boundary, read[one.id].boundary_points) == (ring, 4)
    assert read[district.id].boundary is None
    with pytest.raises(ValueError, match="without its boundary"):
        async with store.write() as write:
            await write.areas.update(held)
    await registry.update_area(one.id, {"name": "西营"}, by)
    assert (await registry.area(one.id)).boundary == ring
    with pytest.raises(NotFound):
        await registry.area("ar_nowhere")


async def test_an_area_lies_where_it_may(registry: Registry, by: Actor) -> None:
    district, one, _, _ = await areas(registry, by)
    for bad, error_code in (
        (AreaDraft(district.id, "grid", "11011200900101", "网格"), "wrong_parent"),
        (AreaDraft(one.id, "district", "110113", "顺义"), "wrong_parent"),
        (AreaDraft(None, "street", "110112009", "北苑"), "wrong_parent"),
        (AreaDraft("ar_nowhere", "street", "110112009", "北苑"), "unknown_area"),
        (AreaDraft(district.id, "village", "110112009", "北苑"), "unknown_value"),
        (AreaDraft(district.id, "street", "1101x", "北苑"), "area_code_malformed"),
        (AreaDraft(district.id, "street", "110113009", "北苑"), "area_code_prefix"),
        (AreaDraft(district.id, "street", "110112001", "北苑"), "code_taken"),
        (AreaDraft(district.id, "street", "110112009", " "), "name_empty"),
    ):
        with pytest.raises((ValidationFailed, Conflict)) as caught:
            await registry.create_area(bad, by)
        assert caught.value.code == error_code


async def test_credentials_leave_the_url_and_come_back_with_the_stream(
    registry: Registry, by: Actor, store: SqlStore, place: Place
) -> None:
    _, one, _, _ = await areas(registry, by)
    channel = await registry.create_channel(draft(one, main_url=URL), by)
    assert channel.main_url == "rtsp://192.0.2.10:8554/cam/1/main?x=1"
    device = await registry.get_device(channel.device_id)
    assert (device.host, device.port, device.username) == ("192.0.2.10", 8554, "ops")
    assert device.has_password
    address = await registry.spec_for(channel.id, "main")
    assert (address.url, address.username) == (channel.main_url, "ops")
    assert address.password == Secret(PASSWORD)
    assert PASSWORD not in repr(address)
    held = place.held()
    assert b"/cam/1/main?x=1" in held
    for form in (PASSWORD.encode(), PASSWORD.encode().hex().encode(), b"p%40ss"):
        assert form not in held
    with pytest.raises(NotFound, match="profile 'sub'"):
        await registry.spec_for(channel.id, "sub")
    with pytest.raises(NotFound, match="channel"):
        await registry.spec_for("ch_none", "main")
    assert "channel_create" in await acts(store)


async def test_a_password_moved_to_another_device_does_not_open(
    registry: Registry, by: Actor, store: SqlStore
) -> None:
    _, one, _, _ = await areas(registry, by)
    channel = await registry.create_channel(draft(one, main_url=URL), by)
    other = await registry.create_device(DeviceDraft("NVR", "192.0.2.11"), by)
    async with store.write() as tx:
        sealed = await tx.devices.sealed_password(channel.device_id)
        await tx.devices.set_sealed_password(other.id, sealed)
    moved = await registry.create_channel(draft(one, 2, device_id=other.id), by)
    with pytest.raises(SealBroken, match="set it again"):
        await registry.spec_for(moved.id, "main")


async def test_channels_at_one_address_share_the_device(registry: Registry, by: Actor) -> None:
    _, one, _, _ = await areas(registry, by)
    first = await registry.create_channel(draft(one, 1, main_url=URL), by)
    same = await registry.create_channel(draft(one, 2), by)
    again = await registry.create_channel(draft(one, 3, main_url=URL), by)
    other = await registry.create_channel(
        draft(one, 4, username="viewer", password=Secret("x")), by
    )
    assert first.device_id == same.device_id == again.device_id != other.device_id
    with pytest.raises(ValidationFailed) as caught:
        await registry.create_channel(
            draft(one, 5, device_id=first.device_id, username="viewer"), by
        )
    assert caught.value.code == "credentials_conflict"
    await registry.delete_channel(first.id, by)
    await registry.delete_channel(same.id, by)
    assert (await registry.get_device(again.device_id)).has_password
    await registry.delete_channel(again.id, by)
    with pytest.raises(NotFound):  # with its last channel the credentials go
        await registry.get_device(again.device_id)
    page = await registry.list_devices()
    assert [device.id for device in page.items] == [other.device_id]


async def test_devices_change_and_lose_their_password(registry: Registry, by: Actor) -> None:
    device = await registry.create_device(
        DeviceDraft("NVR 1", "192.0.2.9", 554, "admin", Secret("one"), 32), by
    )
    assert (await registry.get_device(device.id)) == device
    changed = await registry.update_device(device.id, {"host": "nvr.example", "port": 8554}, by)
    assert (changed.host, changed.port, changed.has_password) == ("nvr.example", 8554, True)
    changed = await registry.update_device(device.id, {"password": None}, by)
    assert not (await registry.get_device(device.id)).has_password
    assert changed == await registry.get_device(device.id)
    for bad in ({"port": 0}, {"max_dials": 0}, {"host": "a b"}, {"name": ""}, {"colour": "red"}):
        with pytest.raises(ValidationFailed):
            await registry.update_device(device.id, bad, by)  # type: ignore[arg-type]
    await registry.delete_device(device.id, by)
    with pytest.raises(NotFound):
        await registry.get_device(device.id)


async def test_a_device_that_is_listened_to_says_where_and_whose_pictures_are_whose(
    registry: Registry, by: Actor
) -> None:
    area = await registry.create_area(AreaDraft(None, "district", "110112", "通州"), by)
    ids = []
    for number, facts in (
        (1, {}),
        (2, {"channel_number": "1", "protocol": "ONVIF", "access_port": "8080"}),
        (3, {"channel_number": "2"}),
    ):
        draft = ChannelDraft(
            code=f"1101120011131{number:07d}",
            name=f"路口{number}",
            area_id=area.id,
            device_class="police_hd",
            main_url=f"rtsp://ops:s3cret@192.0.2.10/cam/{number}",
            facts=facts,
        )
        ids.append((await registry.create_channel(draft, by)).id)
    [device] = (await registry.list_devices()).items
    assert await registry.listened_devices() == []
    assert await registry.events_of(device.id) is None
    await registry.update_device(device.id, {"listen_to_events": True}, by)
    assert await registry.listened_devices() == [device.id]
    where = await registry.events_of(device.id)
    assert where is not None
    assert (where.host, where.port, where.username) == ("192.0.2.10", 8080, "ops")
    assert where.password == Secret("s3cret")
    unnumbered, first, second = ids
    assert where.asks_which
    assert [where.channel_at(place) for place in (0, 1, 2, None)] == [first, second, None, None]
    for channel_id in (unnumbered, second):
        await registry.delete_channel(channel_id, by)
    alone = await registry.events_of(device.id)
    assert alone is not None
    assert alone.asks_which, "the recorder's other pictures are not here"
    assert [alone.channel_at(place) for place in (0, 1, 7, None)] == [first, None, None, None]


async def test_bad_channels_are_refused_by_field_and_code(registry: Registry, by: Actor) -> None:
    _, one, _, _ = await areas(registry, by)
    await registry.create_channel(draft(one, 1), by)
    for fields, field, error_code in (
        ({"code": "1101"}, "code", "code_not_20_digits"),
        ({"code": "110112010021400000٠1"}, "code", "code_not_20_digits"),
        ({"code": "11011201002001000001"}, "code", "code_not_a_camera"),
        ({"code": "32061201001321000001"}, "code", "code_of_another_division"),
        ({"code": code(0)}, "code", "code_without_serial"),
        ({"code": code(1)}, "code", "code_taken"),
        ({"name": "x" * 81}, "name", "name_too_long"),
        ({"name": "a\nb"}, "name", "name_unprintable"),
        ({"area_id": "ar_no"}, "area_id", "unknown_area"),
        ({"device_class": "drone"}, "device_class", "unknown_value"),
        ({"device_id": "de_no"}, "device_id", "unknown_device"),
        ({"main_url": "http://192.0.2.1/"}, "main_url", "url_not_rtsp"),
        ({"main_url": "rtsp://"}, "main_url", "url_malformed"),
        ({"main_url": "rtsp://h:99999/"}, "main_url", "url_malformed"),
        ({"sub_url": "rtsp://[::1/"}, "sub_url", "url_malformed"),
        ({"main_url": URL, "username": "other"}, "main_url", "credentials_conflict"),
        ({"password": Secret("x")}, "username", "password_without_username"),
        ({"lon": 116.6}, "lat", "position_half_given"),
        ({"lon": 200.0, "lat": 1.0}, "lon", "out_of_range"),
        ({"lon": 1.0, "lat": float("nan")}, "lat", "out_of_range"),
    ):
        with pytest.raises((ValidationFailed, Conflict)) as caught:
            await registry.create_channel(draft(one, 2, **fields), by)
        assert (caught.value.field, caught.value.code) == (field, error_code)
        assert PASSWORD not in str(caught.value)
    city = await registry.create_channel(draft(one, 2, code="11010000001321000009"), by)
    assert city.code.startswith("1101")  # the city's own camera
    assert (await registry.list_channels()).total == 2
    assert (await registry.list_devices()).total == 1


async def test_update_changes_what_is_given(registry: Registry, by: Actor) -> None:
    _, one, two, _ = await areas(registry, by)
    channel = await registry.create_channel(draft(one, 1, sub_url="rtsp://192.0.2.10/s"), by)
    other = await registry.create_channel(draft(one, 2), by)
    changes: ChannelChanges = {"name": "新名", "area_id": two.id, "sub_url": None, "enabled": False}
    changed = await registry.update_channel(channel.id, changes, by)
    assert changed == await registry.get_channel(channel.id)
    assert (changed.name, changed.area_id, changed.profiles) == ("新名", two.id, ("main",))
    assert changed.code == channel.code
    assert not changed.enabled
    with pytest.raises(Conflict):
        await registry.update_channel(channel.id, {"code": other.code}, by)
    with pytest.raises(ValidationFailed, match="cannot be changed"):
        await registry.update_channel(channel.id, {"device_id": "x"}, by)  # type: ignore[typeddict-unknown-key]
    await registry.update_channel(channel.id, {"main_url": URL}, by)
    assert (await registry.spec_for(channel.id, "main")).password == Secret(PASSWORD)
    with pytest.raises(NotFound):
        await registry.update_channel("ch_none", {}, by)


async def test_lists_are_cut_to_the_scope(registry: Registry, by: Actor) -> None:
    district, one, two, within = await areas(registry, by)
    a = await registry.create_channel(draft(one, 1), by)
    b = await registry.create_channel(draft(within, 2, device_class="alley"), by)
    c = await registry.create_channel(draft(two, 3), by)

    async def listed(scope: Scope | None, area: Area | None = None, **kw: str) -> list[str]:
        page = await registry.list_channels(
            scope=scope, area_id=area.id if area else None, limit=10, **kw
        )
        assert page.total == len(page.items)
        return [channel.id for channel in page.items]

    assert await listed(None) == [a.id, b.id, c.id]
    assert await listed(Scope()) == []
    assert await listed(Scope(frozenset({district.id}))) == [a.id, b.id, c.id]
    assert await listed(Scope(frozenset({one.id}))) == [a.id, b.id]
    assert await listed(Scope(frozenset({one.id})), two) == []
    assert await listed(Scope(frozenset({within.id})), one) == [b.id]
    assert await listed(Scope(frozenset(), frozenset({c.id}))) == [c.id]
    assert await listed(Scope(frozenset({within.id}), frozenset({c.id}))) == [b.id, c.id]
    assert await listed(Scope(frozenset({within.id}), frozenset({c.id})), two) == [c.id]
    assert await listed(Scope(frozenset({"ar_gone"}))) == []
    assert await listed(None, one) == [a.id, b.id]
    assert await listed(None, one, device_class="alley") == [b.id]
    assert (await registry.list_channels(area_id="ar_gone")).total == 0
    assert await registry.channel_counts() == {
        district.id: 3,
        one.id: 2,
        two.id: 1,
        within.id: 1,
    }


async def test_search_takes_wildcards_as_they_are(registry: Registry, by: Actor) -> None:
    _, one, _, _ = await areas(registry, by)
    for serial, name in enumerate(("50%满", "a_b", "axb", "c\\d", "Gate"), 1):
        await registry.create_channel(draft(one, serial, name=name), by)

    async def found(q: str) -> list[str]:
        return [channel.name for channel in (await registry.list_channels(q=q)).items]

    assert await found("%") == ["50%满"]
    assert await found("_") == ["a_b"]
    assert await found("\\") == ["c\\d"]
    assert await found("gate") == ["Gate"]
    assert await found("000003") == ["axb"]
    assert len(await found("  ")) == 5
    assert await found("' OR 1=1 --") == []
    with pytest.raises(ValidationFailed):
        await found("x" * 81)


async def test_pages_by_cursor_show_each_once_while_others_come_and_go(
    registry: Registry, by: Actor
) -> None:
    _, one, _, _ = await areas(registry, by)
    made = [await registry.create_channel(draft(one, 10 * n), by) for n in range(1, 8)]
    page = await registry.list_channels(limit=3)
    assert [channel.id for channel in page.items] == [channel.id for channel in made[:3]]
    await registry.delete_channel(made[1].id, by)
    await registry.create_channel(draft(one, 15), by)  # before the cursor
    second = await registry.list_channels(limit=3, cursor=page.next_cursor)
    assert [channel.id for channel in second.items] == [channel.id for channel in made[3:6]]
    third = await registry.list_channels(limit=3, cursor=second.next_cursor)
    assert ([channel.id for channel in third.items], third.next_cursor) == ([made[6].id], None)
    for cursor in ("", "!", "bm90anNvbg", "WzFd", "W10", "é", page.next_cursor + "A" * 7):  # type: ignore[operator]
        with pytest.raises(ValidationFailed) as caught:
            await registry.list_channels(cursor=cursor)
        assert caught.value.code == "bad_cursor"
    for limit in (0, 501, -1):
        with pytest.raises(ValidationFailed):
            await registry.list_channels(limit=limit)


async def test_without_a_feed_the_tree_is_read_anew(
    registry: Registry, by: Actor, store: SqlStore
) -> None:
    alone = Registry(store, registry._vault)
    assert len(await alone.area_tree()) == 0
    await areas(registry, by)
    assert len(await alone.area_tree()) == 4

"""Every change to a channel is a version; the newest can be undone."""

from __future__ import annotations

import pytest

from camera_registry.domain import Actor
from camera_registry.errors import Conflict, NotFound
from camera_registry.secret import Secret
from camera_registry.service import Registry
from camera_registry.store import SqlStore

from .test_registry_cameras import acts, areas, draft


async def test_each_change_is_kept_with_who_and_what_it_was(registry: Registry, by: Actor) -> None:
    [_, one, two, _] = await areas(registry, by)
    made = await registry.create_channel(draft(one), by)
    moved = await registry.update_channel(made.id, {"area_id": two.id, "name": "东门"}, by)
    await registry.update_channel(made.id, {"name": "东门"}, by)  # nothing changes: no version
    await registry.delete_channel(made.id, by)
    page = await registry.list_versions(made.id)
    assert [(v.act, v.before, v.after) for v in page.items] == [
        ("channel_delete", moved, None),
        ("channel_update", made, moved),
        ("channel_create", None, made),
    ]
    assert {(v.subject_name, v.job_id) for v in page.items} == {(by.subject_name, None)}


async def test_versions_come_in_pages(registry: Registry, by: Actor) -> None:
    [_, one, *_] = await areas(registry, by)
    made = await registry.create_channel(draft(one), by)
    for name in "abcd":
        await registry.update_channel(made.id, {"name": name}, by)
    first = await registry.list_versions(made.id, limit=3)
    rest = await registry.list_versions(made.id, limit=3, cursor=first.next_cursor)
    names = [v.after.name for v in (*first.items, *rest.items) if v.after]
    assert names == ["d", "c", "b", "a", made.name]
    assert (first.total, rest.next_cursor) == (5, None)


async def test_undoing_goes_back_step_by_step_and_is_a_version_itself(
    registry: Registry, by: Actor, store: SqlStore
) -> None:
    [_, one, two, _] = await areas(registry, by)
    made = await registry.create_channel(draft(one), by)
    moved = await registry.update_channel(made.id, {"area_id": two.id}, by)
    [newest, first] = (await registry.list_versions(made.id)).items
    with pytest.raises(Conflict, match="newer versions first") as refused:
        await registry.undo_version(first.seq, by)
    assert refused.value.code == "changed_since"

    assert await registry.undo_version(newest.seq, by) == made
    assert await registry.get_channel(made.id) == made
    [undo, *_] = (await registry.list_versions(made.id)).items
    assert (undo.act, undo.before, undo.after) == ("channel_undo", moved, made)
    assert await registry.undo_version(undo.seq, by) == moved  # and forward again
    assert (await acts(store))[-2:] == ["channel_undo", "channel_undo"]


async def test_undoing_the_making_takes_the_channel_and_its_device_away(
    registry: Registry, by: Actor
) -> None:
    [_, one, *_] = await areas(registry, by)
    made = await registry.create_channel(draft(one), by)
    [version] = (await registry.list_versions(made.id)).items
    assert await registry.undo_version(version.seq, by) is None
    with pytest.raises(NotFound):
        await registry.get_channel(made.id)
    with pytest.raises(NotFound):
        await registry.get_device(made.device_id)


async def test_a_deleted_channel_comes_back_without_the_password(
    registry: Registry, by: Actor
) -> None:
    [_, one, *_] = await areas(registry, by)
    made = await registry.create_channel(draft(one, username="ops", password=Secret("s3cret")), by)
    await registry.delete_channel(made.id, by)
    [deleted, _] = (await registry.list_versions(made.id)).items
    assert await registry.undo_version(deleted.seq, by) == made
    device = await registry.get_device(made.device_id)
    assert (device.host, device.port, device.has_password) == ("192.0.2.10", 8554, False)


async def test_what_stands_in_the_way_of_an_undo_is_said_and_nothing_changes(
    registry: Registry, by: Actor
) -> None:
    [_, one, two, _] = await areas(registry, by)
    made = await registry.create_channel(draft(two), by)
    await registry.delete_channel(made.id, by)
    [deleted, _] = (await registry.list_versions(made.id)).items
    other = await registry.create_channel(draft(one, name="新"), by)
    with pytest.raises(Conflict, match="belongs to 新") as taken:
        await registry.undo_version(deleted.seq, by)
    assert taken.value.code == "code_taken"
    await registry.delete_channel(other.id, by)
    await registry.delete_area(two.id, by)
    with pytest.raises(Conflict) as gone:
        await registry.undo_version(deleted.seq, by)
    assert gone.value.code == "area_gone"
    assert (await registry.list_channels()).total == 0
    with pytest.raises(NotFound):
        await registry.undo_version(9_999, by)

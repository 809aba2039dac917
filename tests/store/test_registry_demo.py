"""The demo district: all of it, the same everywhere, where its areas are, and quick to seed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from camera_registry import validation
from camera_registry.area_tree import AreaTree
from camera_registry.demo import DEMO_ACCOUNTS, DemoSummary, seed_demo
from camera_registry.demo_places import STREETS
from camera_registry.demo_plan import Farm, area_id, make_plan, street_code
from camera_registry.domain import ACTIONS, Actor, AreaKind, ChangeKind, Page, Scope
from camera_registry.drafts import SubjectDraft
from camera_registry.errors import DemoRefused
from camera_registry.people import People
from camera_registry.secret import Secret
from camera_registry.service import Registry
from camera_registry.store import AuditQuery, SqlStore, open_store
from camera_registry.vault import Vault, open_vault

from .conftest import Place

FARM = Farm("127.0.0.1", 8554, "admin")
PLAN = make_plan(FARM)


async def seed(store: SqlStore, vault: Vault, port: int = 8554, word: str = "x") -> DemoSummary:
    return await seed_demo(
        store,
        vault,
        farm_host="127.0.0.1",
        farm_port=port,
        farm_username="admin",
        farm_password=Secret(word),
        passwords=lambda username: f"hash of {username}",
    )


def test_it_is_the_district_of_the_order() -> None:
    counts = Counter(channel.device_class.value for channel in PLAN.channels)
    assert counts["police_hd"] == 2_600
    assert counts["high_altitude"] == 163
    assert counts["civil_defence"] + counts["alley"] == 237
    assert len(PLAN.channels) == 3_000
    kinds = Counter(area.kind for area in PLAN.areas)
    assert (kinds[AreaKind.DISTRICT], kinds[AreaKind.STREET]) == (1, 16)
    names = [area.name for area in PLAN.areas if area.kind is AreaKind.STREET]
    assert names == [
        *("中仓街道", "新华街道", "北苑街道", "玉桥街道", "文景街道", "永顺镇", "梨园镇", "宋庄镇"),
        *("漷县镇", "张家湾镇", "西集镇", "永乐店镇", "潞城镇", "台湖镇", "马驹桥镇"),
        "于家务回族乡",
    ]
    tree = AreaTree(PLAN.areas)
    for street in tree.children(area_id("110112")):
        communities = tree.children(street.id)
        assert len(communities) >= 4
        assert all(len(tree.children(community.id)) == 3 for community in communities)
    grids = Counter(channel.area_id for channel in PLAN.channels)
    assert len(grids) == kinds[AreaKind.GRID]  # no grid without a camera


def test_every_channel_is_named_coded_and_addressed_once() -> None:
    codes = [channel.code for channel in PLAN.channels]
    assert len(set(codes)) == len({code[14:] for code in codes}) == 3_000
    assert len({channel.name for channel in PLAN.channels}) == 3_000
    assert len({channel.id for channel in PLAN.channels}) == 3_000
    tree = AreaTree(PLAN.areas)
    for number, channel in enumerate(PLAN.channels, 1):
        assert validation.channel_code(channel.code, "110112") == channel.code
        assert validation.name("name", channel.name) == channel.name
        street = tree.path(channel.area_id)[1]
        assert channel.code[6:8] == street.code[-2:]
        assert channel.code[14:] == f"{number:06d}"
        main = "main_h265" if number % 100 == 55 else "main"
        assert channel.main_url == f"rtsp://127.0.0.1:8554/cam/{number}/{main}"
        assert channel.sub_url == f"rtsp://127.0.0.1:8554/cam/{number}/sub"
    lookouts = [c for c in PLAN.channels if c.device_class.value == "high_altitude"]
    assert all("瞭望" in channel.name for channel in lookouts)


def inside(lon: float, lat: float, polygon: tuple[tuple[float, float], ...]) -> bool:
    """Ray casting; a point on the edge may count either way."""
    hit = False
    for (x1, y1), (x2, y2) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        if (y1 > lat) != (y2 > lat) and lon < (x2 - x1) * (lat - y1) / (y2 - y1) + x1:
            hit = not hit
    return hit


def test_every_camera_lies_inside_each_area_above_it() -> None:
    tree = AreaTree(PLAN.areas)
    for channel in PLAN.channels:
        assert channel.lon is not None
        assert channel.lat is not None
        for area in tree.path(channel.area_id):
            assert area.boundary is not None
            assert area.schematic
            assert inside(channel.lon, channel.lat, area.boundary), (channel.name, area.name)


def test_streets_do_not_overlap() -> None:
    for index, one in enumerate(STREETS):
        for other in STREETS[index + 1 :]:
            west, south, east, north = one.rect
            w, s, e, n = other.rect
            assert west >= e or w >= east or south >= n or s >= north, (one.name, other.name)


def test_the_same_on_every_machine() -> None:
    assert make_plan(FARM) == PLAN
    first = PLAN.channels[0]
    assert (first.id, first.code) == ("ch_caluugcgwj54uj7vlyc3", "11011201001321000001")


@pytest.fixture
async def seeded(store: SqlStore, vault: Vault) -> AsyncIterator[Registry]:
    await seed(store, vault)
    registry = Registry(store, vault)
    await registry.start()
    yield registry
    await registry.stop()


async def test_seeding_is_quick_whole_and_done_once(store: SqlStore, vault: Vault) -> None:
    began, began_cpu = time.monotonic(), time.process_time()
    summary = await seed(store, vault)
    took_s, cpu_s = time.monotonic() - began, time.process_time() - began_cpu
    print(f"\nseeded in {took_s:.2f} s, {cpu_s:.2f} s of the processor")
    assert cpu_s < 20  # not the wall clock: the machine may be busy; and old
    assert (summary.created, summary.repointed) == (True, False)
    assert (summary.channels, summary.devices) == (3_000, len(PLAN.devices))
    assert [change.kind for change in await store.changes_since(0)] == [ChangeKind.EVERYTHING]
    again = await seed(store, vault)
    assert (again.created, again.repointed) == (False, False)
    async with store.read() as tx:
        assert await tx.channels.all() == sorted(PLAN.channels, key=lambda found: found.code)
        rows = (await tx.audit.page(AuditQuery(), limit=9, cursor=None)).items
        assert [(row.act, row.detail["channels"]) for row in rows] == [("demo_seeded", 3_000)]
        assert await tx.devices.count_sealed() == len(PLAN.devices)
    assert (await store.verify_audit()).ok


async def test_the_accounts_have_their_rights(
    seeded: Registry, store: SqlStore, people: People
) -> None:
    names = {area.id: area.name for area in seeded.tree}
    async with store.read() as tx:
        subjects = {subject.id: subject for subject in await tx.subjects.all()}
        grants = {
            subjects[grant.subject_id].username: (grant.actions, names[grant.area_id or ""])
            for grant in await tx.grants.all_unrevoked()
        }
    watch = frozenset({"list", "live", "snapshot"})
    assert grants.pop("admin") == (ACTIONS, "通州区(演示)")
    assert grants.pop("auditor") == (frozenset({"list", "audit"}), "通州区(演示)")
    assert grants.pop("grid-service") == (watch, "永顺镇")
    assert grants == {street.username: (watch, street.name) for street in STREETS}
    assert len(DEMO_ACCOUNTS) == 19
    found = await people.find_for_sign_in("yongshun")
    assert found is not None
    assert found[1] == "hash of yongshun"


async def test_a_farm_that_moved_is_followed(
    seeded: Registry, store: SqlStore, vault: Vault, by: Actor
) -> None:
    channel = PLAN.channels[1234]
    await seeded.update_channel(channel.id, {"name": "改名"}, by)
    summary = await seed(store, vault, port=9554, word="y")
    assert (summary.created, summary.repointed) == (False, True)
    assert not (await seed(store, vault, port=9554, word="y")).repointed
    address = await seeded.spec_for(channel.id, "sub")
    assert address.url == "rtsp://127.0.0.1:9554/cam/1235/sub"
    assert (address.username, address.password) == ("admin", Secret("y"))
    assert (await seeded.get_channel(channel.id)).name == "改名"


async def test_another_registry_is_refused(
    store: SqlStore, vault: Vault, people: People, by: Actor
) -> None:
    await people.create_subject(SubjectDraft("ada", "Ada"), by)
    with pytest.raises(DemoRefused, match="data directory of its own"):
        await seed(store, vault)
    async with store.read() as tx:
        assert await tx.channels.all() == []


async def test_list_and_search_latency_of_3000_channels(seeded: Registry) -> None:
    """Printed, not asserted: the machine may be busy."""
    yongshun = Scope(frozenset({area_id(street_code(5))}))
    lines = []
    for label, query in (
        ("first page", {}),
        ("page of 500", {"limit": 500}),
        ("search a name", {"q": "路口东侧"}),
        ("search a code", {"q": "002999"}),
        ("a street's subtree", {"area_id": area_id(street_code(0))}),
        ("in an operator's scope", {"scope": yongshun}),
        ("scope and search", {"scope": yongshun, "q": "瞭望"}),
    ):
        times = []
        page: Page[object]
        for _ in range(10):
            began = time.perf_counter()
            page = await seeded.list_channels(**query)  # type: ignore[arg-type, assignment]
            times.append((time.perf_counter() - began) * 1000)
        times.sort()
        assert page.total > 0
        lines.append(f"{label}: {times[5]:.1f} ms p50, {times[-1]:.1f} max, {page.total} match")
    print("\n" + "\n".join(lines))


async def test_pages_walk_the_whole_district(seeded: Registry) -> None:
    seen, cursor = [], None
    while True:
        page = await seeded.list_channels(limit=500, cursor=cursor)
        seen += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == sorted(PLAN.channels, key=lambda channel: channel.code)
    counts = await seeded.channel_counts()
    assert counts[area_id("110112")] == 3_000
    streets = seeded.tree.children(area_id("110112"))
    assert sum(counts[street.id] for street in streets) == 3_000


async def test_it_is_all_there_after_a_restart(place: Place, tmp_path: Path) -> None:
    key_path = tmp_path / "secret.key"
    store = await open_store(place.at)
    await seed(store, await open_vault(store, key_path))
    await store.close()
    store = await open_store(place.at)
    vault = await open_vault(store, key_path)
    address = await Registry(store, vault).spec_for(PLAN.channels[0].id, "main")
    assert address.password == Secret("x")
    first = PLAN.channels[0]
    async with store.read() as tx:
        assert await tx.channels.get(first.id) == replace(first)
    await store.close()

"""A page of what somebody may see has what `Scope` says, whatever the scope is made of."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from camera_registry.domain import Area, AreaKind, Channel, Device, DeviceClass, Filing, Scope
from camera_registry.feed import ChangeFeed
from camera_registry.service import Registry
from camera_registry.store import SqlStore, open_store, repos_search
from camera_registry.vault import open_vault

from .conftest import Place

PARENTS = {"d": None, "a": "d", "a1": "a", "a2": "a", "b": "d", "b1": "b"}
CLASSES = tuple(DeviceClass)
COUNT = 40
CHANNELS = [
    Channel(
        id=f"ch_{n}",
        device_id="de",
        area_id=tuple(PARENTS)[n * 7 % 6],
        code=f"110112{n % 5:02d}00132{n:07d}",
        name="路口" if n % 3 else "新华",
        device_class=CLASSES[n * 5 % 4],
        main_url=f"rtsp://192.0.2.1/{n}",
        sub_url=None,
        filing=Filing.DRAFT if n % 6 == 1 else Filing.FILED,
    )
    for n in range(COUNT)
]
areas = st.frozensets(st.sampled_from(tuple(PARENTS)))
ids = st.frozensets(st.integers(0, COUNT - 1).map("ch_{}".format), max_size=12)
parts = st.builds(
    Scope,
    area_ids=areas,
    channel_ids=st.just(frozenset()) | ids,
    class_areas=st.just({}) | st.dictionaries(st.sampled_from(CLASSES), areas),
    except_ids=st.just(frozenset()) | ids,
    exact=st.just(True),
)
scopes = st.builds(lambda scope, unfiled: replace(scope, unfiled=unfiled), parts, st.none() | parts)


def shown(scope: Scope | None, row: Channel) -> bool:
    """Told the long way."""
    if scope is None:
        return True
    managed = scope.unfiled is None or scope.unfiled.has(row, scope.unfiled.area_ids)
    return scope.has(row, scope.area_ids) and (row.is_filed or managed)


def is_beneath(area_id: str | None, top: str) -> bool:
    return area_id is not None and (area_id == top or is_beneath(PARENTS[area_id], top))


async def seeded(place: Place, folder: Path) -> tuple[SqlStore, Registry, ChangeFeed]:
    store = await open_store(place.at)
    async with store.write() as tx:
        await tx.bulk_add(
            areas=[
                Area(each, parent, AreaKind.DISTRICT, f"{n:06d}", each)
                for n, (each, parent) in enumerate(PARENTS.items())
            ],
            devices=[(Device("de", "NVR", "192.0.2.1", 554), None)],
            channels=CHANNELS,
        )
    feed = ChangeFeed(store)
    registry = Registry(store, await open_vault(store, folder / "secret.key"), feed)
    await feed.start()
    await registry.start()
    return store, registry, feed


def test_a_page_has_what_the_scope_says(place: Place, tmp_path: Path) -> None:
    # Both ways to the first of many pieces, and the second after the first found too little.
    ways = itertools.cycle([(20, 3_000), (0, 3_000), (0, 3)])
    with asyncio.Runner() as runner, pytest.MonkeyPatch.context() as patch:
        store, registry, feed = runner.run(seeded(place, tmp_path))

        @settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(
            scope=st.none() | scopes,
            area=st.none() | st.sampled_from(tuple(PARENTS)),
            kind=st.none() | st.sampled_from(CLASSES),
            q=st.none() | st.sampled_from(["路口", "xh"]),
            limit=st.integers(1, 9),
            scan_rows=st.sampled_from([8_000, -1]),
        )
        def check(
            scope: Scope | None,
            area: str | None,
            kind: DeviceClass | None,
            q: str | None,
            limit: int,
            scan_rows: int,
        ) -> None:
            many, passed = next(ways)
            patch.setattr(repos_search, "MANY_PIECES", many)
            patch.setattr(repos_search, "PASSED_ROWS", passed)
            patch.setattr(repos_search, "SCAN_ROWS", scan_rows)
            wanted = [
                each.id
                for each in sorted(CHANNELS, key=lambda each: each.code)
                if shown(scope, each)
                and (area is None or is_beneath(each.area_id, area))
                and kind in {None, each.device_class}
                and (q is None or each.name == {"路口": "路口", "xh": "新华"}[q])
            ]

            async def pages() -> None:
                got, cursor, first = list[str](), None, True
                while first or cursor is not None:
                    part = await registry.list_channels(
                        q=q,
                        area_id=area,
                        device_class=kind and kind.value,
                        scope=scope,
                        limit=limit,
                        cursor=cursor,
                    )
                    got += [each.id for each in part.items]
                    assert (part.total, part.total_capped) == (len(wanted), False)
                    cursor, first = part.next_cursor, False
                assert got == wanted

            runner.run(pages())

        check()
        runner.run(registry.stop())
        runner.run(feed.stop())
        runner.run(store.close())

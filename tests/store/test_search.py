"""What is found, against a plain reading of the rules; pages; and that no scope leaks."""

from __future__ import annotations

import asyncio
import itertools
import unicodedata
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from camera_registry.domain import Area, AreaKind, Channel, Device, DeviceClass, Page, Scope
from camera_registry.pinyin import readings
from camera_registry.search_text import runs_of, search_text
from camera_registry.service import Registry
from camera_registry.store import SqlStore, migrate, open_store, repos_search
from camera_registry.store.contract import ChannelQuery
from camera_registry.store.repos_runs import centres_with

from .conftest import Place

AREAS = ("a", "b", "c")
# Few characters, so that names share parts; among them signs that LIKE and FTS5 read as their own.
LETTERS = "新华大街长安路口AbxX3%_'\"\\*- é"
names = st.text(LETTERS, min_size=1, max_size=8).filter(lambda text: text.strip() != "")
questions = st.text(LETTERS + "hdjNEWlu0１Ａ", min_size=1, max_size=6)


def channel(number: int, name: str, area: str = "a", **facts: str) -> Channel:
    return Channel(
        id=f"ch_{number}",
        device_id="de",
        area_id=area,
        code=f"110112{number // 4:02d}00132{number:07d}",  # four in each centre code
        name=name,
        device_class=DeviceClass.ALLEY if number % 3 == 0 else DeviceClass.POLICE_HD,
        main_url=f"rtsp://192.0.2.1/{number}",
        sub_url=None,
        enabled=number % 4 != 0,
        facts=facts,
    )


async def seed(store: SqlStore, channels: Iterable[Channel]) -> None:
    async with store.write() as tx:
        await tx.bulk_add(
            areas=[
                Area(area, None, AreaKind.DISTRICT, f"{n:06d}", area)
                for n, area in enumerate(AREAS)
            ],
            devices=[(Device("de", "NVR", "192.0.2.1", 554), None)],
            channels=list(channels),
        )


async def page(
    store: SqlStore, query: ChannelQuery, *, limit: int = 100, cursor: str | None = None
) -> Page[Channel]:
    async with store.read() as tx:
        return await tx.channels.page(query, limit=limit, cursor=cursor)


async def found(store: SqlStore, q: str, **query: object) -> list[str]:
    result = await page(store, ChannelQuery(q=q, **query))  # type: ignore[arg-type]
    assert result.total == len(result.items)
    assert not result.total_capped
    return [each.name for each in result.items]


def plain(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def is_found(row: Channel, question: str) -> bool:
    """The rules, told the long way."""
    written = [
        plain(row.name),
        plain(row.facts.get("common_name", "")),
        plain(row.facts.get("address", "")),
    ]
    spoken = [reading for name in written[:2] for reading in readings("".join(name.split()))]
    for word in plain(question).split():
        cut: list[str] = [word[0]]
        for one, other in itertools.pairwise(word):
            seam = ("a" <= one <= "z" and other > "\x7f") or (one > "\x7f" and "a" <= other <= "z")
            cut = [*cut, other] if seam else [*cut[:-1], cut[-1] + other]
        for part in cut:
            inside = [part in each for text in written for each in text.split()]
            inside += [part in short for _, short in spoken]
            if len(part) >= 3 and part.isascii():
                inside += [part in full for full, _ in spoken] + [part in row.code]
            if not any(inside):
                return False
    return True


def test_of_any_names_and_questions_those_are_found_that_the_rules_name(place: Place) -> None:
    async def fresh() -> SqlStore:
        store = await open_store(place.at)
        await seed(store, [])
        return store

    # Half of the runs by the index.
    scan_rows = itertools.cycle((repos_search.SCAN_ROWS, -1))
    with asyncio.Runner() as runner, pytest.MonkeyPatch.context() as patch:
        store = runner.run(fresh())

        @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(
            rows=st.lists(st.tuples(names, names, st.sampled_from(AREAS)), min_size=1, max_size=12),
            asked=st.lists(questions, min_size=1, max_size=6),
            areas=st.none() | st.sets(st.sampled_from(AREAS)),
            single=st.sets(st.integers(0, 11), max_size=4),
            limit=st.integers(1, 5),
            kind=st.none() | st.sampled_from([DeviceClass.ALLEY, DeviceClass.POLICE_HD]),
            enabled=st.none() | st.booleans(),
        )
        def check(
            rows: list[tuple[str, str, str]],
            asked: list[str],
            areas: set[str] | None,
            single: set[int],
            limit: int,
            kind: DeviceClass | None,
            enabled: bool | None,
        ) -> None:
            channels = [
                channel(n, name, area, **({"address": other} if n % 2 else {"common_name": other}))
                for n, (name, other, area) in enumerate(rows)
            ]
            ids = frozenset(f"ch_{n}" for n in single)

            async def compare() -> None:
                async with store.write() as tx:
                    await tx.bulk_add(channels=channels)
                for q in asked:
                    patch.setattr(repos_search, "SCAN_ROWS", next(scan_rows))
                    query = ChannelQuery(
                        q=q,
                        device_class=kind,
                        enabled=enabled,
                        visible_area_ids=None if areas is None else frozenset(areas),
                        visible_channel_ids=None if areas is None else ids,
                    )
                    wanted = [
                        each.id
                        for each in channels
                        if is_found(each, q)
                        and (areas is None or each.area_id in areas or each.id in ids)
                        and kind in (None, each.device_class)
                        and enabled in (None, each.enabled)
                    ]
                    got, cursor, total = [], None, None
                    while total is None or cursor is not None:
                        part = await page(store, query, limit=limit, cursor=cursor)
                        assert len(part.items) <= limit
                        got += [each.id for each in part.items]
                        cursor, total = part.next_cursor, part.total
                        assert total == len(wanted)
                    assert got == wanted, q
                async with store.write() as tx:
                    await tx.bulk_delete(channels=[each.id for each in channels])

            runner.run(compare())

        check()
        runner.run(store.close())


RUN_TEXTS = st.text("新华ab1 ", min_size=1, max_size=5).filter(lambda text: text.strip() != "")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "update", "delete", "bulk_add", "bulk_update", "bulk_delete"]),
        st.integers(0, 9),
        RUN_TEXTS,
        st.integers(0, 2),
    ),
    max_size=12,
)


def test_no_run_of_a_channel_is_missing_at_its_centre_whatever_was_done(place: Place) -> None:
    async def step(store: SqlStore, held: dict[int, Channel], what: str, row: Channel) -> None:
        number = int(row.id.removeprefix("ch_"))
        async with store.write() as tx:
            if what.endswith("delete") and number in held:
                if what == "delete":
                    await tx.channels.delete(row.id)
                else:
                    await tx.bulk_delete(channels=[row.id])
                del held[number]
                return
            match what, number in held:
                case "add", False:
                    await tx.channels.add(row)
                case "update", True:
                    await tx.channels.update(row)
                case "bulk_add", False:
                    await tx.bulk_add(channels=[row])
                case "bulk_update", True:
                    await tx.bulk_update(channels=[row])
                case _:
                    return
        held[number] = row

    with asyncio.Runner() as runner:
        store = runner.run(open_store(place.at))
        runner.run(seed(store, []))

        @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(STEPS)
        def check(steps: list[tuple[str, int, str, int]]) -> None:
            held: dict[int, Channel] = {}

            async def run() -> None:
                for what, number, name, centre in steps:
                    row = channel(number, name)
                    # The centre code changes with the rest.
                    row = replace(row, code=f"1101120{centre}{row.code[8:]}")
                    await step(store, held, what, row)
                needed = {
                    (run, row.code[:8])
                    for row in held.values()
                    for run in runs_of(search_text(row))
                }
                assert needed <= set(place.execute("SELECT run, centre FROM channel_runs"))
                async with store.write() as tx:
                    await tx.bulk_delete(channels=[row.id for row in held.values()])

            runner.run(run())

        check()
        runner.run(store.close())


async def test_a_walk_begins_where_all_of_the_question_can_be(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repos_search, "SCAN_ROWS", -1)
    rows = [channel(n, "村口" if n < 32 else "路口") for n in range(40)]
    await seed(store, rows)
    async with store.read() as tx:
        assert await centres_with(tx._tx, ["X路X"], "") == ["11011208", "11011209"]
        assert await centres_with(tx._tx, ["X路X"], rows[36].code) == ["11011209"]
        assert await centres_with(tx._tx, ["X路X", "X村X"], "") == []
    assert await found(store, "路口") == ["路口"] * 8
    assert await found(store, "路村") == await found(store, "路 村") == []


async def test_a_camera_is_found_by_what_people_type(store: SqlStore) -> None:
    here = channel(
        123, "新华大街与长安路口东侧3号", common_name="老邮局", address="永顺镇通顺路12号"
    )
    await seed(store, [here, channel(7, "重庆路西口"), channel(8, "Gate Ａ座")])
    for q in (
        "新华大街", "街", "路口", "3号", "老邮局", "通顺路12号", "xinhuadajie", "XinHua", "huada",
        "xhdj", "xh", "lyj", "laoyouju", "新华dajie", "xinhua大街", "东侧 长安", "0000123",
        "1320000123", "zhangan", "changan", "ｘｈｄｊ",
    ):  # fmt: skip
        assert await found(store, q) == [here.name], q
    assert await found(store, "chongqing") == await found(store, "cqlxk") == ["重庆路西口"]
    assert await found(store, "gate a座") == await found(store, "GAT") == ["Gate Ａ座"]
    everyone = ["重庆路西口", "Gate Ａ座", here.name]
    assert await found(store, "\n") == everyone
    assert await found(store, "X") == ["重庆路西口", here.name]  # an initial
    for q in ("新华路", "街大", "hx", "东侧 西口", "a\0b", "%", '"', "' OR 1=1"):
        assert await found(store, q) == [], q


async def test_the_runs_of_a_word_must_stand_together(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repos_search, "SCAN_ROWS", -1)
    apart = channel(1, "新华大", common_name="华大街", address="大街新 aab bcd 新新华")
    await seed(store, [apart])
    for q in ("xhdj", "新华大街", "华大街新", "aabcd", "abcd", "xinhuadajie", "大新"):
        assert await found(store, q) == [], q
    for q in ("xhd", "hdj", "新华大", "大街新", "aab", "xinhuada", "新新华", "新 街"):
        assert await found(store, q) == [apart.name], q


async def test_what_is_changed_moved_and_deleted_is_found_as_it_is_now(store: SqlStore) -> None:
    first, second = channel(1, "东门"), channel(2, "西门")
    await seed(store, [first, second])
    async with store.write() as tx:
        await tx.channels.update(replace(first, name="南门", area_id="b"))
        await tx.bulk_update(channels=[replace(second, name="北门", enabled=False)])
        await tx.channels.add(channel(3, "中门"))
    assert await found(store, "东") == await found(store, "ximen") == []
    assert await found(store, "nanmen", visible_area_ids=frozenset({"b"})) == ["南门"]
    assert await found(store, "南门", visible_area_ids=frozenset({"a"})) == []
    assert await found(store, "门", enabled=False) == ["北门"]
    assert await found(store, "门") == ["南门", "北门", "中门"]
    async with store.write() as tx:
        await tx.channels.delete(first.id)
        await tx.bulk_delete(channels=[second.id])
    assert await found(store, "门") == await found(store, "zm") == ["中门"]


async def test_pages_are_whole_and_once_while_others_are_added_and_deleted(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repos_search, "SCAN_ROWS", -1)
    for name in ("WALK_ROWS", "WALK_ROWS_POSTGRESQL"):  # so that the index is asked, too
        monkeypatch.setattr(repos_search, name, 3)
    rows = [channel(n * 10, "路口" if n % 5 == 0 else "村口") for n in range(40)]
    await seed(store, rows)
    got: list[str] = []
    cursor, number = None, 0
    while number == 0 or cursor is not None:
        part = await page(store, ChannelQuery(q="lukou"), limit=2, cursor=cursor)
        got += [each.code for each in part.items]
        cursor, number = part.next_cursor, number + 1
        async with store.write() as tx:
            await tx.channels.add(channel(number, "路口"))  # before the cursor: not shown again
            if number == 1:
                await tx.channels.delete(rows[25].id)
                await tx.channels.add(channel(355, "路口"))
    wanted = {row.code for row in rows[::5]} - {rows[25].code} | {channel(355, "x").code}
    assert got == sorted(wanted)


async def test_a_total_says_where_it_ceased_to_count(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await seed(store, [channel(n, "路口", AREAS[n % 2]) for n in range(12)])
    monkeypatch.setattr(repos_search, "MAX_FOUND_COUNT", 5)
    monkeypatch.setattr(repos_search, "MAX_COUNT", 11)
    query = ChannelQuery(q="路口")
    first = await page(store, query, limit=2)
    second = await page(store, query, limit=2, cursor=first.next_cursor)
    for each in (first, second, await page(store, ChannelQuery(q="路口"), limit=12)):
        assert (each.total, each.total_capped) == (5, True)
    narrow = await page(store, replace(query, area_ids=frozenset({"a"})), limit=12)
    assert (narrow.total, narrow.total_capped) == (5, True)
    everything = await page(store, ChannelQuery(), limit=2)
    assert (everything.total, everything.total_capped) == (11, True)
    one = await page(store, replace(query, visible_channel_ids=frozenset({"ch_3"})))
    assert (one.total, one.total_capped, len(one.items)) == (1, False, 1)


async def test_of_what_is_common_some_rows_are_counted(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await seed(store, [channel(n, "路口" if n % 2 else "村口", AREAS[n % 3]) for n in range(60)])
    monkeypatch.setattr(repos_search, "SCAN_ROWS", -1)
    for name in ("WALK_ROWS", "WALK_ROWS_POSTGRESQL"):
        monkeypatch.setattr(repos_search, name, 10)
    monkeypatch.setattr(repos_search, "WORTH_A_WALK", 0)
    for areas in (None, frozenset({"a", "b"})):
        query = ChannelQuery(q="路口", area_ids=areas)
        first = await page(store, query, limit=2)
        assert 2 <= first.total <= 10
        assert first.total_capped
        second = await page(store, query, limit=2, cursor=first.next_cursor)
        assert (second.total, second.total_capped) == (first.total, True)
        whole = await page(store, query, limit=50)
        assert (whole.total, whole.total_capped) == (len(whole.items), False)


async def test_a_scope_of_thousands_of_areas_and_channels_is_one_question(
    store: SqlStore,
) -> None:
    await seed(store, [channel(n, "路口", AREAS[n % 3]) for n in range(30)])
    many = frozenset(f"ar_{n}" for n in range(40_000))
    query = ChannelQuery(
        q="路口",
        visible_area_ids=many | {"b"},
        visible_channel_ids=frozenset(f"ch_{n}" for n in range(20, 60_000)),
    )
    got = await page(store, query)
    assert [each.id for each in got.items] == [
        f"ch_{n}" for n in range(30) if n % 3 == 1 or n >= 20
    ]


async def test_the_registry_finds_within_a_scope_alone(registry: Registry, store: SqlStore) -> None:
    await seed(store, [channel(n, "路口", AREAS[n % 3]) for n in range(9)])
    await registry.stop()
    await registry.start()
    got = await registry.list_channels(q="lk", scope=Scope(frozenset({"b"}), frozenset({"ch_3"})))
    assert [each.id for each in got.items] == ["ch_1", "ch_3", "ch_4", "ch_7"]
    got = await registry.list_channels(q="lk", scope=Scope(), enabled=True)
    assert (got.items, got.total) == ([], 0)


async def test_those_of_before_are_found_after_the_schema_came_up(
    store: SqlStore, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from camera_registry.store.migrations.versions import r0007_search, r0008_runs

    monkeypatch.setattr(r0007_search, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(r0008_runs, "ROWS_AT_ONCE", 2)
    await seed(store, [channel(n, f"新华{n}号", address="邮局") for n in range(5)])
    runs = sorted(place.execute("SELECT run, centre FROM channel_runs"))
    await store.migrate_down("0002")
    assert "channel_search" not in place.tables()
    await store.migrate()
    assert sorted(place.execute("SELECT run, centre FROM channel_runs")) == runs
    assert await store.schema_revision() == migrate.HEAD
    assert len(await found(store, "xh")) == len(await found(store, "邮局")) == 5
    assert await found(store, "xinhua3hao") == ["新华3号"]

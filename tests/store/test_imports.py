"""An import from file to registry: planned, applied in one transaction, undone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from camera_registry.domain import Actor
from camera_registry.drafts import DeviceDraft
from camera_registry.errors import Conflict, NotFound, ValidationFailed
from camera_registry.feed import ChangeFeed
from camera_registry.importers.check import check_job
from camera_registry.importers.templates import TemplateInvalid
from camera_registry.imports import Imports, WorkerChecker
from camera_registry.jobs import ImportJob, ImportRow, JobState, Verdict
from camera_registry.secret import Secret
from camera_registry.service import Registry
from camera_registry.store import SqlStore
from camera_registry.vault import Vault

from .conftest import Place
from .test_registry_cameras import acts, areas, code, draft

HEADINGS = "设备编码,设备名称,所属区域编码,主码流地址,子码流地址,设备用户名,设备口令,安装地址"


@pytest.fixture
async def imports(store: SqlStore, vault: Vault, feed: ChangeFeed) -> AsyncIterator[Imports]:
    async def checker(job_id: str) -> None:
        await check_job(store, vault, job_id, None)

    imports = Imports(store, vault, feed, checker)
    await imports.start()
    yield imports
    await imports.stop()


def row(
    serial: int,
    *,
    name: str = "",
    area: str = "110112001",
    user: str = "",
    word: str = "",
    address: str = "",
    host: str = "",
) -> str:
    host = host or f"192.0.2.{serial}"
    url = f"rtsp://{host}/cam/{serial}"
    name = name or f"路口{serial}"
    return f"{code(serial)},{name},{area},{url}/main,{url}/sub,{user},{word},{address}"


def code_(serial: int) -> str:
    return f"11011200001321{serial:06d}"


def csv(*rows: str) -> bytes:
    return "\n".join((HEADINGS, *rows)).encode()


async def plan(
    imports: Imports, by: Actor, file: bytes, name: str = "cameras.csv", **options: Any
) -> tuple[ImportJob, list[ImportRow]]:
    job = await imports.create(file, name, {"template": "full", **options}, by)
    job = await imports.checked(job.id)
    return job, await imports.rows(job.id, limit=500)


def codes(row: ImportRow) -> list[str]:
    return [finding["code"] for finding in row.payload["findings"]]


async def test_a_plan_changes_nothing_and_applying_does_all_of_it_at_once(
    imports: Imports, registry: Registry, by: Actor, store: SqlStore
) -> None:
    await areas(registry, by)
    file = csv(row(1, user="ops", word="s3cret", address="新华大街1号"), row(2), row(3))
    job, rows = await plan(imports, by, file)
    assert (job.state, job.rows_done) == (JobState.CHECKED, 3)
    assert job.counts == {"add": 3, "change": 0, "same": 0, "refused": 0, "warnings": 0}
    assert [(r.number, r.verdict) for r in rows] == [(n, Verdict.ADD) for n in (2, 3, 4)]
    assert (await registry.list_channels()).total == 0
    assert "s3cret" not in repr([r.payload for r in rows])

    job = await imports.apply(job.id, by)
    assert job.state is JobState.APPLIED
    page = await registry.list_channels()
    assert [c.code for c in page.items] == [code(1), code(2), code(3)]
    first = page.items[0]
    assert first.facts == {"address": "新华大街1号"}
    address = await registry.spec_for(first.id, "sub")
    assert (address.url, address.username) == ("rtsp://192.0.2.1/cam/1/sub", "ops")
    assert address.password == Secret("s3cret")
    [version] = (await registry.list_versions(first.id)).items
    assert (version.act, version.job_id, version.before) == ("import_apply", job.id, None)
    assert await imports.apply(job.id, by) == job  # a second time changes nothing
    assert (await acts(store)).count("import_apply") == 1


async def test_an_empty_position_is_told_of_cameras_alone_that_have_none(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    headings = "设备编码,设备名称,所属区域编码,主码流地址,经度,纬度"
    start = [f"{code(n)},路口{n},110112001,rtsp://192.0.2.{n}/main" for n in (1, 2)]
    file = "\n".join((headings, f"{start[0]},116.66,39.9", f"{start[1]},,")).encode()
    job, rows = await plan(imports, by, file)
    assert [codes(each) for each in rows] == [[], ["position_missing"]]
    await imports.apply(job.id, by)
    file = "\n".join((headings, f"{start[0]},,", f"{start[1]},,")).encode()
    job, rows = await plan(imports, by, file)
    assert [codes(each) for each in rows] == [[], ["position_missing"]]
    assert (job.counts["same"], job.counts["warnings"]) == (2, 1)


async def test_the_same_file_again_leaves_everything_as_it_is(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    file = csv(row(1, user="ops", word="s3cret"), row(2, address="东街"))
    job, _ = await plan(imports, by, file)
    await imports.apply(job.id, by)
    again, rows = await plan(imports, by, file)
    assert again.counts["same"] == 2
    assert [r.payload["changes"] for r in rows] == [[], []]


async def test_a_changed_row_is_told_field_by_field_and_an_empty_cell_keeps_the_value(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    job, _ = await plan(imports, by, csv(row(1, address="东街", user="ops", word="old")))
    await imports.apply(job.id, by)
    job, [changed] = await plan(imports, by, csv(row(1, name="南门", user="ops", word="new")))
    assert changed.verdict is Verdict.CHANGE
    assert changed.payload["changes"] == [
        ["name", "路口1", "南门"],
        ["password", "***", "***"],
    ]
    await imports.apply(job.id, by)
    [channel] = (await registry.list_channels()).items
    assert (channel.name, channel.facts) == ("南门", {"address": "东街"})
    assert (await registry.spec_for(channel.id, "main")).password == Secret("new")

    job, [cleared] = await plan(imports, by, csv(row(1, name="南门")), clear_empty=True)
    assert cleared.payload["changes"] == [["address", "东街", ""]]


async def test_a_row_with_an_error_holds_the_import_up_unless_it_is_left_out(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    bad = row(2).replace(code(2), "1234")
    job, rows = await plan(imports, by, csv(row(1), bad, row(1, name="twin")))
    assert [r.verdict for r in rows] == [Verdict.ADD, Verdict.REFUSED, Verdict.REFUSED]
    assert "code_not_20_digits" in codes(rows[1])
    assert "duplicate_code" in codes(rows[2])
    with pytest.raises(Conflict, match="2 rows have errors") as refused:
        await imports.apply(job.id, by)
    assert refused.value.code == "rows_refused"
    assert (await registry.list_channels()).total == 0
    await imports.apply(job.id, by, without_refused=True)
    assert (await registry.list_channels()).total == 1


async def test_a_plan_is_not_carried_out_on_another_registry_than_it_was_made_for(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    [_, one, *_] = await areas(registry, by)
    job, _ = await plan(imports, by, csv(row(1)))
    await registry.create_channel(draft(one, 9), by)
    with pytest.raises(Conflict) as refused:
        await imports.apply(job.id, by)
    assert refused.value.code == "registry_changed"
    await imports.check_again(job.id, by)
    await imports.checked(job.id)
    assert (await imports.apply(job.id, by)).state is JobState.APPLIED


async def test_an_import_is_undone_whole(imports: Imports, registry: Registry, by: Actor) -> None:
    [_, one, *_] = await areas(registry, by)
    kept = await registry.create_channel(draft(one, 1, name="old"), by)
    job, _ = await plan(imports, by, csv(row(1, host="192.0.2.10"), row(2), row(3)))
    await imports.apply(job.id, by)
    assert (await registry.list_channels()).total == 3
    undone = await imports.undo(job.id, by)
    assert undone.state is JobState.UNDONE
    assert (await registry.list_channels()).items == [kept]
    assert [d.id for d in (await registry.list_devices()).items] == [kept.device_id]
    assert await imports.undo(job.id, by) == undone


async def test_an_import_is_not_undone_over_a_later_change(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    job, _ = await plan(imports, by, csv(row(1), row(2)))
    await imports.apply(job.id, by)
    [first, _] = (await registry.list_channels()).items
    await registry.update_channel(first.id, {"name": "by hand"}, by)
    with pytest.raises(Conflict, match=f"changed again since.*camera versions {first.code}"):
        await imports.undo(job.id, by)
    assert (await registry.list_channels()).total == 2


async def test_codes_are_made_where_asked_and_never_twice(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    [given] = await registry.mint_codes(
        division="110112", industry="00", type_="132", network="1", count=1, by=by
    )
    assert given == "11011200001321000001"
    file = b"Device code,Device name,Main stream URL\n,a,rtsp://192.0.2.1/a\n,b,rtsp://192.0.2.2/b"
    without, rows = await plan(imports, by, file)
    assert [codes(r)[0] for r in rows] == ["required", "required"]
    assert without.counts["refused"] == 2

    job, rows = await plan(imports, by, file, mint="001321", area="110112001")
    assert [r.payload["code"] for r in rows] == [code_(2), code_(3)]
    [taken] = await registry.mint_codes(
        division="110112", industry="00", type_="132", network="1", count=1, by=by
    )
    assert taken == code_(2)
    with pytest.raises(Conflict) as refused:  # it was given to somebody else since
        await imports.apply(job.id, by)
    assert refused.value.code == "registry_changed"
    await imports.check_again(job.id, by)
    await imports.checked(job.id)
    await imports.apply(job.id, by)
    assert [c.code for c in (await registry.list_channels()).items] == [code_(3), code_(4)]


async def test_a_vendor_makes_the_urls_of_new_cameras_and_leaves_those_of_others(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    [_, one, *_] = await areas(registry, by)
    known = await registry.create_channel(draft(one, 1), by)
    form = f"设备编码,设备名称,设备厂商,IPv4地址\n{code(1)},旧,海康威视,192.0.2.10\n"
    form += f"{code(2)},新,海康威视,192.0.2.11\n"
    job, rows = await plan(imports, by, form.encode(), area="110112001")
    assert [r.verdict for r in rows] == [Verdict.CHANGE, Verdict.ADD]
    assert "main_url" not in [field for field, *_ in rows[0].payload["changes"]]
    await imports.apply(job.id, by)
    [old, new] = (await registry.list_channels()).items
    assert (old.main_url, old.device_id) == (known.main_url, known.device_id)
    assert new.main_url == "rtsp://192.0.2.11:554/Streaming/Channels/101"


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        ("某某,192.0.2.10,,110112001", ["unknown_value"]),
        ("海康威视,192.0.2.1000,,110112001", ["ipv4_malformed"]),
        (",,http://192.0.2.10/,110112001", ["url_not_rtsp"]),
        ("海康威视,192.0.2.10,,没有这里", ["area_unknown"]),
        ("某某,,,110112001", ["unknown_value", "url_missing"]),
        (",192.0.2.10,,110112001", ["url_missing"]),
        ("海康威视,192.0.2.10,,", ["area_missing"]),
    ],
)
async def test_what_follows_from_a_wrong_cell_is_not_told_beside_it(
    imports: Imports, registry: Registry, by: Actor, cells: str, found: list[str]
) -> None:
    await areas(registry, by)
    form = f"设备编码,设备名称,设备厂商,IPv4地址,主码流地址,所属区域编码\n{code(1)},新,{cells}\n"
    _, [planned] = await plan(imports, by, form.encode())
    assert planned.verdict is Verdict.REFUSED
    assert codes(planned) == found


async def test_headings_that_the_form_lacks_are_told_once_and_those_of_the_area_named(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    form = "设备编码,设备名称,主码流地址,行政区域\n"
    form += "".join(f"{code(n)},新,rtsp://192.0.2.{n}/main,110112001\n" for n in (1, 2))
    _, rows = await plan(imports, by, form.encode())
    assert [codes(each) for each in rows] == [["heading_unknown", "area_missing"], ["area_missing"]]
    assert "所属区域编码 or Area code" in rows[0].payload["findings"][-1]["sentence"]


async def test_cameras_of_one_recorder_become_one_device(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    rows = [row(n, host="192.0.2.200", user="nvr", word="pw") for n in range(1, 17)]
    job, _ = await plan(imports, by, csv(*rows))
    await imports.apply(job.id, by)
    [device] = (await registry.list_devices()).items
    assert (device.host, device.username, device.has_password) == ("192.0.2.200", "nvr", True)


async def test_rows_of_one_device_may_not_disagree_about_its_password(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    rows = [row(n, host="192.0.2.200", user="nvr", word="one") for n in (1, 2)]
    job, _ = await plan(imports, by, csv(*rows))
    await imports.apply(job.id, by)
    rows = [
        row(1, host="192.0.2.200", user="nvr", word="two"),
        row(2, host="192.0.2.200", user="nvr", word="three"),
    ]
    _, [_, second] = await plan(imports, by, csv(*rows))
    assert "credentials_conflict" in codes(second)


@pytest.mark.parametrize(
    ("file", "template", "says"),
    [
        (b"", "full", None),
        (b"a,b\n1,2", "full", "lacks columns"),
        ("设备编码,设备名称\n".encode(), "full", "no rows"),
        (b"PK\x03\x04 not a workbook", "full", "damaged"),
        ("设备编码,设备名称\n1,2".encode() + "\n中".encode("gb18030"), "full", "Row 3"),
    ],
)
async def test_a_file_that_is_none_is_refused_in_a_sentence(
    imports: Imports, registry: Registry, by: Actor, file: bytes, template: str, says: str | None
) -> None:
    await areas(registry, by)
    if says is None:
        with pytest.raises(ValidationFailed):
            await imports.create(file, "x.csv", {"template": template}, by)
        return
    job, rows = await plan(imports, by, file, template=template)
    assert job.state is JobState.REFUSED
    assert says in (job.sentence or "")
    assert rows == []


async def test_a_form_that_is_not_there_is_said_before_the_file_is_kept(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    with pytest.raises(TemplateInvalid, match="no template nope"):
        await imports.create(csv(row(1)), "x.csv", {"template": "nope"}, by)
    assert (await imports.list_jobs()).total == 0


async def test_codes_that_are_made_keep_clear_of_those_that_the_file_gives(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    file = "Device code,Device name,Main stream URL\n,m1,rtsp://192.0.2.9/1\n"
    file += f"{code_(1)},m2,rtsp://192.0.2.9/2\n"
    job, rows = await plan(imports, by, file.encode(), mint="001321", area="110112001")
    assert [r.payload["code"] for r in rows] == [code_(2), code_(1)]
    assert (await imports.apply(job.id, by)).state is JobState.APPLIED


async def test_nothing_is_remembered_of_a_row_that_is_refused(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    [_, one, *_] = await areas(registry, by)
    await registry.create_channel(draft(one, 1), by)
    taken = f"{code(2)},dup,110112001,rtsp://u:p@192.0.2.10:8554/cam/1/main,,,,"
    other = f"{code(3)},ok,110112001,rtsp://u:p@192.0.2.10:8554/cam/9,,,,"
    job, rows = await plan(imports, by, csv(taken, other))
    assert [r.verdict for r in rows] == [Verdict.REFUSED, Verdict.ADD]
    await imports.apply(job.id, by, without_refused=True)
    assert {c.name for c in (await registry.list_channels()).items} == {"上营新华大街1号", "ok"}


async def test_one_camera_is_not_changed_twice_by_one_file(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    [_, one, *_] = await areas(registry, by)
    await registry.create_channel(draft(one, 1), by)
    url = "rtsp://192.0.2.10:8554/cam/1/main"
    file = csv(f"{code(1)},renamed,,,,,,", f",路口1,110112001,{url},,,,by url")
    _, rows = await plan(imports, by, file, mint="001321")
    assert [r.verdict for r in rows] == [Verdict.CHANGE, Verdict.REFUSED]
    assert codes(rows[1]) == ["duplicate_code"]


async def test_a_user_name_alone_does_not_take_the_password_away(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    job, _ = await plan(imports, by, csv(row(1, user="ops", word="pw")))
    await imports.apply(job.id, by)
    _, [refused] = await plan(imports, by, csv(row(1, user="viewer")))
    assert codes(refused) == ["password_missing"]


async def test_undoing_an_import_leaves_devices_that_were_there_before(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    mine = await registry.create_device(
        DeviceDraft("box", "192.0.2.44", 554, "ops", Secret("pw")), by
    )
    job, _ = await plan(imports, by, csv(row(1, host="192.0.2.44"), row(2)))
    await imports.apply(job.id, by)
    await imports.undo(job.id, by)
    [left] = (await registry.list_devices()).items
    assert (left.id, left.has_password) == (mine.id, True)


async def test_a_check_that_a_restart_cut_short_is_taken_up_again(
    registry: Registry, store: SqlStore, vault: Vault, feed: ChangeFeed, by: Actor
) -> None:
    await areas(registry, by)
    stuck = asyncio.Event()

    async def never(_: str) -> None:
        stuck.set()
        await asyncio.Event().wait()

    async def checker(job_id: str) -> None:
        await check_job(store, vault, job_id, None)

    before = Imports(store, vault, feed, never)
    job = await before.create(csv(row(1)), "cameras.csv", {"template": "full"}, by)
    await stuck.wait()
    await before.stop()
    assert (await before.get(job.id)).state is JobState.CHECKING

    after = Imports(store, vault, feed, checker)
    await after.start()
    assert (await after.checked(job.id)).state is JobState.CHECKED
    await after.apply(job.id, by)
    assert (await registry.list_channels()).total == 1
    await after.stop()


async def test_the_check_runs_in_a_process_of_its_own(
    registry: Registry, store: SqlStore, vault: Vault, place: Place, tmp_path: Path, by: Actor
) -> None:
    await areas(registry, by)
    key_path = tmp_path / "data" / "secret.key"
    imports = Imports(store, vault, None, WorkerChecker(place.at, key_path, None))
    job = await imports.create(csv(row(1), row(2)), "cameras.csv", {"template": "full"}, by)
    assert (await imports.checked(job.id)).counts["add"] == 2

    nowhere = WorkerChecker(key_path.with_name("nowhere.db"), key_path, None)
    imports = Imports(store, vault, None, nowhere)
    job = await imports.create(csv(row(1)), "cameras.csv", {"template": "full"}, by)
    job = await imports.checked(job.id)
    assert job.state is JobState.REFUSED
    assert "broke off" in (job.sentence or "")


async def test_what_is_thrown_away_is_gone(
    imports: Imports, registry: Registry, by: Actor, store: SqlStore
) -> None:
    await areas(registry, by)
    job, _ = await plan(imports, by, csv(row(1)))
    assert await imports.file(job.id) == csv(row(1))
    async with store.read() as tx:
        assert row(1).encode() not in (await tx.jobs.file(job.id) or b"")  # it lies sealed
    await imports.discard(job.id, by)
    with pytest.raises(NotFound):
        await imports.get(job.id)
    async with store.read() as tx:
        assert await tx.jobs.rows(job.id, limit=10) == []
        assert await tx.jobs.file(job.id) is None


async def test_imports_are_listed_newest_first_in_pages(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    made = [(await plan(imports, by, csv(row(n))))[0].id for n in (1, 2, 3)]
    first = await imports.list_jobs(limit=2)
    rest = await imports.list_jobs(limit=2, cursor=first.next_cursor)
    assert [job.id for job in (*first.items, *rest.items)] == made[::-1]
    assert (first.total, rest.next_cursor) == (3, None)

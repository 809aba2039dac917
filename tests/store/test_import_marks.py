"""The workbook with the errors is corrected and imported again: of passwords it has marks."""

from __future__ import annotations

import pytest

from camera_registry.domain import Actor
from camera_registry.imports import Imports
from camera_registry.jobs import Verdict
from camera_registry.secret import Secret
from camera_registry.service import Registry

from .import_kit import codes, csv, plan, row
from .test_registry_cameras import areas, code

MARK = "***"


async def test_a_mark_keeps_the_password_that_is_registered(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    job, _ = await plan(imports, by, csv(row(1, user="ops", word="pw")))
    await imports.apply(job.id, by)
    again, [same] = await plan(imports, by, csv(row(1, user="ops", word=MARK)))
    assert (same.verdict, codes(same), same.sealed) == (Verdict.SAME, ["password_kept"], None)
    await imports.apply(again.id, by)
    [channel] = (await registry.list_channels()).items
    assert (await registry.spec_for(channel.id, "main")).password == Secret("pw")


@pytest.mark.parametrize("mark", [MARK, "********", "••••••"])
async def test_a_mark_is_no_password_of_a_new_camera(
    imports: Imports, registry: Registry, by: Actor, mark: str
) -> None:
    await areas(registry, by)
    in_url = row(2).replace("rtsp://192.0.2.2/cam/2/main", f"rtsp://ops:{mark}@192.0.2.2/main")
    _, rows = await plan(imports, by, csv(row(1, user="ops", word=mark), in_url))
    assert [each.verdict for each in rows] == [Verdict.REFUSED] * 2
    assert [codes(each) for each in rows] == [["password_hidden"]] * 2


async def test_another_camera_of_a_known_recorder_hangs_on_it_by_its_mark(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    first = row(1, host="192.0.2.200", user="nvr", word="pw")
    job, _ = await plan(imports, by, csv(first))
    await imports.apply(job.id, by)
    marked = [row(n, host="192.0.2.200", user="nvr", word=MARK) for n in (1, 2)]
    other = row(3, host="192.0.2.200", user="somebody", word=MARK)
    job, rows = await plan(imports, by, csv(*marked, other))
    assert [each.verdict for each in rows] == [Verdict.SAME, Verdict.ADD, Verdict.REFUSED]
    await imports.apply(job.id, by, without_refused=True)
    [device] = (await registry.list_devices()).items
    assert (device.host, device.username) == ("192.0.2.200", "nvr")


async def test_a_mark_in_an_address_keeps_the_password_too(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    plain = f"{code(1)},路口,110112001,rtsp://ops:%s@192.0.2.1/a,,,,"
    job, _ = await plan(imports, by, csv(plain % "pw"))
    await imports.apply(job.id, by)
    _, [same] = await plan(imports, by, csv(plain % MARK))
    assert (same.verdict, codes(same)) == (Verdict.SAME, ["password_kept"])


async def test_a_mark_in_a_text_is_not_kept_as_one(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    _, [refused] = await plan(imports, by, csv(row(1, address=MARK)))
    assert codes(refused) == ["secret_in_text"]


async def test_good_rows_first_then_the_corrected_workbook_whole(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    """The way that docs/import.md tells."""
    await areas(registry, by)
    good = row(1, user="ops", word="pw-1")
    bad = row(2, user="ops", word="pw-2", area="110112999")
    job, _ = await plan(imports, by, csv(good, bad))
    await imports.apply(job.id, by, without_refused=True)
    workbook = await imports.workbook(job.id)
    _, rows = await plan(imports, by, workbook, "errors.xlsx")
    assert [(each.verdict, each.payload["name"]) for each in rows] == [
        (Verdict.SAME, "路口1"),
        (Verdict.REFUSED, "路口2"),
    ]
    assert "area_unknown" in codes(rows[1])
    corrected = csv(row(1, user="ops", word=MARK), row(2, user="ops", word="pw-2"))
    job, rows = await plan(imports, by, corrected)
    assert [each.verdict for each in rows] == [Verdict.SAME, Verdict.ADD]
    await imports.apply(job.id, by)
    words = [
        (await registry.spec_for(each.id, "main")).password
        for each in (await registry.list_channels()).items
    ]
    assert words == [Secret("pw-1"), Secret("pw-2")]

"""What a plan says of a file's rows, and of a file that is none."""

from __future__ import annotations

import pytest

from camera_registry.domain import Actor
from camera_registry.errors import Conflict, ValidationFailed
from camera_registry.importers.templates import TemplateInvalid
from camera_registry.imports import Imports
from camera_registry.jobs import JobState, Verdict
from camera_registry.secret import Secret
from camera_registry.service import Registry

from .import_kit import code_, codes, csv, plan, row
from .test_registry_cameras import areas, code, draft


async def test_an_empty_position_is_told_of_cameras_alone_that_have_none(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    headings = "设备编码,设备名称,所属区域编码,主码流地址,经度,纬度"
    start = [f"{code(n)},路口{n},110112001,rtsp://192.0.2.{n}/main" for n in (1, 2)]
    file = "\n".join((headings, f"{start[0]},116.66,39.9", f"{start[1]},,")).encode()
    job, rows = await plan(imports, by, file)
    assert [codes(each) for each in rows] == [["position_unchecked"], ["position_missing"]]
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


@pytest.mark.parametrize(
    ("cell", "found"),
    [(code(1)[:-1], "code_not_20_digits"), ("1.10112E+19", "number_lost_digits")],
)
async def test_a_wrong_code_is_not_taken_for_a_new_camera(
    imports: Imports, registry: Registry, by: Actor, cell: str, found: str
) -> None:
    """Of a camera that has its URL and its area: which one it is cannot be seen."""
    [_, one, *_] = await areas(registry, by)
    await registry.create_channel(draft(one, 1), by)
    form = f"设备编码,设备名称,所属区域编码\n{cell},旧,\n"
    _, [planned] = await plan(imports, by, form.encode())
    assert planned.verdict is Verdict.REFUSED
    assert codes(planned) == [found]


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


async def test_a_new_camera_at_a_registered_ones_address_is_told(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    job, _ = await plan(imports, by, csv(row(1, user="ops", word="pw"), row(2)))
    await imports.apply(job.id, by)
    form = "设备编码,设备名称,IPv4地址,设备用户名,设备口令\n"
    form += f"{code(8)},new,192.0.2.1,,\n{code(9)},other account,192.0.2.1,root,pw\n"
    form += f"{code(10)},elsewhere,192.0.2.3,,\n"
    _, rows = await plan(imports, by, form.encode(), vendor="hikvision-nvr", area="110112001")
    # Row 3 has the URL of row 2, as neither numbers its channel.
    assert [codes(each) for each in rows] == [
        ["address_shared"],
        ["duplicate_address"],
        [],
    ]
    said = rows[0].payload["findings"][0]
    assert said["sentence"].startswith(f"The camera 路口1 ({code(1)}) has the same address")
    assert (said["column"], said["severity"]) == ("IPv4地址", "warning")


async def test_another_ipv4_address_that_is_a_registered_cameras_is_told(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    job, _ = await plan(imports, by, csv(row(1), row(2)))
    await imports.apply(job.id, by)
    form = f"设备编码,设备名称,IPv4地址\n{code(1)},路口1,192.0.2.2\n"
    _, [moved] = await plan(imports, by, form.encode())
    assert codes(moved) == ["address_shared"]
    assert "路口2" in moved.payload["findings"][0]["sentence"]
    form += f"{code(2)},路口2,192.0.2.2\n"  # of a pair in one file, the later row
    _, rows = await plan(imports, by, form.encode())
    assert [codes(each) for each in rows] == [[], ["address_shared"]]


async def test_a_recorders_channels_are_added_beside_its_others_without_a_word(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    nvr = [row(n, host="192.0.2.200", user="nvr", word="pw") for n in range(1, 17)]
    job, rows = await plan(imports, by, csv(*nvr[:8]))
    assert [codes(each) for each in rows] == [[]] * 8
    await imports.apply(job.id, by)
    _, rows = await plan(imports, by, csv(*nvr))
    assert [codes(each) for each in rows] == [[]] * 16
    other = [row(n, host="192.0.2.200", user="guard", word="pw") for n in range(17, 25)]
    _, rows = await plan(imports, by, csv(*nvr, *other))
    assert [codes(each) for each in rows] == [[]] * 16 + [["address_shared"]] + [[]] * 7

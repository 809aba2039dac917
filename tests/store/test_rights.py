"""Roles, purposes and grants as they are stored; lists under denials and rules, by SQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from camera_registry.domain import (
    Actor,
    Area,
    AreaKind,
    ChangeKind,
    Condition,
    Device,
    Effect,
    Grant,
    Op,
    Subject,
    SubjectKind,
    WeeklyWindow,
)
from camera_registry.drafts import AreaDraft, GrantDraft, RoleDraft, SubjectDraft
from camera_registry.errors import Conflict, EntryRefused, NotFound, ValidationFailed
from camera_registry.feed import ChangeFeed
from camera_registry.people import People
from camera_registry.service import Registry
from camera_registry.store import AuditQuery, SqlStore, open_store
from streamhub.access.policy import scope
from streamhub.access.principal import Action
from streamhub.api.channels import registry_scope
from support.rights_model import Asked
from support.rights_worlds import NOW, SUBJECTS, Maker, principal

from .conftest import Place


async def test_a_grant_comes_back_as_it_was_given(
    people: People, registry: Registry, by: Actor, store: SqlStore
) -> None:
    area = await registry.create_area(AreaDraft(None, "district", "110112", "通州"), by)
    role = await people.create_role(RoleDraft(" Night ", "夜班"), by)
    grant = await people.create_grant(
        GrantDraft(
            None,
            ["live", "ptz"],
            area.id,
            role_id=role.id,
            conditions=[
                Condition("owner", Op.NE, ("人防办", "人防办", "公安局")),
                Condition("device_class", Op.EQ, ("high_altitude",)),
            ],
            windows=[WeeklyWindow((6, 0, 0), 1320, 360)],
            purpose_required=True,
        ),
        by,
    )
    assert (role.name, grant.role_id, grant.subject_id) == ("night", role.id, None)
    assert grant.conditions[0] == Condition("owner", Op.NE, ("人防办", "公安局"))
    assert grant.windows == (WeeklyWindow((0, 6), 1320, 360),)
    assert await people.get_grant(grant.id) == grant
    async with store.read() as tx:
        assert await tx.grants.all_unrevoked() == [grant]
        [row] = (
            await tx.audit.page(AuditQuery(acts=frozenset({"grant_create"})), limit=9, cursor=None)
        ).items
    assert row.detail["to"] == "role:night"
    assert row.detail["windows"] == ["mon,sun 22:00-06:00"]
    assert row.detail["purpose_required"] is True
    deny = await people.create_grant(
        GrantDraft(None, ["live"], area.id, role_id=role.id, effect=Effect.DENY), by
    )
    assert (await people.get_grant(deny.id)).denies
    assert (await people.list_grants(role_ids=[role.id])).items == [grant, deny]


async def test_many_changes_are_one_commit_or_none(
    people: People, registry: Registry, by: Actor, store: SqlStore
) -> None:
    area = await registry.create_area(AreaDraft(None, "district", "110112", "通州"), by)
    names = [f"s{number}" for number in range(30)]  # more than are read one by one
    subjects = [await people.create_subject(SubjectDraft(name, name), by) for name in names]
    drafts = [GrantDraft(each.id, ["list"], area.id) for each in subjects]
    seq = await store.latest_change_seq()
    made = await people.change_grants(drafts, by)
    assert [each.subject_id for each in made] == [each.id for each in subjects]
    assert [each.object_id for each in await store.changes_since(seq)] == [g.id for g in made]
    ids = [each.id for each in made]
    with pytest.raises(EntryRefused) as refused:
        await people.change_grants([*ids, drafts[0], "gr_none"], by)
    assert (refused.value.entry, refused.value.code) == (31, "not_found")
    assert isinstance(refused.value.cause, NotFound)
    async with store.read() as tx:
        assert {each.id for each in await tx.grants.all_unrevoked()} == set(ids)
    revoked = await people.change_grants([*ids, ids[0]], by)
    assert all(each.revoked_at is not None for each in revoked)
    assert [await people.get_grant(each) for each in ids] == revoked[:-1]
    assert (await people.change_grants(ids, by)) == revoked[:-1]  # the first time stays
    async with store.read() as tx:
        acts = [
            (await tx.audit.page(AuditQuery(acts=frozenset({act})), limit=99, cursor=None)).total
            for act in ("grant_create", "grant_revoke")
        ]
    assert acts == [30, 30]
    assert (await store.verify_audit()).faults == ()
    for none in ([], drafts[:1] * 1001):
        with pytest.raises(ValidationFailed, match="1 to 1000"):
            await people.change_grants(none, by)


async def test_a_role_s_members_and_what_follows_them(
    people: People, registry: Registry, by: Actor, store: SqlStore
) -> None:
    area = await registry.create_area(AreaDraft(None, "district", "110112", "通州"), by)
    ada = await people.create_subject(SubjectDraft("ada", "Ada"), by)
    role = await people.create_role(RoleDraft("night", "夜班"), by)
    other = await people.create_role(RoleDraft("day", "白班"), by)
    with pytest.raises(Conflict, match="role day"):
        await people.rename_role(role.id, RoleDraft("day", "x"), by)
    await people.add_member(role.id, ada.id, by)
    before = await store.latest_change_seq()
    await people.add_member(role.id, ada.id, by)
    assert await store.latest_change_seq() == before  # twice is as once
    with pytest.raises(ValidationFailed):
        await people.add_member(role.id, "su_none", by)
    assert await people.role_members(role.id) == [ada]
    async with store.read() as tx:
        assert await tx.roles.all_members() == {role.id: frozenset({ada.id})}

    mine = await people.create_grant(GrantDraft(ada.id, ["list"], area.id), by)
    ours = await people.create_grant(GrantDraft(None, ["live"], area.id, role_id=role.id), by)
    await people.create_grant(GrantDraft(None, ["live"], area.id, role_id=other.id), by)
    both = await people.list_grants(subject_id=ada.id, role_ids=[role.id])
    assert both.items == [mine, ours]
    assert (await people.list_grants(subject_id=ada.id)).items == [mine]

    before = await store.latest_change_seq()
    await people.delete_subject(ada.id, by)
    kinds = [change.kind for change in await store.changes_since(before)]
    assert sorted(kinds) == [ChangeKind.GRANT, ChangeKind.ROLE, ChangeKind.SUBJECT]
    assert await people.role_members(role.id) == []
    with pytest.raises(NotFound):
        await people.remove_member(role.id, ada.id, by)

    before = await store.latest_change_seq()
    await people.delete_role(role.id, by)
    changes = {(each.kind, each.object_id) for each in await store.changes_since(before)}
    assert changes == {(ChangeKind.GRANT, ours.id), (ChangeKind.ROLE, role.id)}
    with pytest.raises(NotFound):
        await people.get_grant(ours.id)
    assert [each.name for each in await people.list_roles()] == ["day"]


async def test_purposes_begin_with_four_and_are_the_district_s(
    people: People, by: Actor, store: SqlStore
) -> None:
    first = [each.code for each in await people.list_purposes()]
    assert first == ["duty", "incident", "inquiry", "maintenance"]
    before = await store.latest_change_seq()
    await people.put_purpose("Duty", "值班", "On duty", by)
    await people.put_purpose("campaign", "专项", "Campaign", by)
    await people.remove_purpose("inquiry", by)
    known = {each.code: each.zh for each in await people.list_purposes()}
    assert known == {
        "campaign": "专项",
        "duty": "值班",
        "incident": "接处警与应急处置",
        "maintenance": "设备维护",
    }
    changes = [(each.kind, each.object_id) for each in await store.changes_since(before)]
    assert changes == [(ChangeKind.PURPOSE, code) for code in ("duty", "campaign", "inquiry")]
    with pytest.raises(NotFound):
        await people.remove_purpose("inquiry", by)
    with pytest.raises(ValidationFailed) as caught:
        await people.put_purpose("a b", "x", "x", by)
    assert caught.value.code == "code_malformed"


async def test_lists_by_sql_are_the_model_s(
    store: SqlStore, registry: Registry, feed: ChangeFeed
) -> None:
    """The same cameras under many sets of grants: pages, searches, areas, drafts."""
    maker = Maker(20_261_127)
    world = maker.world()
    world.channels = [
        replace(
            maker.channel(f"ch{number}"),
            code=f"1101120011131{number:07d}",
            main_url=f"rtsp://192.0.2.1/{number}",
        )
        for number in range(60)
    ]
    async with store.write() as tx:
        await tx.bulk_add(areas=world.areas, devices=[(Device("de", "x", "192.0.2.1", 554), None)])
        await tx.bulk_add(channels=world.channels)
    await feed.wait_caught_up(await store.latest_change_seq(), 10_000)
    compared = 0
    for _ in range(60):
        world.grants = [maker.grant(number) for number in range(6)]
        world.subjects = [maker.subject(each) for each in SUBJECTS]
        world.askers = [maker.asker(each) for each in SUBJECTS]
        facts = world.facts()
        for who in world.askers:
            asked = registry_scope(scope(principal(who), Action.LIST, facts, NOW))
            told = Asked(world, who, NOW)
            expected = [row for row in world.channels if "list" in told.listed(row)]
            page = await registry.list_channels(scope=asked, limit=500)
            assert [row.id for row in page.items] == [row.id for row in expected]
            assert page.total == len(expected)
            page = await registry.list_channels(scope=asked, q="桥", area_id="s1", limit=500)
            wanted = [
                row.id
                for row in expected
                if "桥" in row.name and world.lies_within(row.area_id, "s1")
            ]
            assert [row.id for row in page.items] == wanted
            compared += len(expected)
    assert compared > 100


@pytest.mark.parametrize("denies", [False, True])
async def test_who_could_export_still_can_and_a_denial_is_not_lost_on_the_way_down(
    bare: Place, denies: bool
) -> None:
    store = await open_store(bare.at)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    base = Grant("gr_a", "su_a", frozenset({"list"}), "ar_a", None, start, None, start)
    rows = [
        base,
        replace(base, id="gr_b", actions=frozenset({"list", "manage"})),
        replace(base, id="gr_c", conditions=(Condition("name", Op.EQ, ("x",)),)),
        replace(base, id="gr_d", actions=frozenset({"ptz"})),
    ]
    if denies:
        rows.append(replace(base, id="gr_e", effect=Effect.DENY))
    async with store.write() as tx:
        await tx.bulk_add(
            areas=[Area("ar_a", None, AreaKind.DISTRICT, "110112", "通州")],
            subjects=[(Subject("su_a", "ada", "Ada", SubjectKind.PERSON), None)],
            grants=rows,
        )
    if denies:
        with pytest.raises(RuntimeError, match="1 grants deny"):
            await store.migrate_down("0007")
        async with store.read() as tx:
            assert len(await tx.grants.all_unrevoked()) == 5
    else:
        await store.migrate_down("0007")
        found = bare.execute("SELECT id, actions FROM grants ORDER BY id")
        assert [tuple(row) for row in found] == [("gr_a", "list"), ("gr_b", "list,manage")]
        await store.migrate()
        async with store.read() as tx:
            kept = {row.id: row.actions for row in await tx.grants.all_unrevoked()}
        assert kept == {"gr_a": {"list"}, "gr_b": {"export", "list", "manage"}}
    await store.close()

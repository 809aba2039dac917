"""Subjects and grants: what is written, what ends with them, what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from camera_registry.credentials import SignIn
from camera_registry.domain import Actor, ChangeKind, ChangeOp, Grant
from camera_registry.drafts import AreaDraft, ChannelDraft, GrantDraft, NewPassword, SubjectDraft
from camera_registry.errors import Conflict, NotFound, ValidationFailed
from camera_registry.people import People
from camera_registry.service import Registry
from camera_registry.store import AuditQuery, SqlStore

HASH = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$aGFzaA"
NOW = datetime.now(UTC)


async def sign_in(store: SqlStore, subject_id: str, id_hash: str, ends: datetime) -> None:
    async with store.write() as tx:
        await tx.sign_ins.add(SignIn(f"si_{id_hash[0]}", id_hash, subject_id, NOW, ends, ends))


async def known(store: SqlStore, id_hash: str) -> bool:
    async with store.read() as tx:
        return await tx.sign_ins.get(f"si_{id_hash[0]}") is not None


async def test_a_subject_from_creation_to_deletion(
    people: People, by: Actor, store: SqlStore
) -> None:
    made = await people.create_subject(SubjectDraft(" YongShun ", "永顺镇"), by, HASH)
    assert (made.username, made.version) == ("yongshun", 1)
    assert await people.find_for_sign_in("Yongshun ") == (made, HASH)
    assert await people.find_for_sign_in("nobody") is None
    with pytest.raises(Conflict) as caught:
        await people.create_subject(SubjectDraft("yongshun", "x"), by)
    assert caught.value.code == "username_taken"

    later = NOW + timedelta(hours=12)
    await sign_in(store, made.id, "a" * 64, later)
    changed = await people.update_subject(made.id, {"display_name": "永顺"}, by)
    assert (changed.display_name, changed.version) == ("永顺", 2)
    assert await known(store, "a" * 64)
    assert (await people.set_password_hash(made.id, HASH + "2", by)).version == 3
    assert not await known(store, "a" * 64)
    await sign_in(store, made.id, "b" * 64, later)
    assert not (await people.update_subject(made.id, {"enabled": False}, by)).enabled
    assert not await known(store, "b" * 64)

    await sign_in(store, made.id, "c" * 64, later)
    await people.delete_subject(made.id, by)
    assert not await known(store, "c" * 64)
    with pytest.raises(NotFound):
        await people.get_subject(made.id)
    async with store.read() as tx:
        rows = (await tx.audit.page(AuditQuery(), limit=50, cursor=None)).items
    assert [row.act for row in reversed(rows)] == [
        "subject_create",
        "subject_update",
        "subject_password",
        "subject_update",
        "subject_delete",
    ]
    assert HASH not in repr(rows)
    assert all(row.subject_name == "local:test" for row in rows)


@pytest.mark.parametrize("username", ["", "a", "ä" * 3, "a b", "-ab", "a" * 33, "a\n"])
async def test_a_bad_username_is_refused(people: People, by: Actor, username: str) -> None:
    if username.strip() == "a":
        username = "a"
    with pytest.raises(ValidationFailed) as caught:
        await people.create_subject(SubjectDraft(username, "x"), by)
    assert caught.value.field == "username"


async def test_sign_ins_renew_and_expire(people: People, by: Actor, store: SqlStore) -> None:
    subject = await people.create_subject(SubjectDraft("ada", "Ada"), by)
    await sign_in(store, subject.id, "a" * 64, NOW + timedelta(hours=1))
    await sign_in(store, subject.id, "b" * 64, NOW + timedelta(hours=1))
    before = await store.latest_change_seq()
    async with store.write() as tx:
        await tx.sign_ins.extend("si_a", NOW + timedelta(hours=12))
        await tx.sign_ins.extend("si_gone", NOW + timedelta(hours=12))
    [change] = await store.changes_since(before)
    assert (change.kind, change.object_id, change.op) == ("sign_in", "si_a", ChangeOp.UPDATED)
    before = await store.latest_change_seq()
    async with store.write() as tx:
        assert await tx.sign_ins.delete_expired(NOW + timedelta(hours=2)) == 1
    assert (await known(store, "a" * 64), await known(store, "b" * 64)) == (True, False)
    [change] = await store.changes_since(before)
    assert (change.kind, change.op) == (ChangeKind.SIGN_IN, ChangeOp.DELETED)
    assert change.object_id == "si_b"


async def test_a_grant_from_creation_to_revocation(
    people: People, registry: Registry, by: Actor, store: SqlStore
) -> None:
    area = await registry.create_area(AreaDraft(None, "district", "110112", "通州"), by)
    subject = await people.create_subject(SubjectDraft("ada", "Ada"), by)
    grant = await people.create_grant(GrantDraft(subject.id, ["live", "list"], area_id=area.id), by)
    assert grant.actions == {"live", "list"}
    assert grant == await people.get_grant(grant.id)
    assert grant.active_at(datetime.now(UTC))
    before = await store.latest_change_seq()
    revoked = await people.revoke_grant(grant.id, by)
    assert revoked.revoked_at is not None
    assert not revoked.active_at(datetime.now(UTC))
    [change] = await store.changes_since(before)
    assert (change.kind, change.object_id) == (ChangeKind.GRANT, grant.id)
    assert await people.revoke_grant(grant.id, by) == revoked  # twice is as once
    assert (await people.list_grants(subject_id=subject.id)).total == 0
    everything = await people.list_grants(subject_id=subject.id, include_revoked=True)
    assert everything.items == [revoked]
    async with store.read() as tx:
        assert await tx.grants.all_unrevoked() == []
        query = AuditQuery(acts=frozenset({"grant_revoke"}))
        page = await tx.audit.page(query, limit=9, cursor=None)
    assert [(row.area_id, row.detail["to"]) for row in page.items] == [(area.id, "ada")]
    with pytest.raises(NotFound):
        await people.revoke_grant("gr_none", by)


async def test_bad_grants_are_refused(people: People, registry: Registry, by: Actor) -> None:
    area = await registry.create_area(AreaDraft(None, "district", "110112", "通州"), by)
    who = (await people.create_subject(SubjectDraft("ada", "Ada"), by)).id
    later = NOW + timedelta(hours=1)
    naive = later.replace(tzinfo=None)
    for draft, error_code in (
        (GrantDraft(who, [], area_id=area.id), "actions_empty"),
        (GrantDraft(who, ["fly"], area_id=area.id), "unknown_value"),
        (GrantDraft(who, ["live"]), "grant_target"),
        (GrantDraft(who, ["live"], area_id=area.id, channel_id="ch_x"), "grant_target"),
        (GrantDraft("su_none", ["live"], area_id=area.id), "unknown_subject"),
        (GrantDraft(who, ["live"], area_id="ar_none"), "unknown_area"),
        (GrantDraft(who, ["live"], channel_id="ch_none"), "unknown_channel"),
        (GrantDraft(who, ["live"], area.id, valid_until=NOW), "window_empty"),
        (GrantDraft(who, ["live"], area.id, None, later, later), "window_empty"),
        (GrantDraft(who, ["live"], area.id, None, naive), "time_without_offset"),
        (GrantDraft(who, ["live"], area.id, valid_until=naive), "time_without_offset"),
    ):
        with pytest.raises(ValidationFailed) as caught:
            await people.create_grant(draft, by)
        assert caught.value.code == error_code
    assert (await people.list_grants()).total == 0


async def test_grants_page_and_go_with_their_channel_or_subject(
    people: People, registry: Registry, by: Actor, store: SqlStore
) -> None:
    area = await registry.create_area(AreaDraft(None, "district", "110112", "通州"), by)
    channel = await registry.create_channel(
        ChannelDraft("11011201001321000001", "x", area.id, "alley", "rtsp://192.0.2.1/a"), by
    )
    ada = await people.create_subject(SubjectDraft("ada", "Ada"), by)
    made = [
        await people.create_grant(GrantDraft(ada.id, ["live"], channel_id=channel.id), by)
        for _ in range(5)
    ]
    on_area = await people.create_grant(GrantDraft(ada.id, ["list"], area_id=area.id), by)
    seen: list[Grant] = []
    cursor = None
    while True:
        page = await people.list_grants(limit=2, cursor=cursor)
        assert page.total == 6
        seen += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [*made, on_area]
    with pytest.raises(ValidationFailed, match="cursor"):
        await people.list_grants(cursor="WyJ4IiwieSJd")  # ["x","y"]: no time in it
    before = await store.latest_change_seq()
    await registry.delete_channel(channel.id, by)
    gone = {c.object_id for c in await store.changes_since(before) if c.kind is ChangeKind.GRANT}
    assert gone == {grant.id for grant in made}
    assert (await people.list_grants()).items == [on_area]
    before = await store.latest_change_seq()
    await people.delete_subject(ada.id, by)
    kinds = [change.kind for change in await store.changes_since(before)]
    assert kinds == [ChangeKind.GRANT, ChangeKind.SUBJECT]


async def test_subjects_page_by_username(people: People, by: Actor) -> None:
    for username in ("cy", "ada", "bob"):
        await people.create_subject(SubjectDraft(username, username.title()), by)
    first = await people.list_subjects(limit=2)
    assert [subject.username for subject in first.items] == ["ada", "bob"]
    rest = await people.list_subjects(limit=2, cursor=first.next_cursor)
    assert ([subject.username for subject in rest.items], rest.next_cursor) == (["cy"], None)
    assert [subject.username for subject in (await people.list_subjects(q="Bo")).items] == ["bob"]


async def test_a_subject_is_changed_as_a_whole_or_not_at_all(people: People, by: Actor) -> None:
    made = await people.create_subject(SubjectDraft("ada", "Ada"), by, HASH)
    password = NewPassword(HASH + "2", must_change=True)
    with pytest.raises(ValidationFailed) as refused:
        await people.update_subject(
            made.id, {"display_name": "X", "home_area_id": "ar_none"}, by, password=password
        )
    assert refused.value.code == "unknown_area"
    assert await people.find_for_sign_in("ada") == (made, HASH)
    changed = await people.update_subject(made.id, {"display_name": "X"}, by, password=password)
    assert await people.find_for_sign_in("ada") == (changed, HASH + "2")
    assert (changed.display_name, changed.must_change_password) == ("X", True)

"""Sign-ins and API keys on both stores: kept, told of, gone with their subject."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from camera_registry.credential_cases import Credentials
from camera_registry.credentials import (
    NO_END,
    ApiKey,
    Identity,
    SecondFactor,
    SignIn,
    SignInMethod,
    Wanted,
    WantedGrant,
)
from camera_registry.domain import Actor, ChangeKind, ChangeOp, Subject
from camera_registry.drafts import AreaDraft, GrantDraft, RoleDraft, SubjectDraft
from camera_registry.errors import Conflict
from camera_registry.identity_cases import Identities
from camera_registry.people import People
from camera_registry.service import Registry
from camera_registry.store import AuditQuery, SqlStore

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=1)


def a_key(subject_id: str, number: int = 1) -> ApiKey:
    return ApiKey(
        f"ak_{number}",
        str(number) * 64,
        "shk_12345678",
        subject_id,
        "a program",
        frozenset({"live", "list"}),
        None,
        NOW,
        LATER,
    )


async def test_a_key_is_kept_as_it_is_and_gone_with_its_subject(
    people: People, by: Actor, store: SqlStore
) -> None:
    subject = await people.create_subject(SubjectDraft("ada", "Ada"), by)
    credentials = Credentials(store)
    key = await credentials.add_key(a_key(subject.id), by)
    assert await credentials.keys_of(subject.id) == [key]
    before = await store.latest_change_seq()
    await credentials.note_key_used(key.id, LATER)
    assert await store.latest_change_seq() == before  # nothing is decided by it
    async with store.read() as tx:
        assert await tx.api_keys.get(key.id) == replace(key, used_at=LATER)
        assert await tx.api_keys.all() == [replace(key, used_at=LATER)]
    await credentials.add_key(a_key(subject.id, 2), by)
    await credentials.revoke_key(subject.id, "ak_2", by)
    before = await store.latest_change_seq()
    await people.delete_subject(subject.id, by)
    changes = await store.changes_since(before)
    assert {(row.kind, row.object_id) for row in changes if row.op is ChangeOp.DELETED} == {
        (ChangeKind.API_KEY, "ak_1"),
        (ChangeKind.SUBJECT, subject.id),
    }
    async with store.read() as tx:
        assert await tx.api_keys.all() == []


async def test_sign_ins_are_ended_by_their_subject(
    people: People, by: Actor, store: SqlStore
) -> None:
    ada = await people.create_subject(SubjectDraft("ada", "Ada"), by)
    bob = await people.create_subject(SubjectDraft("bob", "Bob"), by)
    rows = [
        SignIn(f"si_{number}", str(number) * 64, of.id, NOW, LATER, LATER, agent="x" * 300)
        for number, of in enumerate((ada, ada, ada, bob))
    ]
    async with store.write() as tx:
        for row in rows:
            await tx.sign_ins.add(row)
    credentials = Credentials(store)
    assert await credentials.end_sign_ins(ada.id, by, but="si_1") == 2
    [kept] = await credentials.sign_ins_of(ada.id)
    assert kept == replace(rows[1], agent="x" * 200)
    assert len(await credentials.sign_ins_of(bob.id)) == 1


async def test_scripts_sign_ins_end_with_what_voids_their_tokens(
    people: People, by: Actor, store: SqlStore
) -> None:
    ada = await people.create_subject(SubjectDraft("ada", "Ada"), by, "hash")

    async def sign_in() -> SignIn:
        page = SignIn("si_page", "a" * 64, ada.id, NOW, LATER, LATER)
        script = replace(
            page, id="si_1", id_hash="token si_1", ends_at=NO_END, method=SignInMethod.TOKEN
        )
        async with store.write() as tx:
            await tx.sign_ins.delete_of_subject(ada.id)
            await tx.sign_ins.add(page)
            await tx.sign_ins.add(script)
        return script

    async def left() -> set[str]:
        return {row.id for row in await Credentials(store).sign_ins_of(ada.id)}

    script = await sign_in()
    assert script in await Credentials(store).sign_ins_of(ada.id)
    before = await store.latest_change_seq()
    await people.update_subject(ada.id, {"display_name": "A"}, by)
    assert await left() == {"si_page"}
    assert ("si_1", ChangeOp.DELETED) in {
        (change.object_id, change.op) for change in await store.changes_since(before)
    }
    await sign_in()
    await people.update_subject(ada.id, {"home_area_id": None}, by)  # voids none
    assert await left() == {"si_page", "si_1"}
    await people.set_password_hash(ada.id, "another", by, but="si_page")
    assert await left() == {"si_page"}


async def test_a_password_that_must_be_changed_says_so_until_it_is(
    people: People, by: Actor, store: SqlStore
) -> None:
    draft = SubjectDraft("ada", "Ada", must_change_password=True)
    ada = await people.create_subject(draft, by, "hash")
    assert (await people.get_subject(ada.id)).must_change_password
    changed = await people.update_subject(ada.id, {"display_name": "A"}, by)
    assert changed.must_change_password
    async with store.write() as tx:
        for row in (SignIn(f"si_{n}", n * 64, ada.id, NOW, LATER, LATER) for n in "ab"):
            await tx.sign_ins.add(row)
    changed = await people.set_password_hash(ada.id, "another", by, but="si_a")
    assert not changed.must_change_password
    assert [row.id for row in await Credentials(store).sign_ins_of(ada.id)] == ["si_a"]


async def test_a_second_factor_is_told_of_by_its_subject(
    people: People, by: Actor, store: SqlStore
) -> None:
    ada = await people.create_subject(SubjectDraft("ada", "Ada"), by)
    factor = SecondFactor(ada.id, b"sealed", False, 0)
    before = await store.latest_change_seq()
    async with store.write() as tx:
        await tx.second_factors.put(factor)
    assert await store.latest_change_seq() == before  # it does not count yet
    async with store.write() as tx:
        await tx.second_factors.confirm(ada.id, ["a" * 64, "b" * 64])
        assert await tx.second_factors.take_step(ada.id, 7)
        assert not await tx.second_factors.take_step(ada.id, 7)
        assert not await tx.second_factors.take_step(ada.id, 6)
        assert await tx.second_factors.take_recovery_code(ada.id, "a" * 64)
        assert not await tx.second_factors.take_recovery_code(ada.id, "a" * 64)
        assert await tx.second_factors.recovery_codes_left(ada.id) == 1
    [change] = await store.changes_since(before)
    assert (change.kind, change.object_id) == (ChangeKind.SUBJECT, ada.id)
    assert (await people.get_subject(ada.id)).has_second_factor
    changed = await people.update_subject(ada.id, {"second_factor_required": True}, by)
    assert (changed.has_second_factor, changed.second_factor_required) == (True, True)
    async with store.write() as tx:
        assert await tx.second_factors.count() == 1
        assert await tx.second_factors.delete(ada.id)
        assert not await tx.second_factors.delete(ada.id)
        assert await tx.second_factors.recovery_codes_left(ada.id) == 0
    assert not (await people.get_subject(ada.id)).has_second_factor


async def test_who_comes_from_a_provider_is_granted_what_it_says(
    people: People, registry: Registry, by: Actor, store: SqlStore
) -> None:
    area = await registry.create_area(AreaDraft(None, "district", "110112", "通州"), by)
    identities, identity = Identities(store), Identity("https://sso.example", "ada-1")
    wanted = [WantedGrant(frozenset({"live"}), "110112"), WantedGrant(frozenset({"live"}), "9")]

    async def arrive(*grants: WantedGrant, draft: SubjectDraft | None = None) -> Subject | None:
        all_of_it = Wanted(frozenset(grants))
        return await identities.arrive(identity, all_of_it, draft=draft, remote="192.0.2.1")

    async def granted(subject_id: str) -> list[tuple[str | None, frozenset[str]]]:
        rows = (await people.list_grants(subject_id=subject_id)).items
        return [(row.area_id, row.actions) for row in rows]

    assert await arrive(*wanted) is None
    await people.create_subject(SubjectDraft("taken", "Somebody"), by)
    with pytest.raises(Conflict):
        await arrive(*wanted, draft=SubjectDraft("taken", "Ada"))
    ada = await arrive(*wanted, draft=SubjectDraft("ada", "Ada"))
    assert ada is not None
    assert await granted(ada.id) == [(area.id, frozenset({"live"}))]
    by_hand = GrantDraft(ada.id, ["list"], area_id=area.id)
    await people.create_grant(by_hand, by)
    assert await arrive(*wanted) == ada
    assert len(await granted(ada.id)) == 2
    assert await arrive() == ada
    assert await granted(ada.id) == [(area.id, frozenset({"list"}))]  # by hand
    bob = await people.create_subject(SubjectDraft("bob", "B"), by)
    with pytest.raises(Conflict):
        await identities.link(bob.id, identity, by)
    await identities.unlink(ada.id, by)
    assert await identities.of_subject(ada.id) == []
    assert await arrive() is None


async def test_who_comes_from_a_provider_is_in_the_roles_that_it_says(
    people: People, by: Actor, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    identities, identity = Identities(store), Identity("https://sso.example", "ada-1")
    night = await people.create_role(RoleDraft("night", "夜班"), by)
    day = await people.create_role(RoleDraft("day", "白班"), by)
    await people.create_role(RoleDraft(day.id, "not the day's"), by)
    ada = await people.create_subject(SubjectDraft("ada", "Ada"), by)
    await identities.link(ada.id, identity, by)

    async def arrive(*roles: str) -> set[str]:
        """The roles that she is in then."""
        said = Wanted(roles=frozenset(roles))
        assert await identities.arrive(identity, said, draft=None, remote="") == (
            await people.get_subject(ada.id)
        )
        return await roles_now()

    async def roles_now() -> set[str]:
        async with store.read() as tx:
            members = await tx.roles.all_members()
        return {role_id for role_id, ids in members.items() if ada.id in ids}

    assert await arrive("night", day.id, "nowhere") == {night.id, day.id}
    before = await store.latest_change_seq()
    assert await arrive("night", day.id, night.id) == {night.id, day.id}
    assert await store.latest_change_seq() == before  # twice is as once
    assert await arrive(day.id) == {day.id}
    [change] = await store.changes_since(before)
    assert (change.kind, change.object_id) == (ChangeKind.ROLE, night.id)

    # By hand before the provider says so, and after: both stay.
    await people.add_member(night.id, ada.id, by)
    await people.add_member(day.id, ada.id, by)
    assert await arrive("night", "day") == {night.id, day.id}
    assert await arrive() == {night.id, day.id}
    # Who is taken out by hand is out, and in again at the next sign-in that says so.
    await people.remove_member(day.id, ada.id, by)
    await people.remove_member(night.id, ada.id, by)
    assert await arrive("day") == {day.id}
    await people.remove_member(day.id, ada.id, by)
    assert await roles_now() == set()
    assert await arrive("day") == {day.id}

    monkeypatch.setattr("camera_registry.identity_cases.MAX_MEMBERS", 0)
    assert await arrive("day", "night") == {day.id}  # it has no place left
    monkeypatch.undo()
    assert await arrive("day", "night") == {day.id, night.id}
    await people.delete_role(night.id, by)
    await identities.unlink(ada.id, by)
    assert await roles_now() == set()

    async def audited(act: str) -> list[tuple[str | None, str]]:
        query = AuditQuery(acts=frozenset({act}))
        async with store.read() as tx:
            rows = (await tx.audit.page(query, limit=99, cursor=None)).items
        return [(row.subject_name, str(row.detail["role"])) for row in reversed(rows)]

    hand = by.subject_name
    assert await audited("role_member_add") == [
        ("oidc", "night"),
        ("oidc", "day"),
        (hand, "night"),
        (hand, "day"),
        ("oidc", "day"),
        ("oidc", "day"),
        ("oidc", "night"),
    ]
    assert await audited("role_member_remove") == [
        ("oidc", "night"),
        (hand, "day"),
        (hand, "night"),
        (hand, "day"),
        (hand, "day"),
    ]


async def test_an_older_schema_keeps_neither_who_followed_the_provider_nor_scripts_sign_ins(
    people: People, by: Actor, store: SqlStore
) -> None:
    role = await people.create_role(RoleDraft("night", "夜班"), by)
    ada = await people.create_subject(SubjectDraft("ada", "Ada"), by)
    bob = await people.create_subject(SubjectDraft("bob", "Bob"), by)
    await people.add_member(role.id, bob.id, by)
    async with store.write() as tx:
        assert await tx.roles.add_member(role.id, ada.id, of_provider=True)
        page = SignIn("si_page", "a" * 64, bob.id, NOW, LATER, LATER)
        await tx.sign_ins.add(page)
        script = replace(page, id="si_1", id_hash="token si_1", method=SignInMethod.TOKEN)
        await tx.sign_ins.add(script)
    assert await people.role_members(role.id) == [ada, bob]
    await store.migrate_down("0017")
    await store.migrate()
    assert await people.role_members(role.id) == [bob]
    assert await Credentials(store).sign_ins_of(bob.id) == [page]
    async with store.read() as tx:
        assert await tx.identities.roles(bob.id) == []

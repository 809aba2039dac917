"""Quotas and homes as they are stored, audited and told to those who follow."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, replace

import pytest

from camera_registry import quota_cases
from camera_registry.domain import Actor, ChangeKind, Quota
from camera_registry.drafts import AreaDraft, SubjectDraft
from camera_registry.errors import Conflict, NotFound, ValidationFailed
from camera_registry.feed import ChangeFeed
from camera_registry.people import People
from camera_registry.quotas import QuotaDraft
from camera_registry.service import Registry
from camera_registry.store import AuditQuery, SqlStore
from streamhub.access.facts_cache import FactsCache


def draft_of(quota: Quota) -> QuotaDraft:
    return QuotaDraft(**asdict(quota))


async def rows_of(store: SqlStore, act: str) -> list[dict[str, object]]:
    async with store.read() as tx:
        page = await tx.audit.page(AuditQuery(acts=frozenset({act})), limit=50, cursor=None)
    return [dict(row.detail) | {"area_id": row.area_id} for row in reversed(page.items)]


async def quotas_in(store: SqlStore) -> list[Quota]:
    async with store.read() as tx:
        return await tx.quotas.all()


async def homes_in(store: SqlStore) -> Mapping[str, str]:
    async with store.read() as tx:
        return await tx.quotas.homes()


async def test_a_quota_is_set_changed_and_removed_with_its_rows(
    people: People, registry: Registry, by: Actor, store: SqlStore
) -> None:
    area = await registry.create_area(AreaDraft(None, "district", "110112", "通州"), by)
    ada = await people.create_subject(SubjectDraft("ada", "Ada"), by)
    of_area = Quota(area.id, None, 20, 4_000_000_000, 2, 3_000_000_000)
    of_ada = Quota(None, ada.id, max_views=0)
    for quota in (of_area, of_ada):
        assert await people.put_quota(draft_of(quota), by) == quota
    assert await quotas_in(store) == [of_area, of_ada]
    before = await store.latest_change_seq()
    await people.put_quota(draft_of(of_area), by)
    assert await store.latest_change_seq() == before, "the same again is no change"
    lower = replace(of_area, max_views=5, max_bps=None)
    await people.put_quota(draft_of(lower), by)
    await people.remove_quota(ada.id, by)
    assert await quotas_in(store) == [lower]
    changes = [(each.kind, each.object_id) for each in await store.changes_since(before)]
    assert changes == [(ChangeKind.QUOTA, area.id), (ChangeKind.QUOTA, ada.id)]
    told = await rows_of(store, "quota_set")
    assert [(row["of"], row["max_views"], row["area_id"]) for row in told] == [
        ("通州", 20, area.id),
        ("ada", 0, None),
        ("通州", 5, area.id),
    ]
    assert told[2]["before"] == {
        "max_views": 20,
        "max_bps": 4_000_000_000,
        "kept_views": 2,
        "kept_bps": 3_000_000_000,
    }
    assert [row["of"] for row in await rows_of(store, "quota_remove")] == ["ada"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "quota_empty"),
        ({"max_views": -1}, "out_of_range"),
        ({"max_bps": quota_cases.MAX_BPS + 1}, "out_of_range"),
        ({"kept_views": quota_cases.MAX_VIEWS + 1}, "out_of_range"),
        ({"max_views": 1, "area_id": "ar_none"}, "unknown_area"),
        ({"max_views": 1, "area_id": None, "subject_id": "su_none"}, "unknown_subject"),
    ],
)
async def test_what_is_no_quota_is_refused(
    people: People,
    registry: Registry,
    by: Actor,
    store: SqlStore,
    fields: dict[str, object],
    code: str,
) -> None:
    area = await registry.create_area(AreaDraft(None, "district", "110112", "通州"), by)
    quota = replace(QuotaDraft(area.id, None), **fields)  # type: ignore[arg-type]
    with pytest.raises(ValidationFailed) as refusal:
        await people.put_quota(quota, by)
    assert refusal.value.code == code
    assert await quotas_in(store) == []
    with pytest.raises(NotFound):
        await people.remove_quota(area.id, by)


async def test_what_is_kept_stays_as_the_one_before_has_set_it(
    people: People, registry: Registry, by: Actor, store: SqlStore
) -> None:
    area = await registry.create_area(AreaDraft(None, "district", "110112", "通州"), by)
    await people.put_quota(QuotaDraft(area.id, None, 20), by)
    # Neither knows of the other; they write one after the other.
    await asyncio.gather(
        people.put_quota(QuotaDraft(area.id, None, 20, None, 2, 3_000_000), by),
        people.put_quota(QuotaDraft(area.id, None, 10), by),
    )
    [quota] = await quotas_in(store)
    assert quota == Quota(area.id, None, 10, None, 2, 3_000_000)
    await people.put_quota(QuotaDraft(area.id, None, None, None, kept_views=0), by)
    [quota] = await quotas_in(store)
    assert (quota.kept_views, quota.kept_bps) == (0, 3_000_000)
    with pytest.raises(ValidationFailed) as refusal:
        await people.put_quota(QuotaDraft(area.id, None, kept_bps=0), by)
    assert refusal.value.code == "quota_empty"


async def test_there_are_only_so_many(
    people: People, registry: Registry, by: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quota_cases, "MAX_QUOTAS", 1)
    area = await registry.create_area(AreaDraft(None, "district", "110112", "通州"), by)
    ada = await people.create_subject(SubjectDraft("ada", "Ada"), by)
    await people.put_quota(QuotaDraft(area.id, None, 1), by)
    await people.put_quota(QuotaDraft(area.id, None, 2), by)
    with pytest.raises(Conflict) as refusal:
        await people.put_quota(QuotaDraft(None, ada.id, 1), by)
    assert refusal.value.code == "too_many_quotas"


async def test_a_home_is_said_kept_and_gone_with_its_subject(
    people: People, registry: Registry, by: Actor, store: SqlStore
) -> None:
    area = await registry.create_area(AreaDraft(None, "district", "110112", "通州"), by)
    ada = await people.create_subject(SubjectDraft("ada", "Ada", home_area_id=area.id), by)
    bob = await people.create_subject(SubjectDraft("bob", "Bob"), by)
    await people.update_subject(bob.id, {"home_area_id": area.id}, by)
    await people.update_subject(bob.id, {"home_area_id": area.id}, by)
    assert await homes_in(store) == {ada.id: area.id, bob.id: area.id}
    assert (await people.get_subject(bob.id)).version == bob.version, "nobody is signed out by it"
    with pytest.raises(Conflict) as refusal:
        await registry.delete_area(area.id, by)
    assert refusal.value.code == "area_in_use"
    with pytest.raises(ValidationFailed):
        await people.update_subject(ada.id, {"home_area_id": "ar_none"}, by)
    with pytest.raises(ValidationFailed):
        await people.create_subject(SubjectDraft("eve", "Eve", home_area_id="ar_none"), by)
    with pytest.raises(NotFound):
        await people.update_subject("su_none", {"home_area_id": area.id}, by)
    await people.update_subject(ada.id, {"home_area_id": None}, by)
    await people.delete_subject(bob.id, by)
    assert await homes_in(store) == {}
    told = await rows_of(store, "subject_home")
    assert [(row["username"], row["area_id"], row["before"]) for row in told] == [
        ("ada", area.id, None),
        ("bob", area.id, None),
        ("ada", None, area.id),
    ]


async def test_the_facts_follow_and_a_quota_goes_with_whose_it_was(
    people: People, registry: Registry, by: Actor, store: SqlStore, feed: ChangeFeed
) -> None:
    facts = FactsCache(store, feed)
    await facts.start()
    area = await registry.create_area(AreaDraft(None, "district", "110112", "通州"), by)
    ada = await people.create_subject(SubjectDraft("ada", "Ada", home_area_id=area.id), by)
    quotas = [Quota(area.id, None, 3), Quota(None, ada.id, None, 8_000_000)]
    for quota in quotas:
        await people.put_quota(draft_of(quota), by)
    assert list(facts.current.quotas.values()) == quotas
    assert facts.current.homes == {ada.id: area.id}
    await people.delete_subject(ada.id, by)
    assert list(facts.current.quotas.values()) == quotas[:1]
    assert facts.current.homes == {}
    await registry.delete_area(area.id, by)
    assert facts.current.quotas == {}
    await facts.stop()
    again = FactsCache(store, feed)
    await again.start()
    assert (again.current.quotas, again.current.homes) == ({}, {})
    await again.stop()

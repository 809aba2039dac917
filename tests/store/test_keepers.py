"""Who may know what an account comes with: who made it, or gave it a password or a key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from camera_registry.credential_cases import Credentials
from camera_registry.credentials import ApiKey
from camera_registry.domain import Actor, AuditEntry, Subject
from camera_registry.drafts import SubjectDraft
from camera_registry.people import People
from camera_registry.store import SqlStore, open_store

from .conftest import Place

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
HERE = Actor(None, "local:root")


def a_key(of: Subject, number: int) -> ApiKey:
    later = NOW + timedelta(days=1)
    return ApiKey(f"ak_{number}", f"{number:064}", "shk_", of.id, "x", None, None, NOW, later)


def actor(subject: Subject) -> Actor:
    return Actor(subject.id, subject.username)


async def kept_by(store: SqlStore, *subjects: Subject) -> list[frozenset[str]]:
    async with store.read() as tx:
        found = await tx.subjects.keepers([each.id for each in subjects])
    return [found.get(each.id, frozenset()) for each in subjects]


async def test_programs_are_kept_and_people_by_who_made_keys_for_them(place: Place) -> None:
    store = await open_store(place.at)
    people, credentials = People(store), Credentials(store)

    async def made(username: str, kind: str, by: Actor) -> Subject:
        return await people.create_subject(SubjectDraft(username, username, kind), by)

    ada, bob = await made("ada", "person", HERE), await made("bob", "person", HERE)
    hub = await made("hub", "service", actor(ada))
    await people.set_password_hash(hub.id, "x", actor(bob))
    await people.set_password_hash(bob.id, "x", actor(ada))  # they choose their own
    await people.set_password_hash(hub.id, "x", actor(hub))
    for number, (of, by) in enumerate(((ada, actor(ada)), (bob, actor(ada)), (hub, HERE))):
        await credentials.add_key(a_key(of, number), by)
    await credentials.revoke_key(bob.id, "ak_1", HERE)
    kept = [frozenset(), {ada.id}, {ada.id, bob.id, "local:root"}]
    assert await kept_by(store, ada, bob, hub) == kept

    # By the log, where they were not written down yet.
    odd = AuditEntry("subject_create", "ok", subject_name="x", detail={"id": ["no id"]})
    await store.append_audit(odd)
    await store.migrate_down("0016")
    await store.migrate()
    assert await kept_by(store, ada, bob, hub) == kept

    # A program that makes another is kept, and whoever keeps it knows both.
    sub = await made("sub", "service", actor(hub))
    assert await kept_by(store, sub) == [{hub.id, ada.id, bob.id, "local:root"}]
    await people.delete_subject(hub.id, HERE)
    assert await kept_by(store, hub) == [frozenset()]
    await store.close()

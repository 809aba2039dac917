"""Both stores order, find and refuse text alike."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from camera_registry.credentials import SignIn
from camera_registry.domain import ChangeKind, Device, Subject, SubjectKind, new_id
from camera_registry.errors import Conflict
from camera_registry.store import SqlStore

NOW = datetime.now(UTC)
NAMES = [
    "10%",
    "1_0",
    "B路",
    "_x",
    "a\\b",
    "ab",
    "b",
    "É",
    "Ünder",
    "é",
    "ü",
    "Ω",
    "中仓",
    "阿",
    "😀",
]


async def add_devices(store: SqlStore) -> None:
    async with store.write() as tx:
        await tx.bulk_add(
            devices=[
                (Device(f"de_{number}", name, "192.0.2.1", 554), None)
                for number, name in enumerate(reversed(NAMES))
            ]
        )


async def found(store: SqlStore, q: str) -> list[str]:
    async with store.read() as tx:
        page = await tx.devices.page(q=q, limit=50, cursor=None)
    assert page.total == len(page.items)
    return [device.name for device in page.items]


async def test_names_stand_in_the_order_of_their_code_points_page_by_page(store: SqlStore) -> None:
    await add_devices(store)
    seen, cursor = [], None
    while True:
        async with store.read() as tx:
            page = await tx.devices.page(q=None, limit=2, cursor=cursor)
        seen += [device.name for device in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == sorted(NAMES) == NAMES


@pytest.mark.parametrize(
    ("q", "names"),
    [
        ("AB", ["ab"]),
        ("b", ["B路", "a\\b", "ab", "b"]),
        ("É", ["É"]),  # letters beyond A to Z are as they are
        ("ω", []),
        ("%", ["10%"]),
        ("_", ["1_0", "_x"]),
        ("\\", ["a\\b"]),
        ("\\b", ["a\\b"]),
        ("1\\_", []),
        ("仓", ["中仓"]),
        ("😀", ["😀"]),
        ("'; --", []),
        ("a\0b", []),
    ],
)
async def test_a_search_takes_letters_in_either_case_and_signs_as_they_are(
    store: SqlStore, q: str, names: list[str]
) -> None:
    await add_devices(store)
    assert await found(store, q) == names


async def test_what_nobody_can_be_called_is_not_found(store: SqlStore) -> None:
    async with store.read() as tx:
        assert await tx.subjects.by_username("ada\0") is None
        assert await tx.channels.get("x" * 5_000) is None


async def test_a_sign_in_from_anywhere_is_kept(store: SqlStore) -> None:
    ada = Subject(new_id("su"), "ada", "Ada", SubjectKind.PERSON)
    async with store.write() as tx:
        await tx.subjects.add(ada)
        await tx.sign_ins.add(SignIn("si_a", "a" * 64, ada.id, NOW, NOW, NOW, "y\0" * 500))
    async with store.read() as tx:
        kept = await tx.sign_ins.get("si_a")
    assert kept is not None
    assert kept.remote == "y\N{REPLACEMENT CHARACTER}" * 32


async def test_a_unit_of_work_may_go_on_after_a_conflict(store: SqlStore) -> None:
    async with store.write() as tx:
        await tx.subjects.add(Subject("su_1", "ada", "Ada", SubjectKind.PERSON))
        with pytest.raises(Conflict, match="taken"):
            await tx.subjects.add(Subject("su_2", "ada", "Ada", SubjectKind.PERSON))
        await tx.subjects.add(Subject("su_3", "bob", "Bob", SubjectKind.PERSON))
    async with store.read() as tx:
        assert [who.username for who in await tx.subjects.all()] == ["ada", "bob"]
    kinds = [(change.kind, change.object_id) for change in await store.changes_since(0)]
    assert kinds == [(ChangeKind.SUBJECT, "su_1"), (ChangeKind.SUBJECT, "su_3")]

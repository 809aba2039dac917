"""Another process at the same registry: `registry_child.py PLACE COMMAND [N] [NAME]`.

open: migrate and leave · audit N NAME: N audit rows, one commit each · subjects N NAME: N
subjects with an audit row each · hold: writes inside a unit of work, says "in", and stays there
until a line comes or it is killed.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from camera_registry.domain import AuditEntry, Subject, SubjectKind, new_id
from camera_registry.secret import Secret
from camera_registry.store import SqlStore, open_store


def entry(name: str, number: int) -> AuditEntry:
    return AuditEntry("child_act", "ok", subject_name=name, detail={"n": number})


async def audit(store: SqlStore, count: int, name: str) -> None:
    for number in range(count):
        await store.append_audit(entry(name, number))


async def subjects(store: SqlStore, count: int, name: str) -> None:
    for number in range(count):
        async with store.write() as tx:
            await tx.subjects.add(
                Subject(new_id("su"), f"{name}{number}", name, SubjectKind.PERSON)
            )
            await tx.audit.append(entry(name, number))


async def hold(store: SqlStore) -> None:
    async with store.write() as tx:
        await tx.subjects.add(Subject(new_id("su"), "half", "half", SubjectKind.PERSON))
        await tx.audit.append(entry("half", 0))
        print("in", flush=True)
        await asyncio.to_thread(sys.stdin.readline)


async def main(place: str, command: str, count: str = "0", name: str = "") -> None:
    store = await open_store(Secret(place) if "://" in place else Path(place))
    try:
        if command == "audit":
            await audit(store, int(count), name)
        elif command == "subjects":
            await subjects(store, int(count), name)
        elif command == "hold":
            await hold(store)
    finally:
        await store.close()


asyncio.run(main(*sys.argv[1:]))

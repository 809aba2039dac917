"""Seeds the demo district into an empty registry, or points an existing demo at its farm again.

`demo_plan` says what is in it, `demo_places` where. Only the demo command calls this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from .demo_places import DISTRICT_CODE, STREETS
from .demo_plan import Farm, area_id, demo_id, make_plan, street_code
from .domain import ACTIONS, AuditEntry, Grant, Subject, SubjectKind
from .errors import DemoRefused, SealBroken
from .secret import Secret
from .store.contract import ChannelQuery, Store, WriteTx
from .units import utc_now
from .vault import Vault

META_DEMO: Final = "demo_version"
DEMO_VERSION: Final = "1"
WATCH: Final = frozenset({"list", "live", "snapshot"})


@dataclass(frozen=True, slots=True)
class DemoAccount:
    username: str
    display_name: str
    kind: SubjectKind
    actions: frozenset[str]
    area_code: str


DEMO_ACCOUNTS: Final = (
    DemoAccount("admin", "区平台管理员", SubjectKind.PERSON, ACTIONS, DISTRICT_CODE),
    *(
        DemoAccount(
            street.username,
            f"{street.name}网格操作员",
            SubjectKind.PERSON,
            WATCH,
            street_code(index),
        )
        for index, street in enumerate(STREETS)
    ),
    # Whoever exports the log needs a second person, who has the right to read it.
    DemoAccount(
        "auditor", "区审计员", SubjectKind.PERSON, frozenset({"list", "audit"}), DISTRICT_CODE
    ),
    # A sub-platform that calls the API by itself; it serves 永顺镇.
    DemoAccount("grid-service", "永顺镇网格子平台", SubjectKind.SERVICE, WATCH, street_code(5)),
)


@dataclass(frozen=True, slots=True)
class DemoSummary:
    areas: int
    devices: int
    channels: int
    subjects: int
    created: bool  # False: it was there already
    repointed: bool  # True: it was there, with another farm address or password
    sign_ins: tuple[tuple[str, str], ...]  # (username, display name)


async def seed_demo(
    store: Store,
    vault: Vault,
    *,
    farm_host: str,
    farm_port: int,
    farm_username: str,
    farm_password: Secret,
    passwords: Callable[[str], str],
) -> DemoSummary:
    """Makes the district, its 3,000 channels and the demo accounts, all in one commit.

    `passwords(username)` gives an argon2 hash; it is slow and runs in a thread, once for each
    account. A second call changes nothing, except that a farm with another address or password
    is followed. Raises DemoRefused on a registry that holds anything else.
    """
    farm = Farm(farm_host, farm_port, farm_username)
    seeded = await _is_demo(store)
    hashes: dict[str, str] = {}
    if not seeded:
        hashes = await asyncio.to_thread(
            lambda: {account.username: passwords(account.username) for account in DEMO_ACCOUNTS}
        )
    plan = await asyncio.to_thread(make_plan, farm)
    repointed = False
    if seeded:
        repointed = await _repoint(store, vault, farm, farm_password)
    else:
        sealed = await asyncio.to_thread(
            lambda: [(device, vault.seal(device.id, farm_password)) for device in plan.devices]
        )
        now = utc_now()
        async with store.write() as tx:
            await _require_empty(tx)  # again: another process may have been quicker
            await tx.bulk_add(
                areas=plan.areas,
                devices=sealed,
                channels=plan.channels,
                subjects=[(_subject(who), hashes[who.username]) for who in DEMO_ACCOUNTS],
                grants=[_grant(who, now) for who in DEMO_ACCOUNTS],
                homes={
                    demo_id("su", who.username): area_id(who.area_code) for who in DEMO_ACCOUNTS
                },
            )
            await tx.set_meta(META_DEMO, DEMO_VERSION)
            await _record(tx, "demo_seeded", farm, len(plan.channels))
    async with store.read() as tx:
        # A demo of before may lack the newest of them.
        there = {subject.username for subject in await tx.subjects.all()}
    accounts = [account for account in DEMO_ACCOUNTS if account.username in there]
    return DemoSummary(
        areas=len(plan.areas),
        devices=len(plan.devices),
        channels=len(plan.channels),
        subjects=len(accounts),
        created=not seeded,
        repointed=repointed,
        sign_ins=tuple((account.username, account.display_name) for account in accounts),
    )


async def _is_demo(store: Store) -> bool:
    async with store.read() as tx:
        return await tx.meta(META_DEMO) is not None


async def _require_empty(tx: WriteTx) -> None:
    held = (
        bool(await tx.areas.all())
        or bool(await tx.subjects.all())
        or (await tx.devices.page(q=None, limit=1, cursor=None)).total > 0
        or (await tx.channels.page(ChannelQuery(), limit=1, cursor=None)).total > 0
    )
    if held:
        raise DemoRefused(
            "This registry holds something already, and it is not the demo. "
            "Give the demo a data directory of its own."
        )


async def _repoint(store: Store, vault: Vault, farm: Farm, password: Secret) -> bool:
    """Follows a farm that moved: devices become the plan's again, of channels only the URLs do."""
    plan = await asyncio.to_thread(make_plan, farm)
    numbers = {channel.id: n for n, channel in enumerate(plan.channels, 1)}
    async with store.write() as tx:
        first = await tx.devices.get(plan.devices[0].id)
        if first is not None:
            sealed = await tx.devices.sealed_password(first.id)
            same_place = (first.host, first.port, first.username) == (
                farm.host,
                farm.port,
                farm.username,
            )
            if same_place and sealed is not None and _opens(vault, first.id, sealed, password):
                return False
        channels = [channel for channel in await tx.channels.all() if channel.id in numbers]
        present = {channel.device_id for channel in channels}
        await tx.bulk_update(
            devices=[
                (device, vault.seal(device.id, password))
                for device in plan.devices
                if device.id in present
            ],
            channels=[
                replace(
                    channel,
                    main_url=farm.main_url(numbers[channel.id]),
                    sub_url=farm.url(numbers[channel.id], "sub"),
                )
                for channel in channels
            ],
        )
        await _record(tx, "demo_repointed", farm, len(channels))
    return True


def _opens(vault: Vault, device_id: str, sealed: bytes, password: Secret) -> bool:
    try:
        return vault.open(device_id, sealed) == password
    except SealBroken:
        return False


async def _record(tx: WriteTx, act: str, farm: Farm, channels: int) -> None:
    await tx.audit.append(
        AuditEntry(
            act=act,
            outcome="ok",
            subject_name="system",
            area_id=area_id(DISTRICT_CODE),
            detail={"channels": channels, "farm": f"{farm.host}:{farm.port}"},
        )
    )


def _subject(account: DemoAccount) -> Subject:
    return Subject(
        demo_id("su", account.username), account.username, account.display_name, account.kind
    )


def _grant(account: DemoAccount, now: datetime) -> Grant:
    return Grant(
        id=demo_id("gr", account.username),
        subject_id=demo_id("su", account.username),
        actions=account.actions,
        area_id=area_id(account.area_code),
        channel_id=None,
        valid_from=now,
        valid_until=None,
        created_at=now,
    )

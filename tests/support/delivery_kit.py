"""A delivery room in memory for unit tests: fake core, fake store, real guard, router and views."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from camera_registry.domain import (
    Area,
    AreaKind,
    AuditEntry,
    AuditRow,
    Channel,
    DeviceClass,
    Grant,
    Page,
    Purpose,
    Stated,
    Subject,
    SubjectKind,
)
from camera_registry.secret import Secret
from camera_registry.store.contract import Store
from gateways.decode import Picture
from gateways.rtsp import prepare
from streamhub.access.audit import AuditLog
from streamhub.access.facts import Facts, StaticFacts
from streamhub.access.facts_cache import FactsChange
from streamhub.access.guard import Guard
from streamhub.access.permit import Permit
from streamhub.access.principal import Action, Principal, channel
from streamhub.delivery import Delivery, DeliverySettings
from streamhub.media.fake import FakeCore
from streamhub.media.pump import EventPump
from streamhub.router import LocalPlacement, Router, RouterSettings

OFFER = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 H264/90000\r\n"
START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


class VirtualTime:
    """One clock for all: `wall` for leases, `monotonic` for routes."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0

    def wall(self) -> datetime:
        return START + timedelta(seconds=self.elapsed_s)

    def unix(self) -> float:
        return self.wall().timestamp()

    def monotonic(self) -> float:
        return self.elapsed_s


@dataclass(frozen=True)
class FakeAddress:
    url: str = "rtsp://camera.example/sub"
    username: str | None = "admin"
    password: Secret | None = field(default_factory=lambda: Secret("letmein"))


class NotThere(Exception):
    code = "not_found"


class FakeAddresses:
    """An address book that counts, and can be made to fail."""

    def __init__(self) -> None:
        self.address: FakeAddress | None = FakeAddress()
        self.lookups = 0

    async def spec_for(self, channel_id: str, profile: str) -> FakeAddress:
        self.lookups += 1
        await asyncio.sleep(0)
        if self.address is None:
            raise NotThere
        return self.address


class FakeTicketPurposes:
    """What tickets were asked for, by ticket and channel."""

    def __init__(self) -> None:
        self.said: dict[tuple[str, str], Stated] = {}

    async def get(self, ticket_id: str, channel_id: str) -> Stated | None:
        return self.said.get((ticket_id, channel_id))


class FakeStore:
    """Keeps audit rows in memory; `broken` makes every write fail, `gate` holds them back."""

    def __init__(self) -> None:
        self.rows: list[AuditRow] = []
        self.broken = False
        self.gate: asyncio.Event | None = None
        self.ticket_purposes = FakeTicketPurposes()

    async def append_audit(self, entry: AuditEntry) -> AuditRow:
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(0)
        if self.broken:
            raise OSError("the disk is full")
        row = AuditRow(
            seq=len(self.rows) + 1,
            at=START,
            subject_id=entry.subject_id,
            subject_name=entry.subject_name,
            as_role=entry.as_role,
            remote=entry.remote,
            act=entry.act,
            channel_id=entry.channel_id,
            area_id=entry.area_id,
            outcome=entry.outcome,
            detail=dict(entry.detail),
            prev_hash="",
            hash="",
        )
        self.rows.append(row)
        return row

    @asynccontextmanager
    async def read(self) -> AsyncIterator[FakeStore]:
        yield self

    @property
    def audit(self) -> FakeStore:
        return self

    async def page(self, query: object, *, limit: int, cursor: str | None) -> Page[AuditRow]:
        newest_first = self.rows[::-1]
        start = int(cursor or 0)
        items = newest_first[start : start + limit]
        more = start + limit < len(newest_first)
        return Page(items, str(start + limit) if more else None, len(newest_first))

    def acts(self) -> list[str]:
        return [row.act for row in self.rows if row.act != "service_started"]

    def last(self, act: str) -> AuditRow:
        return [row for row in self.rows if row.act == act][-1]


class FakeDecoder:
    """Decodes anything into a JPEG of three bytes, and counts; `gate` holds pictures back."""

    def __init__(self) -> None:
        self.calls = 0
        self.gate: asyncio.Event | None = None
        self.codec: str | None = None
        self.fail: Exception | None = None

    async def decode(self, annexb: bytes, *, codec: str, timeout_s: float) -> Picture:
        self.calls += 1
        self.codec = codec
        await asyncio.sleep(0)
        if self.gate is not None:
            await self.gate.wait()
        if self.fail is not None:
            raise self.fail
        return Picture(b"jpg", 640, 360)


@dataclass
class Kit:
    """The room with all that is around it."""

    time: VirtualTime
    core: FakeCore
    store: FakeStore
    facts: StaticFacts
    guard: Guard
    addresses: FakeAddresses
    decoder: FakeDecoder
    router: Router
    delivery: Delivery

    def permit(
        self, channel_id: str = "ch_1", action: Action = Action.LIVE, subject: str = "su_op"
    ) -> Permit:
        who = Principal(subject, subject, "192.0.2.9", "bearer", 1)
        return self.guard.require(who, action, channel(channel_id))

    async def open(self, channel_id: str = "ch_1", profile: str = "sub") -> str:
        opened = await self.delivery.whep.open(self.permit(channel_id), OFFER, profile)
        return opened.view_id

    async def open_live(self, channel_id: str = "ch_1") -> str:
        view_id = await self.open(channel_id)
        await self.quiet()
        self.core.connect_viewer(view_id)
        await self.quiet()
        return view_id

    def change(self, **facts: Any) -> FactsChange:
        self.facts.set(some_facts(**facts))
        return FactsChange(2, frozenset({"grant"}), frozenset({"gr_1"}))

    def pass_time(self, seconds: float) -> None:
        self.time.elapsed_s += seconds
        self.core.tick()
        self.router.tick()

    async def quiet(self) -> None:
        """Let everything run that can run without time passing."""
        for _ in range(40):
            await asyncio.sleep(0)


def some_facts(
    *,
    actions: frozenset[str] = frozenset({"list", "live", "snapshot"}),
    valid_until: datetime | None = None,
    enabled: bool = True,
    channels: int = 3,
    purposes: Sequence[Purpose] = (),
    purpose_required: bool = False,
) -> Facts:
    return Facts.build(
        areas=[Area("ar_1", None, AreaKind.DISTRICT, "110112", "District")],
        channels=[
            Channel(
                f"ch_{n}",
                f"de_{n}",
                "ar_1",
                f"{n:020}",
                f"Camera {n}",
                DeviceClass.ALLEY,
                "rtsp://camera.example/main",
                "rtsp://camera.example/sub" if n != 3 else None,
                enabled=enabled,
            )
            for n in range(1, channels + 1)
        ],
        subjects=[Subject("su_op", "su_op", "Operator", SubjectKind.PERSON)],
        grants=[
            Grant(
                "gr_1",
                "su_op",
                actions,
                "ar_1",
                None,
                START - timedelta(days=1),
                valid_until,
                START - timedelta(days=1),
                purpose_required=purpose_required,
            )
        ],
        purposes=purposes,
    )


@asynccontextmanager
async def a_room(
    *,
    settings: DeliverySettings | None = None,
    router_settings: RouterSettings | None = None,
    store: FakeStore | None = None,
    facts: Facts | None = None,
) -> AsyncIterator[Kit]:
    time = VirtualTime()
    core = FakeCore(clock=time.unix)
    source = StaticFacts(facts or some_facts())
    guard = Guard(source, now=time.wall)
    store = store or FakeStore()
    addresses, decoder = FakeAddresses(), FakeDecoder()
    router = Router(
        LocalPlacement(core),
        addresses,
        prepare=prepare,
        settings=router_settings,
        clock=time.monotonic,
        jitter=lambda: 0.0,
    )
    as_store = cast(Store, store)
    delivery = Delivery(
        core=core,
        pump=EventPump(core),
        router=router,
        guard=guard,
        facts=source,
        audit=AuditLog(as_store),
        store=as_store,
        decoder=decoder,
        settings=settings,
        now=time.wall,
    )
    await delivery.start()
    kit = Kit(time, core, store, source, guard, addresses, decoder, router, delivery)
    try:
        yield kit
    finally:
        store.broken, store.gate = False, None
        await delivery.shutdown(1000)

"""The composition root: builds each object once, in one lifespan, and takes it down in order.

May import everything; nobody but the command line imports it.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from camera_registry.feed import ChangeFeed
from camera_registry.people import People
from camera_registry.service import Registry
from camera_registry.store import open_store
from camera_registry.vault import open_vault
from gateways.decode.pool import DecodePool
from gateways.rtsp.prepare import prepare
from streamhub.access.audit import AuditLog, RefusalLog
from streamhub.access.facts_cache import FactsCache
from streamhub.access.guard import Guard, Refusal, utc_now
from streamhub.access.passwords import Passwords
from streamhub.access.principal import Principal
from streamhub.access.rate_limit import SignInLimiter
from streamhub.access.sign_in import SignIns
from streamhub.access.tokens import Tokens, load_key
from streamhub.api.http import make_api
from streamhub.api.metrics import Metrics
from streamhub.api.rights import PRINCIPAL_SCOPE
from streamhub.api.services import Services
from streamhub.delivery import Delivery
from streamhub.media.contract import MediaCore
from streamhub.media.fake import FakeCore
from streamhub.media.native import NativeCore
from streamhub.media.pump import EventPump
from streamhub.router import LocalPlacement, Router, RouterSettings
from streamhub.settings import Settings

# Of the 3 s in which the service leaves, viewers and the core get this; the rest is for requests
# under way, the decode worker and the store.
GOODBYE_MS = 1_500


def build_app(
    settings: Settings, *, core: MediaCore | None = None, with_media: bool = True
) -> FastAPI:
    """The application; its lifespan builds everything. `core` is given by tests. Without media
    (the command line, when no service runs) there are no doors, only the registry."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            services = await _build(settings, stack, core=core, with_media=with_media)
            delivery = services.delivery
            app.state.goodbye = None if delivery is None else Goodbye(delivery)
            app.state.services = services
            try:
                yield
            finally:
                await say_goodbye(app)

    return make_api(lifespan=lifespan, whep_origins=settings.http.whep_origins)


async def say_goodbye(app: FastAPI) -> None:
    """End all views now: viewers hear it, event streams end, audit rows close. The lifespan does
    it too, after the servers; a second time costs nothing."""
    goodbye: Goodbye | None = app.state.goodbye
    if goodbye is not None:
        await goodbye()


class Goodbye:
    """Shuts the doors once, however many ask."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._task: asyncio.Task[None] | None = None

    async def __call__(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._delivery.shutdown(GOODBYE_MS), name="goodbye")
        await asyncio.shield(self._task)


class LocalOperatorApp:
    """The same application for whoever may open the control socket: the local operator."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._principal = Principal.local(_os_user())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, PRINCIPAL_SCOPE: self._principal}
        await self._app(scope, receive, send)


async def _build(
    settings: Settings, stack: AsyncExitStack, *, core: MediaCore | None, with_media: bool
) -> Services:
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = await open_store(settings.registry_path)
    stack.push_async_callback(store.close)
    vault = await open_vault(store, settings.vault_key_path)
    feed = ChangeFeed(store)
    await feed.start()
    stack.push_async_callback(feed.stop)
    registry = Registry(store, vault, feed)
    await registry.start()
    stack.push_async_callback(registry.stop)
    facts = FactsCache(store, feed)
    await facts.start()
    stack.push_async_callback(facts.stop)

    metrics = Metrics()
    refusals = RefusalLog(store, time.monotonic)
    refusals.start()
    stack.push_async_callback(refusals.stop)

    def refused(refusal: Refusal) -> None:
        metrics.refusals.labels(refusal.action.value, refusal.reason).inc()
        refusals.note(refusal)

    guard = Guard(facts, on_refusal=refused)
    audit = AuditLog(store)
    passwords = Passwords()
    sign_ins = SignIns(
        store=store,
        facts=facts,
        passwords=passwords,
        tokens=Tokens(await asyncio.to_thread(load_key, settings.data_dir), utc_now),
        limiter=SignInLimiter(time.monotonic),
        now=utc_now,
    )
    facts.on_change(sign_ins.facts_changed)

    delivery = None
    if with_media:
        core = core or _core(settings)
        delivery = await _deliver(
            settings, stack, core, registry=registry, guard=guard, facts=facts, audit=audit
        )
        metrics.add_figures(delivery.figures)
        metrics.add_figures(lambda: _core_figures(core))
    return Services(
        store=store,
        registry=registry,
        people=People(store, feed),
        facts=facts,
        guard=guard,
        sign_ins=sign_ins,
        passwords=passwords,
        audit=audit,
        metrics=metrics,
        delivery=delivery,
        now=utc_now,
    )


async def _deliver(
    settings: Settings,
    stack: AsyncExitStack,
    core: MediaCore,
    *,
    registry: Registry,
    guard: Guard,
    facts: FactsCache,
    audit: AuditLog,
) -> Delivery:
    decoder = DecodePool()
    stack.push_async_callback(decoder.close)
    router = Router(
        LocalPlacement(core),
        registry,
        prepare=prepare,
        settings=RouterSettings(
            idle_close_s=settings.media.idle_close_s, **settings.dial.model_dump()
        ),
    )
    delivery = Delivery(
        core=core,
        pump=EventPump(core),
        router=router,
        guard=guard,
        facts=facts,
        audit=audit,
        store=facts.store,
        decoder=decoder,
    )
    await delivery.start()
    facts.on_change(delivery.facts_changed)
    return delivery


def _core(settings: Settings) -> MediaCore:
    if settings.media.core == "fake":
        return FakeCore()
    host = settings.media.udp_host
    if ":" in host:
        host = f"[{host}]"
    return NativeCore(
        udp_bind=f"{host}:{settings.media.udp_port}",
        tcp_port=settings.media.tcp_port if settings.media.tcp else None,
        advertise=settings.media.advertise,
    )


def _core_figures(core: MediaCore) -> dict[str, int | float]:
    stats = core.stats()
    figures: dict[str, int | float] = {"core_sources": stats.sources, "core_viewers": stats.viewers}
    for name, value in stats.counters.items():
        figures[f"core_{name}_total"] = value
    return figures


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())

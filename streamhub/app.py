"""The composition root: builds each object once, in one lifespan, and takes it down in order.

May import everything; nobody but the command line imports it.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from camera_registry.assignment import Assignment
from camera_registry.audit.keeper import AuditKeeper
from camera_registry.audit.keys import open_audit_key
from camera_registry.audit.roots import RootFiles
from camera_registry.credential_cases import Credentials
from camera_registry.export_cases import ExportRequests
from camera_registry.feed import ChangeFeed
from camera_registry.filing import Filings
from camera_registry.first_start import FirstStart
from camera_registry.identity_cases import Identities
from camera_registry.imports import Imports, WorkerChecker
from camera_registry.inspection.cases import InspectionCases
from camera_registry.loan_cases import Loans
from camera_registry.people import People
from camera_registry.service import Registry
from camera_registry.store import open_store
from camera_registry.vault import open_vault
from camera_registry.webhooks import Webhooks
from gateways.decode.pool import DecodePool
from gateways.rtsp.inspect_pool import LookPool
from gateways.rtsp.prepare import prepare
from streamhub.access.api_keys import ApiKeys
from streamhub.access.audit import AuditLog, RefusalLog
from streamhub.access.facts_cache import FactsCache
from streamhub.access.guard import Guard, Refusal, utc_now
from streamhub.access.passwords import Passwords
from streamhub.access.principal import Principal
from streamhub.access.rate_limit import SignInLimiter
from streamhub.access.second_factor import SecondFactors
from streamhub.access.setup import Setup
from streamhub.access.sign_in import SignIns
from streamhub.access.tickets import Tickets, ticket_key
from streamhub.access.tokens import Tokens, load_key
from streamhub.api.http import make_api
from streamhub.api.metrics import Metrics
from streamhub.api.rights import PRINCIPAL_SCOPE
from streamhub.api.services import Services
from streamhub.delivery import Delivery, DeliverySettings
from streamhub.discovery import Discovery
from streamhub.events.couriers import Couriers, sender_maker
from streamhub.events.devices import DeviceEars
from streamhub.events.hub import EventHub
from streamhub.inspection import Inspector, Tools
from streamhub.media.contract import CoreUnavailable, IdentityRefused, MediaCore
from streamhub.media.fake import FakeCore
from streamhub.media.pump import EventPump
from streamhub.media.pycore import open_pycore
from streamhub.oidc.flow import OidcSignIn
from streamhub.oidc.provider import Provider
from streamhub.router import LocalPlacement, Router, RouterSettings
from streamhub.settings import Settings
from streamhub.steering import Steering

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
            app.state.goodbye = None if delivery is None else Goodbye(delivery, services.events)
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

    def __init__(self, delivery: Delivery, events: EventHub) -> None:
        self._delivery = delivery
        self._events = events
        self._task: asyncio.Task[None] | None = None

    async def __call__(self) -> None:
        if self._task is None:
            self._events.close_listeners()
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
    store = await open_store(settings.registry_place)
    stack.push_async_callback(store.close)
    vault = await open_vault(store, settings.vault_key_path)
    feed = ChangeFeed(store)
    await feed.start()
    stack.push_async_callback(feed.stop)
    registry = Registry(store, vault, feed)
    await registry.start()
    stack.push_async_callback(registry.stop)
    forms_dir = settings.data_dir / "forms"
    imports = Imports(
        store,
        vault,
        feed,
        WorkerChecker(settings.registry_place, settings.vault_key_path, forms_dir),
        site_dir=forms_dir,
    )
    await imports.start()
    stack.push_async_callback(imports.stop)
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
    allow_local = settings.webhooks.allow_local
    webhooks = Webhooks(store, vault, feed, allow_local=allow_local)
    audit = AuditLog(store)
    keeper = AuditKeeper(
        store,
        await asyncio.to_thread(open_audit_key, settings.audit_key_path),
        RootFiles(settings.audit_roots_dir),
        keep_days=settings.audit.keep_days,
        tell=webhooks.queue_root,
    )
    passwords = Passwords(min_chars=settings.sign_in.password_min_chars)
    limiter = SignInLimiter(time.monotonic)
    second_factors = SecondFactors(
        store=store, feed=feed, vault=vault, limiter=limiter, now=utc_now
    )
    token_key = await asyncio.to_thread(load_key, settings.data_dir)
    rtsp_key = ticket_key(token_key)
    sign_ins = SignIns(
        store=store,
        feed=feed,
        facts=facts,
        departed=facts.departed,
        passwords=passwords,
        tokens=Tokens(token_key, utc_now),
        second_factors=second_factors,
        limiter=limiter,
        now=utc_now,
        lasts_at_most=timedelta(days=settings.sign_in.max_days),
    )
    setup = Setup(FirstStart(store, feed), passwords, limiter)
    if with_media:
        await setup.start()

    credentials = Credentials(store, feed)
    identities = Identities(store, feed)
    oidc = None
    if settings.oidc.issuer is not None:
        provider = Provider(settings.oidc)
        stack.push_async_callback(provider.close)
        oidc = OidcSignIn(
            settings.oidc,
            provider,
            sign_ins=sign_ins,
            identities=identities,
            store=store,
            vault=vault,
            limiter=limiter,
            now=utc_now,
        )
    couriers = Couriers(webhooks, facts, sender_maker(allow_local=allow_local))
    events = EventHub(store, facts)

    delivery = discovery = steering = ears = None
    if with_media:
        discovery = Discovery(store, vault, imports)
        await discovery.start()
        stack.push_async_callback(discovery.stop)
        core = core or _core(settings, rtsp_key)
        delivery = await _deliver(
            settings,
            stack,
            core,
            registry=registry,
            guard=guard,
            facts=facts,
            audit=audit,
            events=events,
            sign_ins=sign_ins,
            refusals=refusals,
        )
        steering = Steering(book=registry, guard=guard, facts=facts, audit=audit)
        stack.push_async_callback(steering.stop_all)
        facts.on_change(steering.facts_changed)
        await keeper.start(delivery.oldest_view)
        stack.push_async_callback(keeper.stop)
        await _tell_outward(stack, facts, events, couriers)
        ears = DeviceEars(registry, facts, events.device_said)
        await ears.start()
        stack.push_async_callback(ears.stop)
        facts.on_change(ears.facts_changed)
        metrics.add_figures(ears.figures)
        metrics.add_figures(couriers.figures)
        metrics.add_figures(delivery.figures)
        metrics.add_figures(lambda: _core_figures(core))
    inspections = InspectionCases(store)
    inspector = Inspector(
        inspections,
        registry,
        make_tools=lambda: Tools(LookPool(), DecodePool()),
        live_dials=dict if delivery is None else delivery.dials_by_device,
        on_card=events.inspected,
    )
    # Without a service a command dials only what it was asked to.
    await inspector.start(resume=with_media)
    stack.push_async_callback(inspector.stop)
    return Services(
        store=store,
        feed=feed,
        registry=registry,
        imports=imports,
        filings=Filings(store, feed),
        assignment=Assignment(store, feed),
        inspections=inspections,
        inspector=inspector,
        people=People(store, feed),
        loans=Loans(store, feed, **settings.loans.model_dump()),
        credentials=credentials,
        second_factors=second_factors,
        identities=identities,
        oidc=oidc,
        api_keys=ApiKeys(
            credentials,
            store=store,
            feed=feed,
            facts=facts,
            departed=facts.departed,
            vault=vault,
            now=utc_now,
            max_days=settings.sign_in.key_max_days,
        ),
        webhooks=webhooks,
        couriers=couriers,
        events=events,
        facts=facts,
        guard=guard,
        sign_ins=sign_ins,
        setup=setup,
        passwords=passwords,
        audit=audit,
        refusals=refusals,
        audit_keeper=keeper,
        export_requests=ExportRequests(store, feed, clock=utc_now),
        tickets=Tickets(rtsp_key, max_valid_s=settings.rtsp.ticket_max_s),
        metrics=metrics,
        delivery=delivery,
        discovery=discovery,
        steering=steering,
        ears=ears,
        now=utc_now,
        forms_dir=forms_dir,
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
    events: EventHub,
    sign_ins: SignIns,
    refusals: RefusalLog,
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
    router.on_change(lambda stream_id: events.route_changed(router.route(stream_id)))
    max_mbps = settings.capacity.max_mbps
    delivery = Delivery(
        core=core,
        pump=EventPump(core),
        router=router,
        guard=guard,
        facts=facts,
        audit=audit,
        store=facts.store,
        decoder=decoder,
        settings=DeliverySettings(
            max_views=settings.capacity.max_views,
            max_bps=None if max_mbps is None else round(max_mbps * 1e6),
            max_rtsp_views_per_subject=settings.rtsp.max_views_per_subject,
            rtsp_advertise=settings.rtsp.advertise,
            rtsps_advertise=settings.rtsp.tls_advertise,
        ),
        keep_sign_ins=sign_ins.keep,
        departed=facts.departed,
        note_bad=refusals.note_credential,
    )
    await delivery.start()
    facts.on_change(delivery.facts_changed)
    return delivery


async def _tell_outward(
    stack: AsyncExitStack, facts: FactsCache, events: EventHub, couriers: Couriers
) -> None:
    """Only the service tells: beside it, the command line would tell everything twice."""
    await couriers.start()
    stack.push_async_callback(couriers.stop)
    events.follow(couriers.told)
    await events.start()
    stack.push_async_callback(events.stop)
    facts.on_change(events.facts_changed)
    facts.on_change(couriers.facts_changed)


def _core(settings: Settings, rtsp_key: bytes | None = None) -> MediaCore:
    if settings.rtsp.is_on and settings.media.core != "native":
        raise CoreUnavailable(
            f"The {settings.media.core} core has no RTSP door: unset STREAMHUB_RTSP__LISTEN and "
            "STREAMHUB_RTSP__TLS_LISTEN, or set STREAMHUB_MEDIA__CORE=native."
        )
    if settings.media.core == "fake":
        return FakeCore()
    if settings.media.core == "python":
        return open_pycore(
            udp_host=settings.media.udp_host,
            udp_port=settings.media.udp_port,
            advertise=settings.media.advertise,
        )
    # Here, so that the Python core runs where no native one was built.
    from streamhub.media.native import NativeCore

    host = settings.media.udp_host
    if ":" in host:
        host = f"[{host}]"
    try:
        return NativeCore(
            udp_bind=f"{host}:{settings.media.udp_port}",
            tcp_port=settings.media.tcp_port if settings.media.tcp else None,
            advertise=settings.media.advertise,
            shards=settings.media.shard_count,
            remb=settings.media.remb,
            rtsp_listen=settings.rtsp.listen,
            rtsp_key=rtsp_key,
            rtsps_listen=settings.rtsp.tls_listen,
            rtsps_identity=settings.http.read_tls() if settings.rtsp.tls_listen else None,
        )
    except IdentityRefused as error:
        raise CoreUnavailable(
            f"The RTSP door can't use {settings.http.tls_certificate} and "
            f"{settings.http.tls_key}: {error}; correct them, or unset STREAMHUB_RTSP__TLS_LISTEN."
        ) from None
    except OSError as error:
        raise CoreUnavailable(_why_not_started(str(error))) from None


# How the native core says which of its ports can't be had.
_PORT_TAKEN = re.compile(r".*: (UDP|TCP|RTSP|RTSP by TLS) (\S+): (.+?)(?: \(os error \d+\))?")
_SETTING_OF_PORT = {
    "UDP": "STREAMHUB_MEDIA__UDP_PORT",
    "TCP": "STREAMHUB_MEDIA__TCP_PORT",
    "RTSP": "STREAMHUB_RTSP__LISTEN",
    "RTSP by TLS": "STREAMHUB_RTSP__TLS_LISTEN",
}


def _why_not_started(said: str) -> str:
    found = _PORT_TAKEN.fullmatch(said)
    if found is None:
        return f"{said}; see what `streamhub doctor` says."
    door, address, reason = found.groups()
    return (
        f"Can't listen for {door} on {address} ({reason}); "
        f"stop what listens there, or set {_SETTING_OF_PORT[door]}."
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

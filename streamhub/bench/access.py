"""`access`: decisions, and pages of one's own cameras, in a registry of any size and its grants."""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any, Final

from camera_registry.secret import Secret
from camera_registry.service import Registry
from camera_registry.store import open_store
from streamhub.access.facts import Facts
from streamhub.access.facts_cache import FactsCache
from streamhub.access.guard import Guard, utc_now
from streamhub.access.policy import decide
from streamhub.access.principal import Action, Principal, channel
from streamhub.api.channels import registry_scope

from . import access_people as people
from . import registry_places as places
from .access_http import Build, Page, ThroughHttp
from .machine import rss_bytes
from .processes import BenchError, ending_in_order
from .registry import BATCH, PAGE, Row, a_folder, a_place, a_registry, seed_cameras, spread_ms

SEED: Final = 31
ACTIONS: Final = (Action.LIVE, Action.LIVE, Action.LIVE, Action.LIST, Action.SNAPSHOT, Action.PTZ)
WARM_UP: Final = 20
WANTED_DECISION_US: Final = 1_000
WANTED_PAGE_MS: Final = 50
_SELF: Final = "self"


@contextmanager
def granted_registry(
    channels: int,
    grants: int,
    subjects: int,
    *,
    postgresql: bool,
    decisions: int,
    pages: int,
    say: Callable[[str], None],
    build: Build,
    keep: Path | None = None,
) -> Iterator[Callable[[], Row]]:
    """A registry with its grants, made once, and what asks it and gives a row: [`decide_us`,
    `first_us`, `list_ms`, `list_http_ms`, each with `*_cpu`], [`facts_load_s`,
    `facts_bytes`], with the first [`seeded_s`, `granted_s`]. `build` makes the application.

    In `keep` it stays; the cameras of `bench registry --keep` are taken as they are.
    """
    with (
        ending_in_order(),
        a_folder(keep) as folder,
        a_place(folder, postgresql, say) as (place, server_ms),
    ):
        first: Row = {}
        began = time.perf_counter()
        if not (folder / f"made-{channels}").exists():
            asyncio.run(seed_cameras(place, channels, say))
            (folder / f"made-{channels}").touch()
            first["seeded_s"] = round(time.perf_counter() - began, 1)
        granted = folder / f"granted-{channels}-{grants}-{subjects}"
        if not granted.exists():
            began = time.perf_counter()
            asyncio.run(_seed_people(place, channels, grants, subjects, say))
            granted.touch()
            first["granted_s"] = round(time.perf_counter() - began, 1)
        runs = itertools.count()
        single = _single_cameras(grants, channels, subjects)

        def row() -> Row:
            number = next(runs)
            figures = asyncio.run(
                _measure(place, single, decisions, pages, SEED + number, server_ms, build)
            )
            return {
                "store": "postgresql" if postgresql else "sqlite",
                "channels": channels,
                "grants": grants,
                "subjects": subjects,
                **figures,
                **(first if number == 0 else {}),
            }

        yield row


def decided_in_memory(
    channels: int, grants: int, subjects: int, *, decisions: int
) -> Callable[[], Row]:
    """Decisions alone, on facts that were made without a registry: a row as of `granted_registry`,
    without pages."""
    facts = Facts.build(
        version=1,
        areas=places.areas(),
        channels=(row for _, row in places.cameras(channels)),
        subjects=people.subjects(subjects),
        grants=people.grants(grants, channels=channels, subjects=subjects),
        roles=[role for role, _ in people.roles(subjects)],
        members={role.id: frozenset(ids) for role, ids in people.roles(subjects)},
    )
    single = _single_cameras(grants, channels, subjects)
    runs = itertools.count(SEED)

    def row() -> Row:
        rng = random.Random(next(runs))  # noqa: S311  (no secret)
        decided = _decide(_unasked(facts), rng, single, decisions)
        labels = {"channels": channels, "grants": grants, "subjects": subjects}
        return {"store": "memory", **labels, **decided}

    return row


def _unasked(facts: Facts) -> Facts:
    """The same, with nothing worked out for any subject yet."""
    fresh = copy(facts)
    fresh._held = {}
    return fresh


@contextmanager
def _collected() -> Iterator[None]:
    """A collection of the facts, or of the questions, is not a decision's."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


async def _seed_people(
    place: Path | Secret, channels: int, grants: int, subjects: int, say: Callable[[str], None]
) -> None:
    store = await open_store(place)
    rows = people.grants(grants, channels=channels, subjects=subjects)
    try:
        async with store.write() as tx:
            await tx.bulk_add(subjects=[(each, None) for each in people.subjects(subjects)])
            for role, members in people.roles(subjects):
                await tx.roles.add(role)
                for member in members:
                    await tx.roles.add_member(role.id, member)
        while batch := list(itertools.islice(rows, BATCH)):
            async with store.write() as tx:
                await tx.bulk_add(grants=batch)
        say(f"{grants} grants of {subjects} subjects")
    finally:
        await store.close()


async def _measure(
    place: Path | Secret,
    single: Mapping[str, list[str]],
    decisions: int,
    pages: int,
    seed: int,
    server_ms: Callable[[], float],
    build: Build,
) -> Row:
    rng = random.Random(seed)  # noqa: S311  (no secret)
    async with a_registry(place) as (store, feed, registry):
        before, began = rss_bytes(_SELF), time.perf_counter()
        facts = FactsCache(store, feed)
        await facts.start()
        loaded = {
            "facts_load_s": round(time.perf_counter() - began, 2),
            "facts_bytes": rss_bytes(_SELF) - before,
        }
        try:
            decided = _decide(facts.current, rng, single, decisions)
            with _collected():
                door = _ByUseCase(registry, facts)
                listed = await _list("list", door, pages, seed, server_ms)
        finally:
            await facts.stop()
    async with ThroughHttp.open(build, place) as http:
        with _collected():
            asked = await _list("list_http", http, pages, seed, server_ms)
    if asked.pop("pages") != listed["pages"] or asked.pop("pages_empty") != listed["pages_empty"]:
        raise BenchError("By HTTP there are other pages than by the use case.")
    return {**loaded, **decided, **listed, **asked}


def _decide(
    facts: Facts, rng: random.Random, single: Mapping[str, list[str]], decisions: int
) -> dict[str, Any]:
    """Each subject's first decision indexes its grants: those are told apart, too. Half are about
    a camera of which one of the subject's grants speaks alone."""
    asked = []
    for _ in range(decisions):
        who = _principal(facts, rng.randrange(len(facts.subjects)))
        camera = places.channel_id(rng.randrange(len(facts.channels)))
        if who.subject_id in single and rng.random() < 0.5:
            camera = rng.choice(single[who.subject_id])
        asked.append((who, rng.choice(ACTIONS), channel(camera)))
    now, seen = utc_now(), set[str]()
    times: dict[str, list[float]] = {"first": [], "first_cpu": [], "again": [], "again_cpu": []}
    allowed = 0
    with _collected():
        for who, action, resource in asked:
            kind = "again" if who.subject_id in seen else "first"
            seen.add(who.subject_id)
            worked, began = time.thread_time_ns(), time.perf_counter_ns()
            decision = decide(who, action, resource, facts, now)
            ended, work = time.perf_counter_ns() - began, time.thread_time_ns() - worked
            allowed += decision.allowed
            times[kind].append(ended / 1000)
            times[f"{kind}_cpu"].append(work / 1000)
    return {
        "decisions": decisions,
        "allowed": allowed,
        "decide_us": spread_ms(times["first"] + times["again"]),
        "decide_cpu_us": spread_ms(times["first_cpu"] + times["again_cpu"]),
        "first_us": spread_ms(times["first"]),
        "first_cpu_us": spread_ms(times["first_cpu"]),
    }


def _single_cameras(grants: int, channels: int, subjects: int) -> dict[str, list[str]]:
    """Of each subject, what its grants say of single cameras."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for each in people.grants(grants, channels=channels, subjects=subjects):
        if each.channel_id is not None and each.subject_id is not None:
            found[each.subject_id].append(each.channel_id)
    return found


class _ByUseCase:
    """A page as the route makes it, without the route: scope, question, and what each camera
    `may`."""

    def __init__(self, registry: Registry, facts: FactsCache) -> None:
        self._registry = registry
        self._guard = Guard(facts)
        self.facts = facts

    async def prepare(self, who: Principal) -> None:
        """Nothing is."""

    async def ask(self, who: Principal, cursor: str | None) -> Page:
        scope = registry_scope(self._guard.scope(who, Action.LIST))
        page = await self._registry.list_channels(scope=scope, limit=PAGE, cursor=cursor)
        for row in page.items:
            self._guard.actions_on(who, row)
        return Page(len(page.items), page.next_cursor)


async def _list(
    name: str,
    door: _ByUseCase | ThroughHttp,
    pages: int,
    seed: int,
    server_ms: Callable[[], float],
) -> dict[str, Any]:
    """The first page of somebody's cameras and, of one in three, the next. The same ones for the
    same seed."""
    rng = random.Random(seed)  # noqa: S311  (no secret)
    times: list[float] = []
    worked: list[float] = []
    empty = 0
    for number in range(-WARM_UP, pages):
        facts = door.facts.current
        who = _principal(facts, rng.randrange(len(facts.subjects)))
        await door.prepare(who)
        cursor = None
        for _ in range(2 if number % 3 == 0 else 1):
            served, work, began = server_ms(), time.process_time(), time.perf_counter()
            answer = await door.ask(who, cursor)
            ended = time.perf_counter() - began
            work_ms = (time.process_time() - work) * 1000 + server_ms() - served
            page = answer if isinstance(answer, Page) else Page.read(answer)
            if number >= 0:
                times.append(ended * 1000)
                worked.append(work_ms)
                empty += not page.cameras
            cursor = page.next_cursor
            if cursor is None:
                break
    return {
        "pages": len(times),
        "pages_empty": empty,
        f"{name}_ms": spread_ms(times),
        f"{name}_cpu_ms": spread_ms(worked),
    }


def complaints(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each wanted figure that one of the rows misses."""
    found = []
    decision_us = max(row["decide_us"]["p99"] for row in rows)
    if decision_us > WANTED_DECISION_US:
        found.append(f"p99 of a decision is {decision_us:g} us, wanted are {WANTED_DECISION_US}.")
    page_ms = max((row["list_ms"]["p99"] for row in rows if "list_ms" in row), default=0.0)
    if page_ms > WANTED_PAGE_MS:
        found.append(f"p99 of a page is {page_ms:g} ms, wanted are {WANTED_PAGE_MS}.")
    return found


def _principal(facts: Facts, number: int) -> Principal:
    subject = facts.subjects[f"su_{number}"]
    return Principal(subject.id, subject.username, "192.0.2.1", "bearer", subject.version)

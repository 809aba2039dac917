"""`registry`: lists and searches of a registry of any size, by the use case that the API calls."""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

from camera_registry.domain import Channel, DeviceClass, Scope
from camera_registry.feed import ChangeFeed
from camera_registry.pinyin import readings
from camera_registry.secret import Secret
from camera_registry.service import Registry
from camera_registry.store import SqlStore, open_store
from camera_registry.vault import open_vault
from streamhub.access.facts_cache import FactsCache

from . import registry_places as places
from .machine import rss_bytes
from .processes import ending_in_order
from .registry_server import running_server

BATCH: Final = 10_000
SEED: Final = 17
SINGLE: Final = 300
WARM_UP: Final = 100
SAMPLE_EVERY: Final = 97
PAGE: Final = 50
_SELF: Final = "self"

Row = dict[str, Any]


@dataclass(frozen=True)
class Question:
    kind: str
    scope_kind: str
    q: str | None
    scope: Scope | None
    device_class: str | None
    deep: bool


def questions(count: int, channels: int, sample: list[Channel]) -> Iterator[Question]:
    """A seeded mix. What is asked for is a part of some channel's, so that it can be found; one
    in ten is of none."""
    rng = random.Random(SEED)  # noqa: S311  (no secret)
    kinds = list(_KINDS)
    for number in range(count):
        channel = rng.choice(sample)
        kind = kinds[number % len(kinds)]
        scope_kind = rng.choice(("everything", "everything", "street", "grid", "single"))
        of = channel if rng.random() < 0.7 else rng.choice(sample)  # a scope of elsewhere, too
        single = map(places.channel_id, rng.sample(range(channels), SINGLE))
        scope = {
            "everything": None,
            "street": Scope(frozenset({of.area_id.rsplit("_", 2)[0]})),
            "grid": Scope(frozenset({of.area_id})),
            "single": Scope(frozenset(), frozenset(single)),
        }[scope_kind]
        # One in eight of a class alone, most often a rare one.
        of_class = rng.choice(tuple(DeviceClass)).value if rng.random() < 0.125 else None
        q = _KINDS[kind](rng, channel)
        yield Question(kind, scope_kind, q, scope, of_class, rng.random() < 0.3)


def _part(rng: random.Random, text: str, chars: int) -> str:
    at = rng.randrange(max(1, len(text) - chars))
    return text[at : at + chars]


def _rare(rng: random.Random, _channel: Channel) -> str:
    return rng.choice(("驿站", "没有这里", "zzqq", "999999999", "龘"))


_KINDS: Final[dict[str, Callable[[random.Random, Channel], str | None]]] = {
    "none": lambda rng, channel: None,
    "one_character": lambda rng, channel: _part(rng, channel.name, 1),
    "two_characters": lambda rng, channel: _part(rng, channel.name, 2),
    "four_characters": lambda rng, channel: _part(rng, channel.name, 4),
    "pinyin": lambda rng, channel: _part(rng, readings(channel.name)[0][0], 11),
    "initials": lambda rng, channel: _part(rng, readings(channel.name)[0][1], 4),
    "two_initials": lambda rng, channel: _part(rng, readings(channel.name)[0][1], 2),
    "code_tail": lambda rng, channel: channel.code[-6:],
    "address": lambda rng, channel: channel.facts["address"],
    "street": lambda rng, channel: channel.facts["address"][:2],
    "two_words": lambda rng, channel: f"{_part(rng, channel.name, 2)} {channel.name[-4:]}",
    "common": lambda rng, channel: rng.choice(("路口", "路", "lukou", "lk", "1101")),
    "rare": _rare,
}


@contextmanager
def seeded_registry(
    channels: int,
    *,
    postgresql: bool,
    count: int,
    say: Callable[[str], None],
    keep: Path | None = None,
) -> Iterator[Callable[[], Row]]:
    """A registry, made once, and what asks it and gives a row: [`search_ms`, `cpu_ms`, `kind_ms`,
    `scope_ms`, `deep_ms`, `class_ms`], with the first [`seeded_s`, `facts_load_s`, `facts_bytes`].

    In `keep` it stays, and whatever an earlier run has made there is asked again.
    """
    with (
        ending_in_order(),
        a_folder(keep) as folder,
        a_place(folder, postgresql, say) as (place, server_ms),
    ):
        first: Row = {}
        made = folder / f"made-{channels}"
        if not made.exists():
            began = time.perf_counter()
            asyncio.run(seed_cameras(place, channels, say))
            first["seeded_s"] = round(time.perf_counter() - began, 1)
            made.touch()
        sample = _sample(channels)
        runs = itertools.count()

        def row() -> Row:
            figures = asyncio.run(_measure(place, channels, count, sample, server_ms))
            return figures if next(runs) else figures | first | asyncio.run(_facts(place))

        yield row


@contextmanager
def a_folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="streamhub-bench-") as folder:
        yield Path(folder)


@contextmanager
def a_place(
    folder: Path, postgresql: bool, say: Callable[[str], None]
) -> Iterator[tuple[Path | Secret, Callable[[], float]]]:
    """Where the registry is, and the processor time of its server so far, in ms."""
    if not postgresql:
        yield folder / "registry.db", lambda: 0.0
        return
    with running_server(folder, say) as server:
        yield server.url, server.cpu_ms


@asynccontextmanager
async def a_registry(place: Path | Secret) -> AsyncIterator[tuple[SqlStore, ChangeFeed, Registry]]:
    store = await open_store(place)
    feed = ChangeFeed(store)
    with tempfile.TemporaryDirectory() as keys:
        registry = Registry(store, await open_vault(store, Path(keys) / "secret.key"), feed)
        await feed.start()
        await registry.start()
        try:
            yield store, feed, registry
        finally:
            await registry.stop()
            await feed.stop()
            await store.close()


async def _measure(
    place: Path | Secret,
    channels: int,
    count: int,
    sample: list[Channel],
    server_ms: Callable[[], float],
) -> Row:
    async with a_registry(place) as (_, _, registry):
        asked = list(questions(count, channels, sample))
        for each in asked[:WARM_UP]:
            await _ask(registry, each, server_ms)
        gc.collect()
        gc.freeze()  # a collection of the questions themselves would take 30 ms, here and there
        times = [(each, *await _ask(registry, each, server_ms)) for each in asked]
        gc.unfreeze()
    return {
        "store": "sqlite" if isinstance(place, Path) else "postgresql",
        "channels": channels,
        "queries": count,
        "search_ms": spread_ms([ms for _, ms, _ in times]),
        # Whatever else the machine does.
        "cpu_ms": spread_ms([ms for _, _, ms in times]),
        "kind_ms": {
            kind: spread_ms([ms for each, ms, _ in times if each.kind == kind]) for kind in _KINDS
        },
        "scope_ms": {
            kind: spread_ms([ms for each, ms, _ in times if each.scope_kind == kind])
            for kind in ("everything", "street", "grid", "single")
        },
        "deep_ms": spread_ms([ms for each, ms, _ in times if each.deep]),
        "class_ms": spread_ms([ms for each, ms, _ in times if each.device_class]),
    }


async def _facts(place: Path | Secret) -> Row:
    """What the decision's facts in memory take; asked once, as memory given back is used again."""
    async with a_registry(place) as (store, feed, _):
        before, began = rss_bytes(_SELF), time.perf_counter()
        facts = FactsCache(store, feed)
        await facts.start()
        figures = {
            "facts_load_s": round(time.perf_counter() - began, 2),
            "facts_bytes": rss_bytes(_SELF) - before,
        }
        await facts.stop()
    return figures


async def seed_cameras(place: Path | Secret, channels: int, say: Callable[[str], None]) -> None:
    store = await open_store(place)
    async with store.write() as tx:
        await tx.bulk_add(areas=places.areas())
    done, rows = 0, places.cameras(channels)
    while batch := list(islice(rows, BATCH)):
        async with store.write() as tx:
            await tx.bulk_add(
                devices=[(device, None) for device, _ in batch if device is not None],
                channels=[channel for _, channel in batch],
            )
        done += len(batch)
        if done % (10 * BATCH) == 0:
            say(f"{done} of {channels} channels")
    await store.close()
    if isinstance(place, Secret):
        # What the server does by itself within minutes of a bulk import.
        await asyncio.to_thread(_vacuum, place)


def _sample(channels: int) -> list[Channel]:
    """Some of its channels."""
    return [channel for _, channel in islice(places.cameras(channels), 0, None, SAMPLE_EVERY)]


def _vacuum(url: Secret) -> None:
    words = ["vacuumdb", "--analyze", "--quiet", f"--dbname={url.reveal()}"]
    subprocess.run(words, check=True)  # noqa: S603


async def _ask(
    registry: Registry, each: Question, server_ms: Callable[[], float]
) -> tuple[float, float]:
    """Milliseconds of one page, and those of processor time, of us and of the server; a deep one
    is some pages behind the first, which are not timed."""
    ask = partial(
        registry.list_channels, q=each.q, scope=each.scope, device_class=each.device_class
    )
    cursor = None
    for _ in range(3 if each.deep else 0):
        page = await ask(limit=PAGE * 10, cursor=cursor)
        cursor = page.next_cursor
        if cursor is None:
            break
    served, worked, began = server_ms(), time.process_time(), time.perf_counter()
    await ask(limit=PAGE, cursor=cursor)
    ended, own_s = time.perf_counter(), time.process_time() - worked
    return (ended - began) * 1000, own_s * 1000 + server_ms() - served


def spread_ms(times_ms: list[float]) -> dict[str, float]:
    cuts = quantiles(times_ms, n=100, method="inclusive")
    return {
        "p50": round(cuts[49], 2),
        "p99": round(cuts[98], 2),
        "max": round(max(times_ms), 2),
    }

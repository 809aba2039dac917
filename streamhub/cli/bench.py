"""`streamhub bench`: the instruments (benchmarks/README.md)."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from streamhub.bench.district import Demo, Workshop
from streamhub.bench.machine import Cores, Surroundings, describe
from streamhub.bench.processes import BenchError
from streamhub.bench.report import spread, table

from .control import CliError
from .demo import FARM_USERNAME, demo_password, farm_password, prepare
from .farm import CLIPS_DIR, make_clips

ADMIN = "admin"


class CoreName(StrEnum):
    """As `[media] core` has them."""

    native = "native"
    python = "python"


class ImportKind(StrEnum):
    """As `camera import` reads them."""

    csv = "csv"
    xlsx = "xlsx"
    json = "json"


app = typer.Typer(no_args_is_help=True, help="Measure this machine and this service.")

Viewers = Annotated[list[int], typer.Option("--viewers", "-n", help="How many; may be repeated.")]
Runs = Annotated[int, typer.Option(help="Runs of each row.", min=1)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Pin = Annotated[bool, typer.Option(help="The service on one core, the load on another.")]
Profile = Annotated[str, typer.Option(help="main (4 Mbit/s) or sub (512 kbit/s).")]
Core = Annotated[
    CoreName, typer.Option(help="The packet core of our service; python is the baseline.")
]
Url = Annotated[str | None, typer.Option(help="Any WHEP address instead of our own service.")]
Token = Annotated[
    str | None, typer.Option(envvar="STREAMHUB_LOAD_TOKEN", help="Bearer token for --url.")
]
Pid = Annotated[int | None, typer.Option(help="The process behind --url, to read its CPU time.")]
Patience = Annotated[
    int, typer.Option(help="With --url: seconds in which all must have a picture.", min=1)
]


def sayer(name: str) -> Callable[[str], None]:
    """Tells how far a bench is, on the error stream: the result alone is on the other."""
    console = Console(stderr=True)
    return lambda line: console.print(f"{name}: {line}", style="dim", highlight=False)


@dataclass(frozen=True)
class Run:
    """One command's run: makes rows, prints them."""

    name: str
    cores: Cores
    clips: str
    as_json: bool
    # What every row says beside its figures.
    labels: Mapping[str, str]

    def run(self, runs: int, rows: list[Callable[[], dict[str, Any]]]) -> list[dict[str, Any]]:
        """Prints the result, and gives its rows."""
        console, say = Console(stderr=True), sayer(self.name)
        around = Surroundings()
        done = []
        for number, make in enumerate(rows):
            for run in range(runs):
                say(f"row {number + 1} of {len(rows)}, run {run + 1} of {runs}")
                done.append({**self.labels, **make(), "row": number, "run": run})
        for note in dict.fromkeys(note for row in done for note in row.get("notes", ())):
            console.print(f"note: {note}", highlight=False)
        result = {
            "bench": self.name,
            **describe(self.clips, self.cores),
            "surroundings": around.close(),
            "summary": spread(done),
            "rows": done,
        }
        if self.as_json:
            json.dump(result, sys.stdout, ensure_ascii=False, indent=1)
            sys.stdout.write("\n")
        else:
            Console().print(table(self.name, result["summary"]))
        return done


@dataclass(frozen=True)
class Bench(Run):
    """A run with farm and service."""

    workshop: Workshop


@contextmanager
def open_bench(
    name: str, *, pin: bool, as_json: bool, core: CoreName | None = None
) -> Iterator[Bench]:
    """`core`: of our own service, where the scenario has one."""
    cores = Cores.choose(pin)
    clips = make_clips(CLIPS_DIR)
    cores.pin_me()
    demo = Demo(
        seed=lambda data_dir, port: _seed(data_dir, port),
        farm_username=FARM_USERNAME,
        farm_password=lambda data_dir: farm_password(data_dir).reveal(),
        username=ADMIN,
        password=demo_password(ADMIN),
    )
    try:
        chosen = core or CoreName.native
        labels = {} if core is None else {"core": chosen.value}
        with Workshop.open(demo, clips, cores, chosen.value) as workshop:
            yield Bench(name, cores, clips.name, as_json, labels, workshop)
    except BenchError as error:
        raise CliError(str(error)) from None


def _seed(data_dir: Path, farm_port: int) -> None:
    asyncio.run(prepare(data_dir, farm_port))


@app.command()
def limit(
    viewers: Viewers = [200],  # noqa: B006  (typer copies it)
    runs: Runs = 3,
    as_json: Json = False,
    pin: Pin = True,
) -> None:
    """The bare loop of sending: cipher and GSO, no streaming."""
    from streamhub.bench.scenarios import limit_row

    with open_bench("limit", pin=pin, as_json=as_json) as bench:
        bench.run(runs, [partial(limit_row, bench.workshop, n) for n in viewers])


@app.command()
def fanout(
    viewers: Viewers = [200],  # noqa: B006
    profile: Profile = "main",
    runs: Runs = 3,
    memory: Annotated[bool, typer.Option(help="Also bytes_per_viewer: two minutes more.")] = False,
    measure_s: Annotated[int, typer.Option(help="A clip repeats after 10 s.", min=1)] = 10,
    core: Core = CoreName.native,
    url: Url = None,
    token: Token = None,
    pid: Pid = None,
    patience_s: Patience = 30,
    as_json: Json = False,
    pin: Pin = True,
) -> None:
    """N viewers of one camera: what a packet costs, against the bare loop."""
    from streamhub.bench.scenarios import Target, fanout_row, memory_row

    if memory and url is not None:
        raise CliError("--memory is of our own service, not of --url: leave one out.", exit_code=2)
    target = None if url is None else Target(url, token, pid, patience_s * 1000)
    with open_bench(
        "fanout", pin=pin, as_json=as_json, core=core if target is None else None
    ) as bench:
        rows: list[Callable[[], dict[str, Any]]] = [
            partial(
                fanout_row,
                bench.workshop,
                n,
                profile,
                target,
                measure_ms=measure_s * 1000,
            )
            for n in viewers
        ]
        if memory:
            rows.append(partial(memory_row, bench.workshop, profile))
        bench.run(runs, rows)


@app.command()
def join(
    viewers: Annotated[int, typer.Option("--viewers", "-n", min=1)] = 100,
    rate: Annotated[float, typer.Option(help="Joins a second; 0 is all at once.")] = 20.0,
    profile: Profile = "main",
    steady: Annotated[int, typer.Option(help="Viewers already there, when hot.", min=1)] = 1,
    hot: Annotated[bool, typer.Option(help="Joins of a camera that is being watched.")] = True,
    cold: Annotated[bool, typer.Option(help="Each the first viewer of its camera.")] = True,
    runs: Runs = 3,
    core: Core = CoreName.native,
    url: Url = None,
    token: Token = None,
    pid: Pid = None,
    patience_s: Patience = 30,
    as_json: Json = False,
    pin: Pin = True,
) -> None:
    """From POST to the first decodable picture, and what a join costs."""
    from streamhub.bench.scenarios import Target, join_row

    target = None if url is None else Target(url, token, pid, patience_s * 1000)
    kinds = [kind for kind, wanted in ((True, hot), (False, cold and url is None)) if wanted]
    if not kinds:
        raise CliError(
            "Nothing is left to measure: with --url joins are hot, and --no-hot leaves only cold.",
            exit_code=2,
        )
    with open_bench(
        "join", pin=pin, as_json=as_json, core=core if target is None else None
    ) as bench:
        rows: list[Callable[[], dict[str, Any]]] = [
            partial(
                join_row,
                bench.workshop,
                viewers,
                rate,
                profile,
                hot=kind,
                steady=steady,
                target=target,
            )
            for kind in kinds
        ]
        bench.run(runs, rows)


@app.command()
def ingest(
    cameras: Annotated[list[int], typer.Option(help="How many; may be repeated.")] = [500],  # noqa: B006
    profile: Profile = "sub",
    runs: Runs = 3,
    as_json: Json = False,
    pin: Pin = True,
) -> None:
    """N cameras pulled over TCP without viewers, against the bare loop on the same bytes."""
    from streamhub.bench.ingest import ingest_row

    with open_bench("ingest", pin=pin, as_json=as_json) as bench:
        bench.run(runs, [partial(ingest_row, bench.workshop, n, profile) for n in cameras])


@app.command()
def delay(
    viewers: Viewers = [100],  # noqa: B006
    profile: Profile = "main",
    runs: Runs = 3,
    measure_s: Annotated[int, typer.Option(min=1)] = 20,
    core: Core = CoreName.native,
    url: Url = None,
    token: Token = None,
    send_log: Annotated[
        Path | None,
        typer.Option(
            help="With --url: what its source sent when (docs/farm.md).",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    patience_s: Patience = 30,
    as_json: Json = False,
    pin: Pin = True,
) -> None:
    """Delay added between the camera's last write and the viewer's kernel."""
    from streamhub.bench.scenarios import Target, delay_row

    target = None if url is None else Target(url, token, None, patience_s * 1000)
    if target is not None and send_log is None:
        raise CliError(
            "The delay of --url is not known without the times of sending: give --send-log FILE, "
            "written by the server's source as the farm does (docs/farm.md).",
            exit_code=2,
        )
    with open_bench(
        "delay", pin=pin, as_json=as_json, core=core if target is None else None
    ) as bench:
        rows: list[Callable[[], dict[str, Any]]] = [
            partial(
                delay_row,
                bench.workshop,
                n,
                profile,
                target,
                send_log,
                measure_ms=measure_s * 1000,
            )
            for n in viewers
        ]
        bench.run(runs, rows)


@app.command()
def inspect(
    channels: Annotated[
        list[int], typer.Option("--channels", help="How many; may be repeated.")
    ] = [300],  # noqa: B006
    dead: Annotated[float, typer.Option(help="Share that does not answer.", min=0, max=0.9)] = 0.2,
    profile: Profile = "main",
    runs: Runs = 1,
    as_json: Json = False,
    pin: Pin = True,
) -> None:
    """N channels inspected by the service, a share of them dead: how long, and what it costs.

    Exit code 1 when a good one is not told as good, or a dead one not as dead."""
    from streamhub.bench.inspect import inspect_row

    with open_bench("inspect", pin=pin, as_json=as_json) as bench:
        make = [partial(inspect_row, bench.workshop, n, dead, profile) for n in channels]
        rows = bench.run(runs, [*make])
    wrong = sum(row["wrong"] for row in rows)
    if wrong:
        raise CliError(f"{wrong} cards do not say what their cameras are; see `counts`.")


@app.command()
def soak(
    minutes: Annotated[float, typer.Option(help="How long.", min=0.2)] = 10.0,
    viewers: Annotated[int, typer.Option("--viewers", "-n", min=2)] = 100,
    cameras: Annotated[
        int, typer.Option(help="Cameras that come and go; as many more are steady.", min=1)
    ] = 20,
    profile: Profile = "sub",
    seed: Annotated[int, typer.Option(help="Of the cameras' faults.")] = 1,
    as_json: Json = False,
    pin: Pin = True,
) -> None:
    """Viewers for a long time while cameras come and go: memory, losses, recovery.

    Exit code 1 when memory is not flat, a steady viewer lost something, or one does not play."""
    from streamhub.bench.soak import complaints, soak_row

    with open_bench("soak", pin=pin, as_json=as_json) as bench:
        make = partial(
            soak_row,
            bench.workshop,
            viewers=viewers,
            cameras=cameras,
            minutes=minutes,
            profile=profile,
            seed=seed,
            say=sayer("soak"),
        )
        [row] = bench.run(1, [make])
    wrong = complaints(row)
    if wrong:
        raise CliError(" ".join(wrong))


@app.command()
def registry(
    channels: Annotated[int, typer.Option(help="How many.", min=1_000)] = 100_000,
    postgres: Annotated[
        bool, typer.Option("--postgres", help="On a throw-away PostgreSQL, not on SQLite.")
    ] = False,
    queries: Annotated[int, typer.Option(min=100)] = 2_600,
    runs: Annotated[int, typer.Option(help="Runs over the one registry.", min=1)] = 3,
    keep: Annotated[
        Path | None, typer.Option(help="A folder for the registry, to be asked again later.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Lists and searches of a registry of N channels, by the use case that the API calls."""
    from streamhub.bench.registry import seeded_registry

    made = seeded_registry(
        channels, postgresql=postgres, count=queries, say=sayer("registry"), keep=keep
    )
    try:
        with made as ask:
            Run("registry", Cores.choose(False), "none", as_json, {}).run(runs, [ask])
    except BenchError as error:
        raise CliError(str(error)) from None


@app.command("import")
def import_(
    cameras: Annotated[int, typer.Option(help="Rows of the file.", min=100)] = 100_000,
    template: Annotated[str, typer.Option(help="A shipped form.")] = "archive-73",
    kind: Annotated[ImportKind, typer.Option()] = ImportKind.xlsx,
    runs: Runs = 1,
    as_json: Json = False,
) -> None:
    """A file of N cameras checked, in a process of its own, and applied to an empty registry."""
    from streamhub.bench.importing import import_row

    make = partial(import_row, cameras, template, kind.value)
    try:
        Run("import", Cores.choose(False), "none", as_json, {}).run(runs, [make])
    except BenchError as error:
        raise CliError(str(error)) from None

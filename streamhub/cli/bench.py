"""`streamhub bench`: the instruments (benchmarks/README.md)."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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

app = typer.Typer(no_args_is_help=True, help="Measure this machine and this service.")

Viewers = Annotated[list[int], typer.Option("--viewers", "-n", help="How many; may be repeated.")]
Runs = Annotated[int, typer.Option(help="Runs of each row.", min=1)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Pin = Annotated[bool, typer.Option(help="The service on one core, the load on another.")]
Profile = Annotated[str, typer.Option(help="main (4 Mbit/s) or sub (512 kbit/s).")]
Url = Annotated[str | None, typer.Option(help="Any WHEP address instead of our own service.")]
Token = Annotated[
    str | None, typer.Option(envvar="STREAMHUB_LOAD_TOKEN", help="Bearer token for --url.")
]
Pid = Annotated[int | None, typer.Option(help="The process behind --url, to read its CPU time.")]


@dataclass(frozen=True)
class _Bench:
    """One command's run: makes rows, prints them."""

    name: str
    workshop: Workshop
    clips: str
    as_json: bool

    def run(self, runs: int, rows: list[Callable[[], dict[str, Any]]]) -> None:
        console = Console(stderr=True)
        around = Surroundings()
        done = []
        for number, make in enumerate(rows):
            for run in range(runs):
                console.print(
                    f"{self.name}: row {number + 1} of {len(rows)}, run {run + 1} of {runs}",
                    style="dim",
                )
                done.append({**make(), "row": number, "run": run})
        result = {
            "bench": self.name,
            **describe(self.clips, self.workshop.cores),
            "surroundings": around.close(),
            "summary": spread(done),
            "rows": done,
        }
        if self.as_json:
            json.dump(result, sys.stdout, ensure_ascii=False, indent=1)
            sys.stdout.write("\n")
        else:
            Console().print(table(self.name, result["summary"]))


@contextmanager
def _bench(name: str, *, pin: bool, as_json: bool) -> Iterator[_Bench]:
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
        with Workshop.open(demo, clips, cores) as workshop:
            yield _Bench(name, workshop, clips.name, as_json)
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

    with _bench("limit", pin=pin, as_json=as_json) as bench:
        bench.run(runs, [partial(limit_row, bench.workshop, n) for n in viewers])


@app.command()
def fanout(
    viewers: Viewers = [200],  # noqa: B006
    profile: Profile = "main",
    runs: Runs = 3,
    memory: Annotated[bool, typer.Option(help="Also bytes_per_viewer: two minutes more.")] = False,
    measure_s: Annotated[int, typer.Option(help="A clip repeats after 10 s.", min=1)] = 10,
    url: Url = None,
    token: Token = None,
    pid: Pid = None,
    as_json: Json = False,
    pin: Pin = True,
) -> None:
    """N viewers of one camera: what a packet costs, against the bare loop."""
    from streamhub.bench.scenarios import Target, fanout_row, memory_row

    target = None if url is None else Target(url, token, pid)
    with _bench("fanout", pin=pin, as_json=as_json) as bench:
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
    url: Url = None,
    token: Token = None,
    pid: Pid = None,
    as_json: Json = False,
    pin: Pin = True,
) -> None:
    """From POST to the first decodable picture, and what a join costs."""
    from streamhub.bench.scenarios import Target, join_row

    target = None if url is None else Target(url, token, pid)
    kinds = [kind for kind, wanted in ((True, hot), (False, cold and url is None)) if wanted]
    with _bench("join", pin=pin, as_json=as_json) as bench:
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

    with _bench("ingest", pin=pin, as_json=as_json) as bench:
        bench.run(runs, [partial(ingest_row, bench.workshop, n, profile) for n in cameras])


@app.command()
def delay(
    viewers: Viewers = [100],  # noqa: B006
    profile: Profile = "main",
    runs: Runs = 3,
    measure_s: Annotated[int, typer.Option(min=1)] = 20,
    as_json: Json = False,
    pin: Pin = True,
) -> None:
    """Delay added between the camera's last write and the viewer's kernel."""
    from streamhub.bench.scenarios import delay_row

    with _bench("delay", pin=pin, as_json=as_json) as bench:
        rows: list[Callable[[], dict[str, Any]]] = [
            partial(delay_row, bench.workshop, n, profile, measure_ms=measure_s * 1000)
            for n in viewers
        ]
        bench.run(runs, rows)

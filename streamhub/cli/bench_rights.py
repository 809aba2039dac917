"""`streamhub bench revoke|stall|access|kill`: who may, how soon it is so, and that it stays so."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from streamhub.bench.machine import Cores
from streamhub.bench.processes import BenchError

from .bench import Json, Pin, Profile, Run, Runs, Viewers, app, open_bench, sayer
from .control import CliError

__all__ = ["app"]  # the commands of `bench` and these


class Door(StrEnum):
    """What viewers come by."""

    whep = "whep"
    rtsp = "rtsp"
    both = "both"


By = Annotated[Door, typer.Option(help="Viewers by WebRTC, by RTSP, or both: so many by each.")]


def _fail_for(wrong: list[str]) -> None:
    """After the result was printed: exit code 1 and what was missed."""
    if wrong:
        raise CliError(" ".join(wrong))


@app.command()
def revoke(
    viewers: Viewers = [500],  # noqa: B006
    profile: Profile = "sub",
    by: By = Door.whep,
    changes: Annotated[
        int,
        typer.Option(help="Grants changed in one transaction, the revocation among them.", min=1),
    ] = 1,
    runs: Runs = 3,
    as_json: Json = False,
    pin: Pin = True,
) -> None:
    """One grant taken back under N viewers: from the commit to each one's last packet.

    Exit code 1 when the last packet came too late (p99 over 500 ms, one over a second), or the
    answer after more than a second."""
    from streamhub.bench.revoke import complaints, revoke_row

    with open_bench("revoke", pin=pin, as_json=as_json) as bench:
        make = [
            partial(revoke_row, bench.workshop, n, profile, by=by.value, changes=changes)
            for n in viewers
        ]
        rows = bench.run(runs, [*make])
    _fail_for(complaints(rows))


@app.command()
def stall(
    viewers: Viewers = [20],  # noqa: B006
    profile: Profile = "sub",
    seconds: Annotated[float, typer.Option(help="How long it stands still.", min=1)] = 90.0,
    by: By = Door.both,
    runs: Runs = 1,
    as_json: Json = False,
    pin: Pin = True,
) -> None:
    """The interpreter stopped under N viewers: the core ends their views when leases end (60 s).

    Exit code 1 when somebody had packets after the lease."""
    from streamhub.bench.stall import complaints, stall_row

    with open_bench("stall", pin=pin, as_json=as_json) as bench:
        make = [
            partial(stall_row, bench.workshop, n, profile, seconds=seconds, by=by.value)
            for n in viewers
        ]
        rows = bench.run(runs, [*make])
    _fail_for(complaints(rows))


@app.command()
def access(
    channels: Annotated[int, typer.Option(help="How many.", min=1_000)] = 100_000,
    grants: Annotated[int, typer.Option(min=100)] = 10_000,
    subjects: Annotated[int, typer.Option(min=10)] = 1_000,
    postgres: Annotated[
        bool, typer.Option("--postgres", help="On a throw-away PostgreSQL, not on SQLite.")
    ] = False,
    decisions: Annotated[int, typer.Option(min=100)] = 100_000,
    pages: Annotated[
        int, typer.Option(help="0: decisions alone, of facts without a registry.", min=0)
    ] = 2_000,
    runs: Annotated[int, typer.Option(help="Runs over the one registry.", min=1)] = 3,
    keep: Annotated[
        Path | None, typer.Option(help="A folder for the registry, to be asked again later.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Decisions, and pages of one's own cameras, in a registry with grants of every kind.

    Exit code 1 when p99 of a decision is over 1 ms, or of a page over 50 ms."""
    from streamhub.app import build_app
    from streamhub.bench.access import complaints, decided_in_memory, granted_registry

    bench = Run("access", Cores.choose(False), "none", as_json, {})
    if not pages:
        ask = decided_in_memory(channels, grants, subjects, decisions=decisions)
        _fail_for(complaints(bench.run(runs, [ask])))
        return
    made = granted_registry(
        channels,
        grants,
        subjects,
        postgresql=postgres,
        decisions=decisions,
        pages=pages,
        say=sayer("access"),
        keep=keep,
        # Without media it dials nobody.
        build=lambda settings: build_app(settings, with_media=False),
    )
    try:
        with made as ask:
            rows = bench.run(runs, [ask])
    except BenchError as error:
        raise CliError(str(error)) from None
    _fail_for(complaints(rows))


@app.command()
def kill(
    runs: Annotated[int, typer.Option(help="How often it is killed.", min=1)] = 100,
    seed: Annotated[int, typer.Option(help="Of the moments and of the work.")] = 1,
    postgres: Annotated[
        bool, typer.Option("--postgres", help="On a throw-away PostgreSQL, not on SQLite.")
    ] = False,
    as_json: Json = False,
    pin: Pin = True,
) -> None:
    """The service killed (SIGKILL) in the middle of grant changes and views, again and again.

    Exit code 1 when something that was answered is lost, half a change is there, the audit's chain
    does not hold, or it does not start again."""
    from streamhub.bench.kill import killing

    with (
        open_bench("kill", pin=pin, as_json=as_json) as bench,
        killing(bench.workshop, seed, postgresql=postgres, say=sayer("kill")) as make,
    ):
        rows = bench.run(runs, [make])
    wrong = [sentence for row in rows for sentence in row["wrong"]]
    if wrong:
        raise CliError(f"{len(wrong)} faults after {runs} runs; the first: {wrong[0]}")

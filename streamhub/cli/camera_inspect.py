"""`streamhub camera inspect`: have cameras looked at, and say what to change in their menus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from .area import area_by
from .camera import channel_by
from .camera_import import app
from .control import Api, AsJson, CliError, run
from .output import print_json, say, show_rows

__all__ = ["app"]  # the commands of `camera` and this one

POLL_S = 0.5
RUNS = "/api/v1/inspections"
CARDS = "/api/v1/channel-inspections"
MAX_CARDS = 100_000
PROFILES = {"main": ["main"], "sub": ["sub"], "both": ["main", "sub"]}


@app.command("inspect")
def inspect(
    camera: Annotated[str | None, typer.Argument(help="Id or code.")] = None,
    area: Annotated[str | None, typer.Option(help="Id, code or name; with all below.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All cameras.")] = False,
    profile: Annotated[str, typer.Option(help="main, sub or both.")] = "main",
    language: Annotated[str, typer.Option(help="Of the advice: en or zh.")] = "en",
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with the inspection that is under way.")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the one that is under way.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at cameras for some seconds each: would they play, and what should be changed?

    Exit code 1: at least one does not play in a browser.
    """
    if [camera is not None, area is not None, every, follow, stop].count(True) != 1:
        raise CliError("Name one camera, --area, --all, --follow or --stop.", exit_code=2)
    if profile not in PROFILES or language not in ("en", "zh"):
        raise CliError("--profile is main, sub or both; --language is en or zh.", exit_code=2)

    async def work(api: Api) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        if follow or stop:
            found = await _under_way(api)
        else:
            body = {**await _scope(api, camera, area), "profiles": PROFILES[profile]}
            found = await api.call("POST", RUNS, body=body)
        path = f"{RUNS}/{found['id']}"
        if stop:
            found = await api.call("DELETE", path)
        else:
            if follow:
                await api.call("POST", f"{path}/resume")
            found = await _over(api, path, quiet=as_json)
        return found, await api.all(CARDS, limit=MAX_CARDS, inspection_id=found["id"])

    done, cards = run(work)
    if as_json:
        print_json({**done, "cards": cards})
    else:
        _tell(done, cards, language)
    if any(card["verdict"] == "fails" for card in cards):
        raise typer.Exit(1)


async def _scope(api: Api, camera: str | None, area: str | None) -> dict[str, Any]:
    if camera is not None:
        return {"channel_ids": [(await channel_by(api, camera))["id"]]}
    return {} if area is None else {"area_id": (await area_by(api, area))["id"]}


async def _under_way(api: Api) -> dict[str, Any]:
    page = await api.call("GET", RUNS, params={"limit": 1})
    for found in page["items"]:
        if found["state"] == "running":
            newest: dict[str, Any] = found
            return newest
    raise CliError("No inspection is under way; begin one with --all or --area.")


async def _over(api: Api, path: str, *, quiet: bool) -> dict[str, Any]:
    """Waits for the end, with a line of progress on stderr."""
    columns = (
        TextColumn("inspecting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
    )
    console = Console(stderr=True, quiet=quiet)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        while True:
            found: dict[str, Any] = await api.call("GET", path)
            progress.update(
                task,
                total=found["total"],
                completed=found["done"],
                description=_counts(found["counts"]),
            )
            if found["state"] != "running":
                return found
            await asyncio.sleep(POLL_S)


def _tell(done: Mapping[str, Any], cards: Iterable[Mapping[str, Any]], language: str) -> None:
    found = [card for card in cards if card["findings"]]
    found.sort(key=lambda card: (card["verdict"] != "fails", card["code"], card["profile"]))
    rows = [
        {
            **card,
            "stream": _stream(card["facts"]),
            "findings": [each["code"] for each in card["findings"]],
        }
        for card in found
    ]
    if rows:
        show_rows(rows, ("code", "name", "profile", "verdict", "stream", "findings"), as_json=False)
        say("")
        advice = {each["code"]: each for card in found for each in card["findings"]}
        for code, each in advice.items():
            say(f"{code} ({each['severity']}): {each[language]}")
        say("")
    say(f"{done['done']} of {done['total']} inspected: {_counts(done['counts']) or 'none'}.")


def _counts(counts: Mapping[str, int]) -> str:
    words = (("plays", "play"), ("limited", "limited"), ("fails", "do not play"), ("gone", "gone"))
    return ", ".join(f"{counts[key]} {word}" for key, word in words if counts.get(key))


def _stream(facts: Mapping[str, Any]) -> str:
    """In one cell: `H264 Main 1920x1080 25 fps 4.0 Mbit/s, GOP 2.0 s`."""
    if facts["codec"] is None:
        return "-"
    words = [facts["codec"], facts["profile"] or ""]
    if facts["width"]:
        words.append(f"{facts['width']}x{facts['height']}")
    if facts["fps_measured"]:
        words.append(f"{facts['fps_measured']:g} fps")
    if facts["bit_rate_bps"]:
        words.append(f"{facts['bit_rate_bps'] / 1e6:.1f} Mbit/s")
    if facts["gop_ms"]:
        words.append(f"GOP {facts['gop_ms'] / 1000:.1f} s")
    elif facts["gop_at_least_ms"]:
        words.append(f"GOP over {facts['gop_at_least_ms'] / 1000:.1f} s")
    return " ".join(word for word in words if word)

"""`streamhub camera inspect`: have cameras looked at, and say what to change in their menus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
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
MAX_WHOLE_CARDS = 20  # more are a table
UNKNOWN = "-"
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
    told = sorted(
        cards, key=lambda card: (card["verdict"] != "fails", card["code"], card["profile"])
    )
    if len(told) <= MAX_WHOLE_CARDS:
        for card in told:
            _tell_card(card, language)
    else:
        _tell_table(told, language)
    say(f"{done['done']} of {done['total']} inspected: {_counts(done['counts']) or 'none'}.")


def _tell_card(card: Mapping[str, Any], language: str) -> None:
    facts = card["facts"]
    say(f"{card['code']}  {card['name']}  {card['profile']}  {card['verdict']}")
    if facts["failed_step"]:
        say(f"  stopped   at {facts['failed_step']}: {facts['failure']}")
    for label, words in (
        ("video", _stream(facts)),
        ("audio", _audio(facts)),
        ("clock", _clock(facts)),
        ("keyframe", _keyframe(facts)),
    ):
        if words != UNKNOWN:
            say(f"  {label:<8}  {words}")
    for each in card["findings"]:
        say(f"  {_advice(each, language)}")
    say("")


def _tell_table(cards: Sequence[Mapping[str, Any]], language: str) -> None:
    rows = [
        {
            **card,
            "video": _stream(card["facts"]),
            "audio": _audio(card["facts"]),
            "clock": _clock(card["facts"]),
            "keyframe": _keyframe(card["facts"]),
            "findings": [each["code"] for each in card["findings"]],
        }
        for card in cards
    ]
    columns = ("code", "name", "profile", "verdict", "video", "audio", "clock", "keyframe")
    show_rows(rows, (*columns, "findings"), as_json=False)
    say("")
    advice = {each["code"]: each for card in cards for each in card["findings"]}
    for each in advice.values():
        say(_advice(each, language))
    if advice:
        say("")


def _advice(finding: Mapping[str, Any], language: str) -> str:
    return f"{finding['code']} ({finding['severity']}): {finding[language]}"


def _counts(counts: Mapping[str, int]) -> str:
    words = (("plays", "play"), ("limited", "limited"), ("fails", "do not play"), ("gone", "gone"))
    return ", ".join(f"{counts[key]} {word}" for key, word in words if counts.get(key))


def _stream(facts: Mapping[str, Any]) -> str:
    """In one cell: `H264 Main 1920x1080 25 fps 4.0 Mbit/s, GOP 2.0 s`."""
    if facts["codec"] is None:
        return UNKNOWN
    words = [facts["codec"], facts["profile"] or ""]
    if facts["width"]:
        words.append(f"{facts['width']}x{facts['height']}")
    if facts["fps_measured"]:
        words.append(f"{facts['fps_measured']:g} fps")
    if facts["bit_rate_bps"]:
        words.append(f"{facts['bit_rate_bps'] / 1e6:.1f} Mbit/s")
    text = " ".join(word for word in words if word)
    if facts["gop_ms"]:
        return f"{text}, GOP {facts['gop_ms'] / 1000:.1f} s"
    if facts["gop_at_least_ms"]:
        return f"{text}, GOP over {facts['gop_at_least_ms'] / 1000:.1f} s"
    return text


def _audio(facts: Mapping[str, Any]) -> str:
    if facts["codec"] is None:
        return UNKNOWN  # what it offers was not learnt
    return facts["audio"] or "none"


def _clock(facts: Mapping[str, Any]) -> str:
    skew = facts["clock_skew_ms"]
    if skew is None:
        return UNKNOWN
    return f"{abs(skew) / 1000:.1f} s {'behind' if skew < 0 else 'ahead'}"


def _keyframe(facts: Mapping[str, Any]) -> str:
    after = facts["first_keyframe_ms"]
    return UNKNOWN if after is None else f"after {after} ms"

"""`streamhub camera discover`: sweep networks for cameras, and import what was found."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from .camera_import import POLL_S, app
from .control import Api, AsJson, CliError, run
from .output import print_json, say, show_rows

__all__ = ["app"]

SWEEPS = "/api/v1/sweeps"


@app.command("discover")
def discover(
    networks: Annotated[
        list[str] | None, typer.Argument(help="Networks like 10.1.2.0/24, or addresses.")
    ] = None,
    port: Annotated[
        list[int] | None, typer.Option(help="Of ONVIF; may be repeated.", min=1, max=65535)
    ] = None,
    interface: Annotated[
        list[str] | None,
        typer.Option(help="An address of ours to probe from by multicast; may be repeated."),
    ] = None,
    credentials: Annotated[
        Path | None, typer.Option(help="A file with a line `user:password` for each set to try.")
    ] = None,
    username: Annotated[str | None, typer.Option(help="One set; the password is asked.")] = None,
    make_import: Annotated[
        bool, typer.Option("--import", help="Make an import of the new ones, to be applied.")
    ] = False,
    area: Annotated[str | None, typer.Option(help="With --import: code of their area.")] = None,
    device_class: Annotated[str, typer.Option("--class", help="With --import.")] = "police_hd",
    mint: Annotated[
        str, typer.Option(help="With --import: industry, type and network of their codes.")
    ] = "001321",
    as_json: AsJson = False,
) -> None:
    """Find cameras that speak ONVIF, try user names on them (three at most on each), and show
    what they are. Needs a running service."""
    body: dict[str, Any] = {
        "networks": networks or [],
        "interfaces": interface or [],
        "credentials": _sets(credentials, username),
    }
    if port:
        body["ports"] = port
    chosen = {"area": area, "device_class": device_class, "mint": mint}

    async def work(api: Api) -> tuple[dict[str, Any], list[dict[str, Any]], Any]:
        sweep = await api.call("POST", SWEEPS, body=body)
        path = f"{SWEEPS}/{sweep['id']}"
        sweep = await _ended(api, path, quiet=as_json)
        devices = await _devices(api, path)
        job = await api.call("POST", f"{path}/import", body=chosen) if make_import else None
        return sweep, devices, job

    sweep, devices, job = run(work)
    if as_json:
        print_json({**sweep, "devices": devices, "import": job})
        return
    for each in devices:
        each["channels"] = len(each["channels"])
        each["clock"] = _clock(each["clock_offset_s"])
        each["says"] = each["sentence"] or "; ".join(each["notes"])
    columns = ("host", "port", "manufacturer", "model", "channels", "credential_set", "clock")
    show_rows(devices, (*columns, "registered", "says"), as_json=False)
    say(f"{sweep['done']} of {sweep['total']} asked, {len(devices)} found ({sweep['state']}).")
    if job is not None:
        say(f"Nothing is changed yet. To look at the import: streamhub camera imports {job['id']}")


async def _ended(api: Api, path: str, *, quiet: bool) -> dict[str, Any]:
    """Waits for the sweep, with a line of progress on stderr. Ctrl-C leaves it running."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    console = Console(stderr=True, quiet=quiet)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("asking", total=None)
        while True:
            sweep: dict[str, Any] = await api.call("GET", path)
            progress.update(
                task,
                description=f"asking, {sweep['found']} found",
                completed=sweep["done"],
                total=sweep["total"] or None,
            )
            if sweep["state"] != "running":
                return sweep
            await asyncio.sleep(POLL_S)


async def _devices(api: Api, path: str) -> list[dict[str, Any]]:
    devices: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        page = await api.call("GET", f"{path}/devices", params={"after": after, "limit": 500})
        devices += page["items"]
        after = page["next_after"]
    return devices


def _sets(file: Path | None, username: str | None) -> list[dict[str, str]]:
    sets = []
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            raise CliError(f"{file} can't be read.", exit_code=2) from None
        for number, line in enumerate(lines, 1):
            user, colon, password = line.partition(":")
            if not line.strip():
                continue
            if not colon or not user.strip():
                raise CliError(f"{file}, line {number}: write user:password.", exit_code=2)
            sets.append({"name": f"line {number}", "username": user, "password": password})
    if username is not None:
        password = typer.prompt(f"Password of {username}", hide_input=True)
        sets.append({"name": username[:60], "username": username, "password": password})
    return sets


def _clock(offset_s: float | None) -> str:
    return "" if offset_s is None or abs(offset_s) < 5 else f"{offset_s:+.0f} s"

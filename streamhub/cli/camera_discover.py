"""`streamhub camera discover`: sweep networks for cameras, and import what was found; `camera
sweep` looks at one, stops it, goes on with it or imports it later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
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

MakeImport = Annotated[
    bool, typer.Option("--import", help="Make an import of the new ones, to be applied.")
]
ItsArea = Annotated[str | None, typer.Option(help="With --import: code of their area.")]
ItsClass = Annotated[str, typer.Option("--class", help="With --import.")]
ItsMint = Annotated[
    str, typer.Option(help="With --import: industry, type and network of their codes.")
]
RegisteredToo = Annotated[
    bool,
    typer.Option(
        "--registered-too",
        help="With --import: devices whose host is in the registry: a recorder's other cameras.",
    ),
]


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
    try_again: Annotated[
        bool,
        typer.Option(
            "--try-again",
            help="Devices that refused three sets before are tried again; wait half an hour first,"
            " as some have locked the account.",
        ),
    ] = False,
    make_import: MakeImport = False,
    area: ItsArea = None,
    device_class: ItsClass = "police_hd",
    mint: ItsMint = "001321",
    registered_too: RegisteredToo = False,
    as_json: AsJson = False,
) -> None:
    """Find cameras that speak ONVIF, try user names on them (three at most on each), and show
    what they are. Needs a running service; Ctrl-C leaves the sweep running (`camera sweep`)."""
    body: dict[str, Any] = {
        "networks": networks or [],
        "interfaces": interface or [],
        "credentials": _sets(credentials, username),
        "try_again": try_again,
    }
    if port:
        body["ports"] = port
    chosen = _choice(area, device_class, mint, registered_too) if make_import else None

    async def begin(api: Api) -> str:
        sweep: dict[str, Any] = await api.call("POST", SWEEPS, body=body)
        return f"{SWEEPS}/{sweep['id']}"

    _follow(begin, chosen, as_json=as_json)


@app.command("sweeps")
def list_sweeps(
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20, as_json: AsJson = False
) -> None:
    """The sweeps there were, the newest first."""

    async def work(api: Api) -> list[dict[str, Any]]:
        page = await api.call("GET", SWEEPS, params={"limit": limit})
        return list(page["items"])

    rows = run(work)
    if not as_json:
        for row in rows:
            row["where"] = ", ".join((*row["networks"], *row["interfaces"]))
    columns = ("id", "created_at", "created_by", "state", "done", "total", "found", "where")
    show_rows(rows, columns, as_json=as_json)


@app.command("sweep")
def one_sweep(
    sweep_id: Annotated[str, typer.Argument(help="Of `camera sweeps`.")],
    stop: Annotated[bool, typer.Option("--stop", help="Stop it where it is.")] = False,
    go_on: Annotated[bool, typer.Option("--go-on", help="Take a stopped one up again.")] = False,
    make_import: MakeImport = False,
    area: ItsArea = None,
    device_class: ItsClass = "police_hd",
    mint: ItsMint = "001321",
    registered_too: RegisteredToo = False,
    as_json: AsJson = False,
) -> None:
    """Follow one sweep to its end and show what it found; or stop it, go on, import it."""
    if stop and go_on:
        raise CliError("Say --stop or --go-on, not both.", exit_code=2)
    chosen = _choice(area, device_class, mint, registered_too) if make_import else None

    async def begin(api: Api) -> str:
        path = f"{SWEEPS}/{sweep_id}"
        if stop or go_on:
            await api.call("POST", f"{path}/{'stop' if stop else 'go-on'}")
        return path

    _follow(begin, chosen, as_json=as_json)


def _choice(area: str | None, device_class: str, mint: str, registered_too: bool) -> dict[str, Any]:
    return {
        "area": area,
        "device_class": device_class,
        "mint": mint,
        "registered_too": registered_too,
    }


def _follow(
    begin: Callable[[Api], Awaitable[str]], chosen: dict[str, Any] | None, *, as_json: bool
) -> None:
    """One sweep to its end, and an import of it if `chosen`. What was found is shown even if it
    can't be imported."""

    async def work(api: Api) -> tuple[dict[str, Any], list[dict[str, Any]], Any, CliError | None]:
        path = await begin(api)
        sweep = await _ended(api, path, quiet=as_json)
        devices = await _devices(api, path)
        try:
            job = None if chosen is None else await api.call("POST", f"{path}/import", body=chosen)
        except CliError as error:
            return sweep, devices, None, error
        return sweep, devices, job, None

    sweep, devices, job, refused = run(work)
    if as_json:
        print_json({**sweep, "devices": devices, "import": job})
    else:
        _tell(sweep, devices, job)
    if refused is not None:
        raise refused


def _tell(sweep: dict[str, Any], devices: list[dict[str, Any]], job: Any) -> None:
    for each in devices:
        each["channels"] = len(each["channels"])
        each["clock"] = _clock(each["clock_offset_s"])
        each["says"] = each["sentence"] or "; ".join(each["notes"])
    columns = ("host", "port", "manufacturer", "model", "channels", "credential_set", "clock")
    if devices:
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
    from streamhub.discovery.found import by_address

    devices: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        page = await api.call("GET", f"{path}/devices", params={"after": after, "limit": 500})
        devices += page["items"]
        after = page["next_after"]
    return sorted(devices, key=lambda each: by_address(each["host"], each["port"]))


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

"""`streamhub device list|edit|listen|rotate-passwords`."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .area import area_by
from .control import LONG_S, Api, AsJson, CliError, run
from .output import print_json, say, show_rows

app = typer.Typer(no_args_is_help=True, help="Devices: boxes with an address and credentials.")

COLUMNS = ("host", "port", "username", "password")
MAX_FILE_BYTES = 4 << 20
# Lines of a terminal that somebody still reads; `--json` has them all.
MAX_LINES = 50


@app.command("list")
def list_devices(
    q: Annotated[str | None, typer.Argument(help="Part of the name or host.")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 100,
    as_json: AsJson = False,
) -> None:
    """List devices."""
    rows = run(lambda api: api.all("/api/v1/devices", limit=limit, q=q))
    columns = (
        *("id", "name", "host", "port", "username", "has_password", "max_dials"),
        "events_state",
    )
    show_rows(rows, columns, as_json=as_json)


@app.command("edit")
def edit(
    devices: Annotated[list[str], typer.Argument(metavar="ID...", help="Of `device list`.")],
    max_dials: Annotated[
        int, typer.Option(min=1, help="Streams of one device at once, those of viewers counted.")
    ],
    as_json: AsJson = False,
) -> None:
    """Set the dials within which inspections keep: a recorder often bears more than the usual 4."""

    async def work(api: Api) -> list[dict[str, Any]]:
        body = {"max_dials": max_dials}
        return [await api.call("PATCH", f"/api/v1/devices/{each}", body=body) for each in devices]

    show_rows(run(work), ("id", "name", "host", "port", "max_dials"), as_json=as_json)


@app.command("listen")
def listen(
    devices: Annotated[list[str], typer.Argument(metavar="ID...", help="Of `device list`.")],
    off: Annotated[bool, typer.Option("--off", help="Ask no longer.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask devices for what they say by themselves: motion, tampering, inputs (ONVIF)."""

    async def work(api: Api) -> list[dict[str, Any]]:
        body = {"listen_to_events": not off}
        return [await api.call("PATCH", f"/api/v1/devices/{each}", body=body) for each in devices]

    columns = ("id", "name", "host", "listen_to_events", "events_state")
    show_rows(run(work), columns, as_json=as_json)


@app.command("rotate-passwords")
def rotate_passwords(
    file: Annotated[
        Path | None, typer.Argument(help="CSV with the columns host, port, username, password.")
    ] = None,
    area: Annotated[
        str | None, typer.Option(help="Or: all devices with a camera here or below, one password.")
    ] = None,
    username: Annotated[
        str | None, typer.Option(help="With --area; left out, each keeps its own.")
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="With --area: read it from standard input.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be changed.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell the registry what many devices' passwords are by now: all of them, or none.

    It tells no device. There is no undo: the passwords of before are not kept.
    """
    if (file is None) == (area is None):
        raise CliError("Give either a FILE or --area.", exit_code=2)
    if not (dry_run or yes) and not sys.stdin.isatty():
        raise CliError("Nobody is there to ask; say --dry-run or --yes.", exit_code=2)
    if file is not None:
        order: dict[str, Any] = {"devices": read_credentials(file)}
    else:
        order = {"username": username, "password": _password(password_stdin)}

    async def work(api: Api) -> dict[str, Any]:
        if area is not None:
            order["area_id"] = (await area_by(api, area))["id"]
        report = await _ask(api, {**order, "dry_run": True})
        if report["refused"] or dry_run:
            return report
        if not yes:
            _summary(report)
            typer.confirm("Change them? There is no undo", abort=True)
        return await _ask(api, order)

    report = run(work)
    if as_json:
        print_json(report)
    else:
        _summary(report)
    if report["refused"]:
        raise typer.Exit(1)


async def _ask(api: Api, body: dict[str, Any]) -> dict[str, Any]:
    path = "/api/v1/devices/rotate-passwords"
    report: dict[str, Any] = await api.call("POST", path, body=body, timeout_s=LONG_S)
    return report


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    return str(typer.prompt("The devices' password", hide_input=True, confirmation_prompt=True))


def read_credentials(file: Path) -> list[dict[str, Any]]:
    """The rows of the CSV (UTF-8, with or without a mark) as the API takes them. Raises CliError
    naming the row, counted as in the file, and the column; never what stands there."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise CliError(f"{file} can't be read ({error.strerror}).", exit_code=2) from None
    if len(content) > MAX_FILE_BYTES:
        raise CliError(f"{file} has over {MAX_FILE_BYTES >> 20} MiB; cut it.", exit_code=2)
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        if set(reader.fieldnames or ()) != set(COLUMNS):
            raise CliError(
                f"{file}: the first line names the columns {', '.join(COLUMNS)}.", exit_code=2
            )
        return [_row(file, reader.line_num, each) for each in reader]
    except UnicodeDecodeError:
        raise CliError(f"{file} is not UTF-8; save it as CSV UTF-8.", exit_code=2) from None
    except csv.Error:
        raise CliError(f"{file} is no CSV; look at its quotes.", exit_code=2) from None


def _row(file: Path, number: int, cells: dict[str, Any]) -> dict[str, Any]:
    if None in cells or None in cells.values():
        raise CliError(f"{file}: row {number} has not {len(COLUMNS)} cells.", exit_code=2)
    port = str(cells["port"]).strip() or "554"
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        raise CliError(f"{file}: row {number}, port: give 1 to 65535, or nothing.", exit_code=2)
    if not cells["password"]:
        raise CliError(f"{file}: row {number}, password: it is empty.", exit_code=2)
    return {
        "row": number,
        "host": str(cells["host"]).strip(),
        "port": int(port),
        "username": str(cells["username"]).strip() or None,
        "password": cells["password"],
    }


def _summary(report: dict[str, Any]) -> None:
    for each in report["refused"][:MAX_LINES]:
        row = "" if each["row"] is None else f"row {each['row']}, "
        say(f"{row}{each['host']}:{each['port']}: {each['sentence']} ({each['code']})")
    number, refused = len(report["devices"]), len(report["refused"])
    if report["applied"]:
        say(f"changed the passwords of {number} devices")
        return
    say(f"would change the passwords of {number} devices; refused {refused}")
    for each in report["devices"][:MAX_LINES]:
        renamed = each["username"] != each["username_before"]
        user = f"{each['username_before'] or '-'} -> {each['username']}" if renamed else "as it is"
        say(f"  {each['host']}:{each['port']}  {each['name']}  username {user}")
    if number > MAX_LINES:
        say(f"  and {number - MAX_LINES} more; --json lists them all")
    if report["channels_elsewhere"]:
        say(f"they have {report['channels_elsewhere']} cameras outside this area, too")

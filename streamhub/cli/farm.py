"""`streamhub farm`: makes the clips once, then becomes the camera simulator (docs/farm.md), or
with `--onvif` runs it beside the simulated ONVIF devices."""

from __future__ import annotations

import asyncio
import ipaddress
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from camera_registry.secret import Secret
from streamhub.farm_onvif.auth import Credentials
from streamhub.farm_onvif.plan import OnvifOptions, PlanInvalid, build, read_credentials

from .control import CliError

BINARY = Path(__file__).resolve().parent.parent / "_bin" / "farm"
CLIPS_DIR = Path(".cache/clips")
ONVIF = "Simulated ONVIF devices"


def make_clips(cache_dir: Path) -> Path:
    """Return the directory of clips, with a progress line on stderr when they must be made."""
    from streamhub.farm_clips import ensure_clips

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = None

        def on_progress(done: int, total: int) -> None:
            nonlocal task
            if task is None:
                task = progress.add_task("encoding the clips", total=total)
            progress.update(task, completed=done)

        try:
            return ensure_clips(cache_dir, on_progress=on_progress)
        except OSError as error:
            raise CliError(
                f"The clips cannot be written to {cache_dir} ({error.strerror or error}); "
                "choose another directory with --clips-dir."
            ) from None


def farm(
    listen: Annotated[str, typer.Option(help="Address and port; port 0 takes a free one.")] = (
        "127.0.0.1:8554"
    ),
    cameras: Annotated[int, typer.Option(help="How many cameras there are.", min=1)] = 3000,
    username: Annotated[
        str, typer.Option(help="Who may ask for streams.", envvar="STREAMHUB_FARM_USERNAME")
    ] = "admin",
    rtsp_session_timeout_s: Annotated[
        int, typer.Option(help="A client silent for longer is closed.", min=1)
    ] = 60,
    clips_dir: Annotated[Path, typer.Option(help="Where the encoded clips are kept.")] = CLIPS_DIR,
    onvif: Annotated[
        str | None,
        typer.Option(
            help="Simulated ONVIF devices too, one at each address, as 127.20.0.0/22.",
            metavar="NETWORK",
            rich_help_panel=ONVIF,
        ),
    ] = None,
    onvif_port: Annotated[
        int, typer.Option(help="Their HTTP port.", min=1, max=65535, rich_help_panel=ONVIF)
    ] = 8000,
    onvif_devices: Annotated[
        int | None,
        typer.Option(help="Only so many of the addresses.", min=1, rich_help_panel=ONVIF),
    ] = None,
    onvif_channels: Annotated[
        int, typer.Option(help="Channels of each device.", min=1, max=64, rich_help_panel=ONVIF)
    ] = 1,
    onvif_fault: Annotated[
        list[str] | None,
        typer.Option(help="KIND=share, as dead=0.2; may be repeated.", rich_help_panel=ONVIF),
    ] = None,
    onvif_plan: Annotated[
        Path | None, typer.Option(help="A YAML file for single devices.", rich_help_panel=ONVIF)
    ] = None,
    onvif_lockout: Annotated[
        int,
        typer.Option(help="Failed tries that lock a device's user.", min=1, rich_help_panel=ONVIF),
    ] = 5,
    onvif_discovery_port: Annotated[
        int,
        typer.Option(help="WS-Discovery; 0 for none.", min=0, max=65535, rich_help_panel=ONVIF),
    ] = 3702,
) -> None:
    """Simulate thousands of RTSP cameras, and ONVIF devices in front of them, until Ctrl-C.

    The cameras ask for the password in STREAMHUB_FARM_PASSWORD; without it, for none. ONVIF devices
    take the sets in STREAMHUB_FARM_ONVIF_CREDENTIALS in turn, if there are any (docs/farm.md).
    """
    if not os.access(BINARY, os.X_OK):
        raise CliError(f"The camera simulator is not built ({BINARY} is missing): run `make core`.")
    if onvif is None and (onvif_devices or onvif_fault or onvif_plan):
        raise CliError("Say where the ONVIF devices are, as --onvif 127.20.0.0/22.", exit_code=2)
    password = os.environ.get("STREAMHUB_FARM_PASSWORD")
    options = None
    if onvif is not None:
        rtsp_farm = _rtsp_address(listen)
        options = OnvifOptions(
            network=onvif,
            port=onvif_port,
            devices=onvif_devices,
            channels=onvif_channels,
            faults=tuple(onvif_fault or ()),
            plan=onvif_plan,
            lockout_tries=onvif_lockout,
            credentials=_credentials(username, None if not password else Secret(password)),
            rtsp_port=rtsp_farm[1],
        )
        cameras = max(cameras, _channels(options))
    clips = make_clips(clips_dir)
    arguments = {
        "--listen": listen,
        "--clips": str(clips),
        "--cameras": str(cameras),
        "--username": username,
        "--rtsp-session-timeout-s": str(rtsp_session_timeout_s),
    }
    words = [str(BINARY), *(word for pair in arguments.items() for word in pair)]
    if options is None:
        os.execv(BINARY, words)  # noqa: S606  (no shell: the farm takes our place)
    from streamhub.farm_onvif import process
    from streamhub.farm_onvif.server import FarmUnavailable

    try:
        asyncio.run(process.run(options, onvif_discovery_port, words, rtsp_farm))
    except (FarmUnavailable, process.FarmEnded) as error:
        raise CliError(str(error)) from None


def _rtsp_address(listen: str) -> tuple[str, int]:
    """Where the RTSP farm will listen."""
    host, _, port = listen.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
        number = int(port)
    except ValueError:
        raise CliError(
            f"--listen takes an address and a port like 127.0.0.1:8554, not {listen}.", exit_code=2
        ) from None
    if number == 0:
        raise CliError(
            "With --onvif give --listen a port: the devices' stream URIs tell it.", exit_code=2
        )
    return str(address), number


def _credentials(username: str, password: Secret | None) -> tuple[Credentials, ...]:
    sets = os.environ.get("STREAMHUB_FARM_ONVIF_CREDENTIALS")
    try:
        if sets:
            return read_credentials(sets)
    except PlanInvalid as error:
        raise CliError(f"STREAMHUB_FARM_ONVIF_CREDENTIALS: {error}", exit_code=2) from None
    return (Credentials(username, password),) if password else ()


def _channels(options: OnvifOptions) -> int:
    """How many cameras the devices have in all; mistakes in the options are found here."""
    try:
        return sum(device.spec.channels for device in build(options))
    except PlanInvalid as error:
        raise CliError(str(error), exit_code=2) from None

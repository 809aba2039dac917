"""`streamhub farm`: makes the clips once, then becomes the camera simulator (docs/farm.md)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from .control import CliError

BINARY = Path(__file__).resolve().parent.parent / "_bin" / "farm"
CLIPS_DIR = Path(".cache/clips")


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
) -> None:
    """Simulate thousands of RTSP cameras, until Ctrl-C.

    The cameras ask for the password in STREAMHUB_FARM_PASSWORD; without it, for none.
    """
    if not os.access(BINARY, os.X_OK):
        raise CliError(f"The camera simulator is not built ({BINARY} is missing): run `make core`.")
    clips = make_clips(clips_dir)
    arguments = {
        "--listen": listen,
        "--clips": str(clips),
        "--cameras": str(cameras),
        "--username": username,
        "--rtsp-session-timeout-s": str(rtsp_session_timeout_s),
    }
    words = [word for pair in arguments.items() for word in pair]
    os.execv(BINARY, [str(BINARY), *words])  # noqa: S606  (no shell: the farm takes our place)

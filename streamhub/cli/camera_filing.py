"""`streamhub camera review|file|refuse|reopen|filing`: from a draft to what operators see."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .area import area_by
from .camera import channel_by
from .camera_import import app
from .control import LONG_S, Api, AsJson, CliError, run
from .output import say, show_object

__all__ = ["app"]  # all commands of `camera`: those of the other files, and these

SETTINGS = "/api/v1/filing-settings"

Cameras = Annotated[list[str] | None, typer.Argument(help="Ids or codes.")]
OfArea = Annotated[str | None, typer.Option("--area", help="Id, code or name; with all below.")]
OfImport = Annotated[str | None, typer.Option("--import", help="What this import brought.")]


@app.command()
def review(
    cameras: Cameras = None,
    area: OfArea = None,
    of_import: OfImport = None,
    without_own: Annotated[
        bool, typer.Option("--without-own", help="Leave out what you changed yourself.")
    ] = False,
) -> None:
    """Drafts are good: they may be filed."""
    _step("review", "reviewed", cameras, area, of_import, without_own=without_own)


@app.command()
def file(cameras: Cameras = None, area: OfArea = None, of_import: OfImport = None) -> None:
    """File what was reviewed: operators see it from now on."""
    _step("file", "filed", cameras, area, of_import)


@app.command()
def refuse(
    reason: Annotated[str, typer.Option(help="What has to be put right.")],
    cameras: Cameras = None,
    area: OfArea = None,
    of_import: OfImport = None,
) -> None:
    """Send drafts back with a reason."""
    _step("refuse", "refused", cameras, area, of_import, reason=reason)


@app.command()
def reopen(
    cameras: Cameras = None,
    area: OfArea = None,
    of_import: OfImport = None,
    reason: Annotated[str | None, typer.Option(help="Why.")] = None,
) -> None:
    """Make drafts again of what is filed; operators' views of it end at once."""
    _step("reopen", "reopened", cameras, area, of_import, reason=reason)


@app.command()
def filing(
    second_person: Annotated[
        str | None, typer.Option(help="on or off: who reviews is not who changed it last.")
    ] = None,
    by_hand: Annotated[
        str | None, typer.Option(help="draft or filed: what is added or changed by hand.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show or change how this site files; changes are audited."""
    if second_person not in (None, "on", "off"):
        raise CliError("Say --second-person on, or off.", exit_code=2)

    async def work(api: Api) -> Any:
        if second_person is None and by_hand is None:
            return await api.call("GET", SETTINGS)
        body = {
            "second_person": None if second_person is None else second_person == "on",
            "by_hand": by_hand,
        }
        return await api.call("PUT", SETTINGS, body=body)

    changes = second_person is not None or by_hand is not None
    show_object(run(work, begins=changes), as_json=as_json)


def _step(
    step: str,
    done: str,
    cameras: list[str] | None,
    area: str | None,
    of_import: str | None,
    **more: Any,
) -> None:
    if sum(bool(each) for each in (cameras, area, of_import)) != 1:
        raise CliError("Name cameras, or --area, or --import: one of these.", exit_code=2)

    async def work(api: Api) -> Any:
        body: dict[str, Any] = {"step": step, "import_id": of_import, **more}
        if area is not None:
            body["area_id"] = (await area_by(api, area))["id"]
        if cameras:
            body["channel_ids"] = [(await channel_by(api, each))["id"] for each in cameras]
        return await api.call("POST", "/api/v1/channel-filing", body=body, timeout_s=LONG_S)

    outcome = run(work)
    left = f", {outcome['left_out']} left out" if outcome["left_out"] else ""
    say(f"{done} {outcome['changed']}{left}")

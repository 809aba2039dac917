"""`streamhub grant explain|who-can`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .camera import channel_by
from .control import Api, AsJson, run
from .grant import app as app
from .output import print_json, say, show_rows

Camera = Annotated[str, typer.Argument(help="Id or code.")]


@app.command()
def explain(
    username: str,
    camera: Camera,
    action: Annotated[str, typer.Argument(help="e.g. live")],
    at: Annotated[
        str | None, typer.Option(help="RFC 3339; as the grants are now. Left out: now.")
    ] = None,
    language: Annotated[str, typer.Option(help="zh or en.")] = "zh",
    as_json: AsJson = False,
) -> None:
    """Why somebody may, or may not, do this to a camera."""

    async def work(api: Api) -> dict[str, Any]:
        channel = await channel_by(api, camera)
        asked = {"subject": username, "action": action, "at": at}
        params = {key: value for key, value in asked.items() if value is not None}
        found: dict[str, Any] = await api.call(
            "GET", f"/api/v1/channels/{channel['id']}/explain", params=params
        )
        return found

    found = run(work)
    if as_json:
        print_json(found)
        return
    language = language if language in found["sentence"] else "en"
    say(found["sentence"][language])
    for each in found["grants"]:
        say(f"  {each['sentence'][language]}")


@app.command("who-can")
def who_can(
    camera: Camera,
    limit: Annotated[int, typer.Option(min=1)] = 500,
    as_json: AsJson = False,
) -> None:
    """Everybody who may do anything to a camera now, until when and by which grants."""

    async def work(api: Api) -> list[dict[str, Any]]:
        channel = await channel_by(api, camera)
        return await api.all(f"/api/v1/channels/{channel['id']}/who-can", limit=limit)

    found = run(work)
    if as_json:
        print_json(found)
        return
    rows = [
        {
            "username": who["username"],
            "action": each["action"],
            "until": f"at least {each['until']}" if each["until_is_least"] else each["until"],
            "purpose": each["purpose_required"],
            "grants": " ".join(each["grant_ids"]),
        }
        for who in found
        for each in who["actions"]
    ]
    show_rows(rows, ("username", "action", "until", "purpose", "grants"), as_json=False)

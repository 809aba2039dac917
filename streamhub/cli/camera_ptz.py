"""`streamhub camera ptz`: steer a camera from the command line."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Annotated, Any

import typer

from .camera import channel_by
from .camera_import import app
from .control import Api, AsJson, CliError, run
from .output import show_object, show_rows

__all__ = ["app"]  # all commands of `camera`: those of the other files, and these

# Three within the time after which the service stops the camera.
RENEW_S = 0.25


class Act(StrEnum):
    STATUS = "status"
    MOVE = "move"
    ABSOLUTE = "absolute"
    STOP = "stop"
    PRESETS = "presets"
    GO_TO = "go-to"
    SET = "set"
    TAKE = "take"
    RELEASE = "release"


@app.command()
def ptz(
    camera: Annotated[str, typer.Argument(help="Id or code.")],
    act: Annotated[Act, typer.Argument()] = Act.STATUS,
    pan: Annotated[float | None, typer.Option(min=-1, max=1, help="Right is positive.")] = None,
    tilt: Annotated[float | None, typer.Option(min=-1, max=1, help="Up is positive.")] = None,
    zoom: Annotated[float | None, typer.Option(min=-1, max=1, help="In is positive.")] = None,
    for_s: Annotated[
        float, typer.Option("--for", min=0.1, max=60, help="Seconds that a move goes on.")
    ] = 1.0,
    preset: Annotated[
        str | None, typer.Option(help="Of go-to and set: the camera's token.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of set.")] = None,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="From whoever steers it now.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Steer a camera: status, move, absolute, stop, presets, go-to, set, take, release."""
    vector = {"pan": pan, "tilt": tilt, "zoom": zoom}

    async def work(api: Api) -> Any:
        channel = await channel_by(api, camera)
        path = f"/api/v1/channels/{channel['id']}/ptz"
        if act is Act.STATUS:
            return await api.call("GET", path)
        if act is Act.PRESETS:
            return (await api.call("GET", f"{path}/presets"))["items"]
        body = _body(act, vector, preset, name)
        if act not in (Act.STOP, Act.RELEASE):
            body["take_over"] = take_over
        if act is not Act.MOVE:
            return await api.call("POST", path, body=body)
        return await _move(api, path, body, for_s)

    done = run(work)
    if act is Act.PRESETS:
        show_rows(done, ("preset", "name"), as_json=as_json)
    else:
        show_object(done, as_json=as_json)


def _body(
    act: Act, vector: dict[str, float | None], preset: str | None, name: str | None
) -> dict[str, Any]:
    match act:
        case Act.MOVE | Act.ABSOLUTE:
            return {"act": act.value, **vector}
        case Act.GO_TO:
            if preset is None:
                raise CliError("Say where to: --preset, as `presets` lists them.", exit_code=2)
            return {"act": "go_to_preset", "preset": preset}
        case Act.SET:
            if name is None:
                raise CliError("Give the preset a --name.", exit_code=2)
            return {"act": "set_preset", "name": name, "preset": preset}
    return {"act": act.value}


async def _move(api: Api, path: str, body: dict[str, Any], for_s: float) -> Any:
    """Repeated while it goes on; should this command die, the service stops the camera."""
    loop = asyncio.get_running_loop()
    until = loop.time() + for_s
    await api.call("POST", path, body=body)
    while (left_s := until - loop.time()) > 0:
        await asyncio.sleep(min(RENEW_S, left_s))
        if loop.time() < until:
            await api.call("POST", path, body=body | {"take_over": False})
    return await api.call("POST", path, body={"act": "stop"})

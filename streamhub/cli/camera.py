"""`streamhub camera add|list|show|remove|sensitive|check`."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Annotated, Any

import typer

from .area import area_by
from .control import Api, AsJson, CliError, run
from .output import print_json, say, show_object, show_rows

app = typer.Typer(no_args_is_help=True, help="Cameras (channels).")


async def channel_by(api: Api, text: str) -> dict[str, Any]:
    """The channel with that id or 20-digit code. Raises CliError when there is none."""
    if text.isdigit():
        found = await api.all("/api/v1/channels", limit=2, q=text)
        for each in found:
            if each["code"] == text:
                text = each["id"]
                break
        else:
            raise CliError(f"There is no camera with code {text}; see `streamhub camera list`.")
    channel: dict[str, Any] = await api.call("GET", f"/api/v1/channels/{text}")
    return channel


@app.command()
def add(
    code: Annotated[str, typer.Argument(help="20 digits.")],
    name: str,
    url: Annotated[str, typer.Option(help="rtsp://user@host/path of the main stream.")],
    area: Annotated[str, typer.Option(help="Id, code or name.")],
    sub_url: Annotated[str | None, typer.Option(help="The sub stream's URL.")] = None,
    device_class: Annotated[str, typer.Option("--class")] = "police_hd",
    username: Annotated[str | None, typer.Option()] = None,
    ask_password: Annotated[
        bool, typer.Option("--ask-password", help="Ask for the camera's password.")
    ] = False,
    lon: float | None = None,
    lat: float | None = None,
    draft: Annotated[
        bool, typer.Option("--draft", help="Let it be reviewed and filed before operators see it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add a camera."""
    password = typer.prompt("The camera's password", hide_input=True) if ask_password else None

    async def work(api: Api) -> Any:
        body = {
            "code": code,
            "name": name,
            "area_id": (await area_by(api, area))["id"],
            "device_class": device_class,
            "main_url": url,
            "sub_url": sub_url,
            "username": username,
            "password": password,
            "lon": lon,
            "lat": lat,
            "filing": "draft" if draft else None,
        }
        return await api.call("POST", "/api/v1/channels", body=body)

    show_object(run(work), as_json=as_json)


@app.command("list")
def list_cameras(
    q: Annotated[str | None, typer.Argument(help="Part of the name or code.")] = None,
    area: Annotated[str | None, typer.Option(help="Id, code or name; with all below.")] = None,
    device_class: Annotated[str | None, typer.Option("--class")] = None,
    filing: Annotated[str | None, typer.Option(help="draft, reviewed or filed.")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 50,
    as_json: AsJson = False,
) -> None:
    """List and search cameras."""

    async def work(api: Api) -> list[dict[str, Any]]:
        area_id = None if area is None else (await area_by(api, area))["id"]
        return await api.all(
            "/api/v1/channels",
            limit=limit,
            q=q,
            area_id=area_id,
            device_class=device_class,
            filing=filing,
        )

    columns = ("id", "code", "name", "device_class", "area_path", "enabled", "filing")
    show_rows(run(work), columns, as_json=as_json)


@app.command()
def show(
    camera: Annotated[str, typer.Argument(help="Id or code.")], as_json: AsJson = False
) -> None:
    """Show one camera."""
    show_object(run(lambda api: channel_by(api, camera)), as_json=as_json)


@app.command()
def remove(camera: Annotated[str, typer.Argument(help="Id or code.")]) -> None:
    """Remove a camera; views of it end at once."""

    async def work(api: Api) -> str:
        channel = await channel_by(api, camera)
        await api.call("DELETE", f"/api/v1/channels/{channel['id']}")
        return str(channel["name"])

    say(f"removed {run(work)}")


@app.command()
def sensitive(
    camera: Annotated[str, typer.Argument(help="Id or code.")],
    state: Annotated[str, typer.Argument(metavar="on|off")],
    as_json: AsJson = False,
) -> None:
    """Whether everybody is asked for a purpose before a camera's first picture."""
    if state not in ("on", "off"):
        raise CliError("Say on, or off.", exit_code=2)

    async def work(api: Api) -> Any:
        channel = await channel_by(api, camera)
        body = {"sensitive": state == "on"}
        return await api.call("PATCH", f"/api/v1/channels/{channel['id']}", body=body)

    show_object(run(work), as_json=as_json)


@app.command()
def check(
    url: Annotated[str, typer.Argument(help="rtsp://user:password@host/path")],
    username: Annotated[str | None, typer.Option()] = None,
    ask_password: Annotated[bool, typer.Option("--ask-password")] = False,
    timeout_s: Annotated[float, typer.Option(help="Of each step.", min=0.1)] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Talk RTSP to a camera and print the dialogue, and the step that failed."""
    from camera_registry.secret import Secret
    from gateways.rtsp.check import check as check_camera

    password = None
    if ask_password:
        password = Secret(typer.prompt("The camera's password", hide_input=True))
    report = asyncio.run(
        check_camera(url, username=username, password=password, timeout_s=timeout_s)
    )
    if as_json:
        print_json({**dataclasses.asdict(report), "ok": report.ok})
    else:
        for line in report.lines():
            say(line)
    if not report.ok:
        raise typer.Exit(1)

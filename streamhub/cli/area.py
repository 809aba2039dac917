"""`streamhub area add|list`: without areas there is nothing to hang cameras and grants on."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .control import Api, AsJson, CliError, run
from .output import show_object, show_rows

app = typer.Typer(no_args_is_help=True, help="Areas: district, street, community, grid.")

MAX_AREAS = 5_000


async def area_by(api: Api, text: str) -> dict[str, Any]:
    """The area with that id, code or name. Raises CliError when there is none, or several."""
    areas = await api.call("GET", "/api/v1/areas", params={"limit": MAX_AREAS})
    for field in ("id", "code", "name"):
        found = [each for each in areas["items"] if each[field] == text]
        if len(found) > 1:
            raise CliError(f"Several areas are called {text}; give the code.", exit_code=2)
        if found:
            area: dict[str, Any] = found[0]
            return area
    raise CliError(f"There is no area {text}; see `streamhub area list`.", exit_code=2)


@app.command("list")
def list_areas(as_json: AsJson = False) -> None:
    """All areas, parents first."""

    async def work(api: Api) -> list[dict[str, Any]]:
        answer = await api.call("GET", "/api/v1/areas", params={"limit": MAX_AREAS})
        items: list[dict[str, Any]] = answer["items"]
        return items

    show_rows(run(work), ("id", "kind", "code", "name", "channel_count"), as_json=as_json)


@app.command()
def add(
    code: str,
    name: str,
    kind: Annotated[str, typer.Option(help="district, street, community or grid.")],
    parent: Annotated[str | None, typer.Option(help="Id, code or name.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add an area."""

    async def work(api: Api) -> Any:
        parent_id = None if parent is None else (await area_by(api, parent))["id"]
        body = {"code": code, "name": name, "kind": kind, "parent_id": parent_id}
        return await api.call("POST", "/api/v1/areas", body=body)

    show_object(run(work, begins=True), as_json=as_json)

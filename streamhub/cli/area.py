"""`streamhub area add|edit|remove|list`: without areas there is nothing to hang cameras and grants
on."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .control import Api, AsJson, CliError, run
from .output import show_object, show_rows

app = typer.Typer(no_args_is_help=True, help="Areas: district, street, community, grid.")

MAX_AREAS = 5_000


async def areas_of(api: Api) -> list[dict[str, Any]]:
    """All that one may see, parents first."""
    answer = await api.call("GET", "/api/v1/areas", params={"limit": MAX_AREAS})
    items: list[dict[str, Any]] = answer["items"]
    return items


async def area_by(api: Api, text: str) -> dict[str, Any]:
    """The area with that id, code or name. Raises CliError when there is none, or several."""
    areas = await areas_of(api)
    for field in ("id", "code", "name"):
        found = [each for each in areas if each[field] == text]
        if len(found) > 1:
            raise CliError(f"Several areas are called {text}; give the code.", exit_code=2)
        if found:
            area: dict[str, Any] = found[0]
            return area
    raise CliError(f"There is no area {text}; see `streamhub area list`.", exit_code=2)


@app.command("list")
def list_areas(as_json: AsJson = False) -> None:
    """All areas, parents first."""
    rows = run(areas_of)
    if not as_json:
        for row in rows:
            row["boundary_points"] = row["boundary_points"] or "-"
    columns = ("id", "kind", "code", "name", "channel_count", "boundary_points")
    show_rows(rows, columns, as_json=as_json)


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


@app.command()
def edit(
    area: Annotated[str, typer.Argument(help="Id, code or name.")],
    name: Annotated[str, typer.Option(help="What it is called from now on.")],
    as_json: AsJson = False,
) -> None:
    """Rename an area. Its boundary comes out of a file: `streamhub area boundaries`."""

    async def work(api: Api) -> Any:
        found = await area_by(api, area)
        return await api.call("PATCH", f"/api/v1/areas/{found['id']}", body={"name": name})

    told = run(work)
    del told["boundary"]  # its points are counted
    show_object(told, as_json=as_json)


@app.command()
def remove(area: Annotated[str, typer.Argument(help="Id, code or name.")]) -> None:
    """Remove an area in which nothing lies, and which no grant names."""

    async def work(api: Api) -> None:
        await api.call("DELETE", f"/api/v1/areas/{(await area_by(api, area))['id']}")

    run(work)

"""`streamhub grant add|list|revoke`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .area import area_by
from .camera import channel_by
from .control import Api, AsJson, CliError, run
from .output import say, show_object, show_rows
from .subject import subject_by

app = typer.Typer(no_args_is_help=True, help="Grants: who may do what, where, until when.")

COLUMNS = (
    "id",
    "subject_name",
    "actions",
    "area_name",
    "channel_name",
    "valid_until",
    "revoked_at",
)


@app.command()
def add(
    username: str,
    actions: Annotated[str, typer.Argument(help="e.g. list,live,snapshot")],
    area: Annotated[str | None, typer.Option(help="Id, code or name; with all below.")] = None,
    camera: Annotated[str | None, typer.Option(help="Id or code.")] = None,
    valid_from: Annotated[str | None, typer.Option("--from", help="RFC 3339.")] = None,
    valid_until: Annotated[str | None, typer.Option("--until", help="RFC 3339.")] = None,
    as_json: AsJson = False,
) -> None:
    """Grant actions on an area or one camera."""
    if (area is None) == (camera is None):
        raise CliError("Give either --area or --camera.", exit_code=2)

    async def work(api: Api) -> Any:
        body: dict[str, Any] = {
            "subject_id": (await subject_by(api, username))["id"],
            "actions": [each.strip() for each in actions.split(",") if each.strip()],
            "valid_from": valid_from,
            "valid_until": valid_until,
        }
        if area is not None:
            body["area_id"] = (await area_by(api, area))["id"]
        if camera is not None:
            body["channel_id"] = (await channel_by(api, camera))["id"]
        return await api.call("POST", "/api/v1/grants", body=body)

    show_object(run(work), as_json=as_json)


@app.command("list")
def list_grants(
    username: Annotated[str | None, typer.Argument()] = None,
    area: Annotated[str | None, typer.Option(help="Id, code or name.")] = None,
    revoked: Annotated[bool, typer.Option("--revoked", help="Show revoked ones too.")] = False,
    limit: Annotated[int, typer.Option(min=1)] = 100,
    as_json: AsJson = False,
) -> None:
    """List grants."""

    async def work(api: Api) -> list[dict[str, Any]]:
        subject_id = None if username is None else (await subject_by(api, username))["id"]
        area_id = None if area is None else (await area_by(api, area))["id"]
        return await api.all(
            "/api/v1/grants",
            limit=limit,
            subject_id=subject_id,
            area_id=area_id,
            include_revoked=revoked,
        )

    show_rows(run(work), COLUMNS, as_json=as_json)


@app.command()
def revoke(grant_id: str) -> None:
    """Revoke a grant; views it allowed end at once."""
    run(lambda api: api.call("DELETE", f"/api/v1/grants/{grant_id}"))
    say(f"revoked {grant_id}")

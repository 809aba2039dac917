"""`streamhub grant add|list|revoke`; `grant_explain.py` adds `explain` and `who-can`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .area import area_by
from .camera import channel_by
from .control import MOMENT_HELP, Api, AsJson, CliError, moment, run
from .grant_words import condition, holder, hours, in_words
from .output import say, show_object, show_rows

app = typer.Typer(no_args_is_help=True, help="Grants: who may do what, where, until when.")

COLUMNS = (
    "id",
    "to",
    "effect",
    "actions",
    "where",
    "hours",
    "valid_until",
    "purpose_required",
    "revoked_at",
)


@app.command()
def add(
    username: Annotated[str, typer.Argument(help="A subject's, or role:NAME.")],
    actions: Annotated[str, typer.Argument(help="e.g. list,live,snapshot")],
    area: Annotated[str | None, typer.Option(help="Id, code or name; with all below.")] = None,
    camera: Annotated[str | None, typer.Option(help="Id or code.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="Only cameras of which it holds, several times for several: "
            "'owner=人防办|公安局', 'point_type!=1', 'address^=新华'."
        ),
    ] = None,
    device_class: Annotated[
        str | None, typer.Option("--class", help="e.g. high_altitude; as --where device_class=….")
    ] = None,
    hours_: Annotated[
        list[str] | None,
        typer.Option("--hours", help="e.g. 'mon-fri 22:00-06:00', Beijing time; several times."),
    ] = None,
    deny: Annotated[bool, typer.Option("--deny", help="Forbid it, whatever allows it.")] = False,
    ask_purpose: Annotated[
        bool, typer.Option("--ask-purpose", help="Whoever uses it names a purpose.")
    ] = False,
    valid_from: Annotated[
        str | None, typer.Option("--from", parser=moment, metavar="TIME", help=MOMENT_HELP)
    ] = None,
    valid_until: Annotated[
        str | None, typer.Option("--until", parser=moment, metavar="TIME", help=MOMENT_HELP)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Grant actions on an area, on cameras that a rule names, or on one camera."""
    rules = [*(where or []), *([] if device_class is None else [f"device_class={device_class}"])]
    if (area is None and not rules) == (camera is None):
        raise CliError(
            "Give either --area or --camera; --where goes beside --area, or alone.", exit_code=2
        )

    async def work(api: Api) -> Any:
        body: dict[str, Any] = {
            **await holder(api, username),
            "effect": "deny" if deny else "allow",
            "conditions": [condition(each) for each in rules],
            "windows": [hours(each) for each in hours_ or []],
            "purpose_required": ask_purpose,
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
    username: Annotated[
        str | None, typer.Argument(help="A subject's, with its roles'; or role:NAME.")
    ] = None,
    area: Annotated[str | None, typer.Option(help="Id, code or name.")] = None,
    revoked: Annotated[bool, typer.Option("--revoked", help="Show revoked ones too.")] = False,
    limit: Annotated[int, typer.Option(min=1)] = 100,
    as_json: AsJson = False,
) -> None:
    """List grants."""

    async def work(api: Api) -> list[dict[str, Any]]:
        to = {} if username is None else await holder(api, username)
        area_id = None if area is None else (await area_by(api, area))["id"]
        return await api.all(
            "/api/v1/grants",
            limit=limit,
            **to,
            area_id=area_id,
            include_revoked=revoked,
        )

    rows = run(work)
    show_rows(rows if as_json else [in_words(each) for each in rows], COLUMNS, as_json=as_json)


@app.command()
def revoke(grant_id: str) -> None:
    """Revoke a grant; views it allowed end at once."""
    run(lambda api: api.call("DELETE", f"/api/v1/grants/{grant_id}"))
    say(f"revoked {grant_id}")

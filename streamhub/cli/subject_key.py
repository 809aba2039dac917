"""`streamhub subject key add|list|revoke`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .area import area_by
from .control import Api, AsJson, run
from .output import print_json, say, show_rows
from .subject import subject_by

app = typer.Typer(no_args_is_help=True, help="API keys, for programs.")

COLUMNS = ("id", "name", "prefix", "actions", "area_ids", "expires_at", "used_at", "expired")


@app.command()
def add(
    username: str,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    actions: Annotated[
        str | None, typer.Option(help="e.g. list,live; left out: all that the subject may.")
    ] = None,
    area: Annotated[
        list[str] | None, typer.Option(help="Id, code or name; may be given several times.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Left out: 90.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown this once."""

    async def work(api: Api) -> Any:
        subject = await subject_by(api, username)
        areas = [(await area_by(api, each))["id"] for each in area or []]
        chosen = [each.strip() for each in (actions or "").split(",") if each.strip()]
        body = {
            "name": name,
            "actions": chosen or None,
            "area_ids": areas or None,
            "expires_in_days": days,
        }
        return await api.call("POST", f"/api/v1/subjects/{subject['id']}/keys", body=body)

    made = run(work)
    if as_json:
        print_json(made)
        return
    say(made["key"])


@app.command("list")
def list_keys(username: str, as_json: AsJson = False) -> None:
    """List a subject's keys: how they begin, and when they were used last."""

    async def work(api: Api) -> Any:
        subject = await subject_by(api, username)
        return await api.call("GET", f"/api/v1/subjects/{subject['id']}/keys")

    show_rows(run(work)["items"], COLUMNS, as_json=as_json)


@app.command()
def revoke(username: str, key_id: str) -> None:
    """Revoke a key; its views end at once."""

    async def work(api: Api) -> None:
        subject = await subject_by(api, username)
        await api.call("DELETE", f"/api/v1/subjects/{subject['id']}/keys/{key_id}")

    run(work)
    say(f"revoked {key_id}")

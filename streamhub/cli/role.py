"""`streamhub role add|list|rename|delete|members|join|leave`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .control import Api, AsJson, run
from .grant_words import role_by
from .output import say, show_object, show_rows
from .subject import subject_by

app = typer.Typer(no_args_is_help=True, help="Roles: subjects that are granted things together.")

ROLES = "/api/v1/roles"


@app.command()
def add(
    name: str,
    display_name: Annotated[str | None, typer.Option("--name")] = None,
    as_json: AsJson = False,
) -> None:
    """Add a role. Grant it something by `streamhub grant add role:NAME …`."""
    body = {"name": name, "display_name": display_name or name}
    made = run(lambda api: api.call("POST", ROLES, body=body), begins=True)
    show_object(made, as_json=as_json)


@app.command("list")
def list_roles(limit: Annotated[int, typer.Option(min=1)] = 100, as_json: AsJson = False) -> None:
    """List roles."""
    rows = run(lambda api: api.all(ROLES, limit=limit))
    show_rows(rows, ("id", "name", "display_name", "members"), as_json=as_json)


@app.command()
def rename(
    role: str,
    name: str,
    display_name: Annotated[str | None, typer.Option("--name")] = None,
    as_json: AsJson = False,
) -> None:
    """Give a role another name."""

    async def work(api: Api) -> Any:
        found = await role_by(api, role)
        body = {"name": name, "display_name": display_name or found["display_name"]}
        return await api.call("PUT", f"{ROLES}/{found['id']}", body=body)

    show_object(run(work), as_json=as_json)


@app.command()
def delete(role: str) -> None:
    """Delete a role and its grants; views that rested on it end at once."""

    async def work(api: Api) -> None:
        await api.call("DELETE", f"{ROLES}/{(await role_by(api, role))['id']}")

    run(work)
    say(f"deleted {role}")


@app.command()
def members(
    role: str, limit: Annotated[int, typer.Option(min=1)] = 100, as_json: AsJson = False
) -> None:
    """Who is in a role."""

    async def work(api: Api) -> list[dict[str, Any]]:
        return await api.all(f"{ROLES}/{(await role_by(api, role))['id']}/members", limit=limit)

    show_rows(run(work), ("id", "username", "display_name", "enabled"), as_json=as_json)


@app.command()
def join(role: str, username: str) -> None:
    """Put a subject into a role."""
    _change("PUT", role, username)
    say(f"{username} is in {role}")


@app.command()
def leave(role: str, username: str) -> None:
    """Take a subject out of a role; views that rested on it end at once."""
    _change("DELETE", role, username)
    say(f"{username} is not in {role} any more")


def _change(method: str, role: str, username: str) -> None:
    async def work(api: Api) -> None:
        role_id = (await role_by(api, role))["id"]
        subject_id = (await subject_by(api, username))["id"]
        await api.call(method, f"{ROLES}/{role_id}/members/{subject_id}")

    run(work)

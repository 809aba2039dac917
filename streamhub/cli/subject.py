"""`streamhub subject`: who may sign in, by what, and where they are signed in."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from .area import area_by
from .control import Api, AsJson, CliError, run
from .output import say, show_object, show_rows

app = typer.Typer(no_args_is_help=True, help="Subjects: who may sign in.")

PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]


KeepPassword = Annotated[
    bool, typer.Option("--keep", help="A person need not change it at the next sign-in.")
]


async def subject_by(api: Api, text: str) -> dict[str, Any]:
    """The subject with that username or id. Raises CliError when there is none."""
    if text.startswith("su_"):
        found: dict[str, Any] = await api.call("GET", f"/api/v1/subjects/{text}")
        return found
    for each in await api.all("/api/v1/subjects", limit=500, q=text):
        if each["username"] == text.lower():
            return each
    raise CliError(f"There is no subject {text}; see `streamhub subject list`.", exit_code=2)


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


@app.command()
def add(
    username: str,
    display_name: Annotated[str | None, typer.Option("--name")] = None,
    kind: Annotated[str, typer.Option(help="person or service.")] = "person",
    password_stdin: PasswordStdin = False,
    keep: KeepPassword = False,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="For a program that comes with an API key.")
    ] = False,
    home: Annotated[
        str | None, typer.Option(help="The area whose people it is of: id, code or name.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add a subject. It may do nothing until it is granted something."""
    body = {
        "username": username,
        "display_name": display_name or username,
        "kind": kind,
        "password": None if no_password else _password(password_stdin),
        "must_change_password": False if keep else None,
    }

    async def work(api: Api) -> Any:
        home_id = None if home is None else (await area_by(api, home))["id"]
        return await api.call("POST", "/api/v1/subjects", body=body | {"home_area_id": home_id})

    show_object(run(work, begins=True), as_json=as_json)


@app.command("list")
def list_subjects(
    q: Annotated[str | None, typer.Argument(help="Part of a name.")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 100,
    as_json: AsJson = False,
) -> None:
    """List subjects."""
    rows = run(lambda api: api.all("/api/v1/subjects", limit=limit, q=q))
    show_rows(rows, ("id", "username", "display_name", "kind", "enabled"), as_json=as_json)


@app.command("home")
def set_home(
    username: str,
    area: Annotated[str | None, typer.Argument(help="Id, code or name; left out: none.")] = None,
) -> None:
    """Say of which area a subject is: the quotas of that area and of those above hold for it."""

    async def work(api: Api) -> None:
        subject = await subject_by(api, username)
        home_id = None if area is None else (await area_by(api, area))["id"]
        path = f"/api/v1/subjects/{subject['id']}"
        await api.call("PATCH", path, body={"home_area_id": home_id})

    run(work)
    say(f"{username} is of {area or 'no area'}")


@app.command()
def disable(username: str) -> None:
    """End all sign-ins, tokens and views of a subject, and let it sign in no more."""
    _change(username, {"enabled": False})
    say(f"disabled {username}")


@app.command()
def enable(username: str) -> None:
    """Let a disabled subject sign in again."""
    _change(username, {"enabled": True})
    say(f"enabled {username}")


@app.command("set-password")
def set_password(
    username: str, password_stdin: PasswordStdin = False, keep: KeepPassword = False
) -> None:
    """Give a subject a new password; what was signed in with the old one ends. A person has to
    choose its own at the next sign-in."""
    changes: dict[str, Any] = {"password": _password(password_stdin)}
    if keep:
        changes["must_change_password"] = False
    _change(username, changes)
    say(f"changed the password of {username}")


@app.command("sign-ins")
def sign_ins(username: str, as_json: AsJson = False) -> None:
    """Where a subject is signed in, with the page or by a script's token."""

    async def work(api: Api) -> Any:
        subject = await subject_by(api, username)
        return await api.call("GET", f"/api/v1/subjects/{subject['id']}/sign-ins")

    columns = ("id", "created_at", "used_at", "ends_at", "remote", "method", "agent")
    show_rows(run(work)["items"], columns, as_json=as_json)


@app.command("sign-out")
def sign_out(
    username: str,
    sign_in_id: Annotated[str | None, typer.Argument(help="Left out: all.")] = None,
) -> None:
    """End a subject's sign-ins and the views of them; it may sign in again."""

    async def work(api: Api) -> int:
        subject = await subject_by(api, username)
        path = f"/api/v1/subjects/{subject['id']}/sign-ins"
        if sign_in_id is None:
            return int((await api.call("DELETE", path))["ended"])
        await api.call("DELETE", f"{path}/{sign_in_id}")
        return 1

    ended = run(work)
    say(f"ended {ended} {'sign-in' if ended == 1 else 'sign-ins'} of {username}")


@app.command("second-factor")
def second_factor(
    username: str,
    require: Annotated[
        bool | None, typer.Option("--require/--no-require", help="May nothing without one.")
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Authenticator and recovery codes are lost.")
    ] = False,
) -> None:
    """Require a second factor of a subject, or take away the one it has."""
    if require is None and not reset:
        raise CliError("Give --require, --no-require or --reset.", exit_code=2)

    async def work(api: Api) -> None:
        path = f"/api/v1/subjects/{(await subject_by(api, username))['id']}"
        if reset:
            await api.call("DELETE", f"{path}/second-factor")
        if require is not None:
            await api.call("PATCH", path, body={"second_factor_required": require})

    run(work)
    if reset:
        say(f"{username} has no second factor any more")
    if require is not None:
        say(f"{username} {'must' if require else 'need not'} have a second factor")


@app.command()
def link(username: str, sub: Annotated[str, typer.Argument(help="The provider's `sub`.")]) -> None:
    """Whom the OpenID provider knows by `sub` signs in as this subject."""

    async def work(api: Api) -> None:
        subject = await subject_by(api, username)
        await api.call("PUT", f"/api/v1/subjects/{subject['id']}/identity", body={"sub": sub})

    run(work)
    say(f"linked {username}")


@app.command()
def unlink(username: str) -> None:
    """The provider signs nobody in as this subject any more; its sign-ins end."""

    async def work(api: Api) -> None:
        subject = await subject_by(api, username)
        await api.call("DELETE", f"/api/v1/subjects/{subject['id']}/identity")

    run(work)
    say(f"unlinked {username}")


def _change(username: str, changes: dict[str, Any]) -> None:
    async def work(api: Api) -> None:
        subject = await subject_by(api, username)
        await api.call("PATCH", f"/api/v1/subjects/{subject['id']}", body=changes)

    run(work)

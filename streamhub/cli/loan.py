"""`streamhub loan ask|list|allow|refuse|end`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .control import Api, AsJson, run
from .output import say, show_object, show_rows
from .subject import subject_by

app = typer.Typer(no_args_is_help=True, help="Loans: a camera for a while, asked for and lent.")

LOANS = "/api/v1/loans"
COLUMNS = (
    "id",
    "state",
    "username",
    "asked",
    "channel_name",
    "actions",
    "minutes",
    "reason",
    "until",
)


@app.command()
def ask(
    username: Annotated[str, typer.Argument(help="Who wants it, such as who is on the phone.")],
    camera: Annotated[str, typer.Argument(help="20-digit code, or id.")],
    reason: str,
    actions: Annotated[str, typer.Option(help="Some of live, snapshot, playback.")] = "live",
    minutes: Annotated[int, typer.Option(min=1, help="From the answer on.")] = 60,
    as_json: AsJson = False,
) -> None:
    """Ask for a camera in somebody's name; whoever manages it answers."""

    async def work(api: Api) -> Any:
        body = {
            "subject_id": (await subject_by(api, username))["id"],
            "channel": camera,
            "actions": [each.strip() for each in actions.split(",") if each.strip()],
            "reason": reason,
            "minutes": minutes,
        }
        return await api.call("POST", LOANS, body=body)

    show_object(run(work), as_json=as_json)


@app.command("list")
def list_loans(
    state: Annotated[str | None, typer.Option(help="open or running; left out: both.")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 100,
    as_json: AsJson = False,
) -> None:
    """What waits for an answer, and what is lent."""
    rows = run(lambda api: api.all(LOANS, limit=limit, state=state))
    show_rows(rows, COLUMNS, as_json=as_json)


@app.command()
def allow(
    loan_id: str,
    minutes: Annotated[
        int | None, typer.Option(min=1, help="For less time than it was asked for.")
    ] = None,
    actions: Annotated[str | None, typer.Option(help="Fewer than were asked for.")] = None,
    as_json: AsJson = False,
) -> None:
    """Lend the camera from now on; the loan ends by itself."""
    body: dict[str, Any] = {"minutes": minutes}
    if actions is not None:
        body["actions"] = [each.strip() for each in actions.split(",") if each.strip()]
    path = f"{LOANS}/{loan_id}/allow"
    show_object(run(lambda api: api.call("POST", path, body=body)), as_json=as_json)


@app.command()
def refuse(loan_id: str, reason: str) -> None:
    """Refuse it, with the reason."""
    path = f"{LOANS}/{loan_id}/refuse"
    run(lambda api: api.call("POST", path, body={"reason": reason}))
    say(f"refused {loan_id}")


@app.command()
def end(loan_id: str) -> None:
    """End a loan early; its views end at once."""
    run(lambda api: api.call("POST", f"{LOANS}/{loan_id}/end"))
    say(f"ended {loan_id}")

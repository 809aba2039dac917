"""`streamhub webhook add|list|remove|test|dead|resend`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from .area import area_by
from .control import Api, AsJson, CliError, run
from .output import say, show_object, show_rows

app = typer.Typer(no_args_is_help=True, help="Webhooks: who is told of what happens to cameras.")

WEBHOOKS = "/api/v1/webhooks"


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="http:// or https://, without credentials.")],
    kinds: Annotated[
        str | None,
        typer.Option(help="e.g. channel.online,channel.offline; all but audit.root if left out."),
    ] = None,
    area: Annotated[str | None, typer.Option(help="Id, code or name; with all below.")] = None,
    secret_stdin: Annotated[
        bool,
        typer.Option(
            "--secret-stdin", help="Read the secret from standard input; else one is made."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add a webhook; prints its secret, this once."""
    secret = sys.stdin.readline().strip() if secret_stdin else None

    async def work(api: Api) -> Any:
        body = {
            "url": url,
            "kinds": [each.strip() for each in (kinds or "").split(",") if each.strip()],
            "area_id": None if area is None else (await area_by(api, area))["id"],
            "secret": secret,
        }
        return await api.call("POST", WEBHOOKS, body=body)

    show_object(run(work, begins=True), as_json=as_json)


@app.command("list")
def list_webhooks(as_json: AsJson = False) -> None:
    """List webhooks, and how their queues stand."""
    answer = run(lambda api: api.call("GET", WEBHOOKS))
    columns = ("id", "url", "kinds", "area_id", "enabled", "queued", "dead", "dropped")
    show_rows(answer["items"], columns, as_json=as_json)


@app.command()
def remove(webhook_id: str) -> None:
    """Remove a webhook with what is queued to it."""
    run(lambda api: api.call("DELETE", f"{WEBHOOKS}/{webhook_id}"))
    say(f"removed {webhook_id}")


@app.command("test")
def send_test(webhook_id: str, as_json: AsJson = False) -> None:
    """Send a test event now; exit code 1 when the receiver did not take it."""
    outcome = run(lambda api: api.call("POST", f"{WEBHOOKS}/{webhook_id}/test"))
    if as_json:
        show_object(outcome, as_json=True)
    if not outcome["ok"]:
        raise CliError(f"{outcome['error']} Look at the receiver, and at its address.")
    if not as_json:
        say(f"the receiver answered {outcome['status']}")


@app.command()
def dead(
    webhook_id: str, limit: Annotated[int, typer.Option(min=1)] = 100, as_json: AsJson = False
) -> None:
    """List deliveries that were given up."""
    rows = run(lambda api: api.all(f"{WEBHOOKS}/{webhook_id}/dead", limit=limit))
    columns = ("id", "created_at", "kind", "channel_id", "attempts", "last_error")
    show_rows(rows, columns, as_json=as_json)


@app.command()
def resend(
    webhook_id: str,
    delivery: Annotated[
        list[int] | None, typer.Argument(help="As `streamhub webhook dead` lists them; else all.")
    ] = None,
) -> None:
    """Queue deliveries that were given up again."""
    body = {"ids": delivery or None}
    answer = run(lambda api: api.call("POST", f"{WEBHOOKS}/{webhook_id}/dead/resend", body=body))
    say(f"queued {answer['queued']} again")

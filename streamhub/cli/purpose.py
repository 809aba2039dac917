"""`streamhub purpose list|set|remove`."""

from __future__ import annotations

from typing import Annotated

import typer

from .control import AsJson, run
from .output import say, show_object, show_rows

app = typer.Typer(no_args_is_help=True, help="Purposes: what for, where a grant or camera asks.")

PURPOSES = "/api/v1/purposes"


@app.command("list")
def list_purposes(as_json: AsJson = False) -> None:
    """The purposes that this district accepts."""
    rows = run(lambda api: api.all(PURPOSES, limit=500))
    show_rows(rows, ("code", "zh", "en", "needs_note"), as_json=as_json)


@app.command("set")
def set_purpose(
    code: str,
    zh: str,
    en: Annotated[str | None, typer.Argument(help="As the Chinese, if left out.")] = None,
    needs_note: Annotated[
        bool | None,
        typer.Option(
            "--needs-note/--no-needs-note",
            help="Whoever names it says more in words of their own; left out: as it was.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add a purpose, or change what it says."""
    body = {"zh": zh, "en": en or zh, "needs_note": needs_note}
    made = run(lambda api: api.call("PUT", f"{PURPOSES}/{code}", body=body), begins=True)
    show_object(made, as_json=as_json)


@app.command()
def remove(code: str) -> None:
    """Accept a purpose no longer; views that were opened for it, and need one, end at once."""
    run(lambda api: api.call("DELETE", f"{PURPOSES}/{code}"))
    say(f"removed {code}")

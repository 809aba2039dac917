"""`streamhub audit list|mine|views|verify` and `streamhub views`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from .control import Api, AsJson, CliError, run, settings_or_fail
from .output import print_json, say, show_rows

app = typer.Typer(no_args_is_help=True, help="The audit log.")


Act = Annotated[list[str] | None, typer.Option(help="e.g. sign_in, refused; several: again.")]
Camera = Annotated[str | None, typer.Option(help="Channel id.")]
Subject = Annotated[str | None, typer.Option(help="Subject id or username.")]
Area = Annotated[str | None, typer.Option(help="Area id: with all below it.")]
OutcomeOf = Annotated[str | None, typer.Option(help="ok, refused or failed.")]
Purpose = Annotated[str | None, typer.Option(help="A part of the purpose.")]
Since = Annotated[str | None, typer.Option(help="e.g. 2026-11-24T08:00:00+08:00.")]
Until = Annotated[str | None, typer.Option(help="What began before it.")]
LimitOf = Annotated[int, typer.Option(min=1)]

_ROW_COLUMNS = (
    *("seq", "at", "act", "outcome", "subject_name", "remote", "channel_name", "detail"),
)
_LOOK_COLUMNS = (
    *("began_at", "ended_at", "subject_name", "remote", "channel_name", "kind", "profile"),
    *("sent_bytes", "outcome", "cause", "purpose"),
)


@app.command("list")
def list_rows(
    act: Act = None,
    camera: Camera = None,
    subject: Subject = None,
    area: Area = None,
    outcome: OutcomeOf = None,
    purpose: Purpose = None,
    since: Since = None,
    until: Until = None,
    limit: LimitOf = 50,
    as_json: AsJson = False,
) -> None:
    """The rows that fit, the newest first."""
    asked = _asked(camera, subject, area, outcome, purpose, since, until) | {"act": act}
    rows = run(lambda api: api.all("/api/v1/audit", limit=limit, **asked))
    show_rows(rows, _ROW_COLUMNS, as_json=as_json)


@app.command("mine")
def list_mine(limit: LimitOf = 50, as_json: AsJson = False) -> None:
    """What the local operator did by this very user."""
    rows = run(lambda api: api.all("/api/v1/audit/mine", limit=limit))
    show_rows(rows, _ROW_COLUMNS, as_json=as_json)


@app.command("views")
def report_views(
    camera: Camera = None,
    subject: Subject = None,
    area: Area = None,
    outcome: OutcomeOf = None,
    purpose: Purpose = None,
    since: Since = None,
    until: Until = None,
    limit: LimitOf = 50,
    as_json: AsJson = False,
) -> None:
    """Who looked at a camera, or what a person looked at: from when, until when, how much."""
    asked = _asked(camera, subject, area, outcome, purpose, since, until)

    async def work(api: Api) -> list[dict[str, Any]]:
        first = await api.call("GET", "/api/v1/audit/views", params={**asked, "limit": 1})
        ended = await api.all("/api/v1/audit/views", limit=limit, **asked)
        return [*first["open"], *ended]

    show_rows(run(work), _LOOK_COLUMNS, as_json=as_json)


def _asked(
    camera: str | None,
    subject: str | None,
    area: str | None,
    outcome: str | None,
    purpose: str | None,
    since: str | None,
    until: str | None,
) -> dict[str, Any]:
    return {
        "channel_id": camera,
        "subject": subject,
        "area_id": area,
        "outcome": outcome,
        "purpose": purpose,
        "since": since,
        "until": until,
    }


@app.command()
def verify(as_json: AsJson = False) -> None:
    """Walk the whole chain of hashes; exit code 1 when a row was changed or is missing."""
    from camera_registry.domain import AuditVerification
    from camera_registry.errors import RegistryError
    from camera_registry.store import open_store

    settings = settings_or_fail()
    place = settings.registry_place
    if isinstance(place, Path) and not place.exists():
        raise CliError(
            f"There is no registry in {settings.data_dir}; set STREAMHUB_DATA_DIR.", exit_code=2
        )

    async def work() -> AuditVerification:
        # Reading beside a running service is safe: a reader sees one snapshot.
        store = await open_store(place, migrate=False)
        try:
            return await store.verify_audit()
        finally:
            await store.close()

    try:
        result = asyncio.run(work())
    except RegistryError as error:
        raise CliError(str(error)) from None
    if as_json:
        print_json(
            {
                "ok": result.ok,
                "rows_checked": result.rows_checked,
                "first_bad_seq": result.first_bad_seq,
                "reason": result.reason,
                "last_hash": result.last_hash,
            }
        )
    elif result.ok:
        say(f"{result.rows_checked} rows, unbroken; last hash {result.last_hash}")
    if not result.ok:
        raise CliError(
            f"The chain breaks at row {result.first_bad_seq}: {result.reason} "
            "Compare with a backup from before."
        )


def views(as_json: AsJson = False, limit: Annotated[int, typer.Option(min=1)] = 500) -> None:
    """Who watches what right now."""
    rows = run(lambda api: api.all("/api/v1/views", limit=limit))
    for row in rows:
        row["username"] = row["subject"]["username"]
    columns = ("id", "username", "channel_name", "profile", "state", "started_at", "bytes")
    show_rows(rows, columns, as_json=as_json)

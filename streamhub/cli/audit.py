"""`streamhub audit list|verify` and `streamhub views`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from .control import AsJson, CliError, run, settings_or_fail
from .output import print_json, say, show_rows

app = typer.Typer(no_args_is_help=True, help="The audit log.")


@app.command("list")
def list_rows(
    act: Annotated[str | None, typer.Option(help="e.g. sign_in, refused, view_end.")] = None,
    camera: Annotated[str | None, typer.Option(help="Channel id.")] = None,
    subject: Annotated[str | None, typer.Option(help="Subject id.")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 50,
    as_json: AsJson = False,
) -> None:
    """The newest rows."""
    rows = run(
        lambda api: api.all(
            "/api/v1/audit", limit=limit, act=act, channel_id=camera, subject_id=subject
        )
    )
    columns = ("seq", "at", "act", "outcome", "subject_name", "remote", "channel_name", "detail")
    show_rows(rows, columns, as_json=as_json)


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

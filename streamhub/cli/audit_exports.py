"""`streamhub audit export…`: a file of the log, and what a second person has to do with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .audit import Act, Area, Camera, OutcomeOf, Purpose, Since, Subject, Until, app, asked, by_id
from .control import Api, AsJson, CliError, run
from .output import say, show_object, show_rows

__all__ = ["app"]

EXPORTS = "/api/v1/audit/exports"
SETTINGS = "/api/v1/export-settings"

FormatOf = Annotated[str, typer.Option("--format", help="csv or jsonl.")]
RequestId = Annotated[str, typer.Argument(help="Of a request; `streamhub audit exports` has it.")]

_COLUMNS = (
    *("id", "created_at", "asked_by", "purpose", "purpose_note", "asked", "state", "decided_by"),
    *("ends_at", "fetched_at"),
)


@app.command("export")
def export_rows(
    file: Annotated[Path, typer.Argument(help="The ZIP to write; it may not be there yet.")],
    request: Annotated[
        str | None,
        typer.Option(help="Id of a request that was approved; it has its own filter and format."),
    ] = None,
    format: Annotated[str | None, typer.Option(help="csv, if left out, or jsonl.")] = None,
    act: Act = None,
    camera: Camera = None,
    subject: Subject = None,
    area: Area = None,
    outcome: OutcomeOf = None,
    purpose: Purpose = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """The rows that fit, with the proof that they are what was written. The export is a row too."""
    wanted = asked(camera, subject, area, outcome, purpose, since, until) | {"act": act}
    path = "/api/v1/audit/export"
    if request is not None:
        if format is not None or any(each is not None for each in wanted.values()):
            raise CliError(
                "A request has its filter and its format already; leave out the others.",
                exit_code=2,
            )
        path = f"{EXPORTS}/{request}/file"
    try:
        out = file.open("xb")
    except OSError as error:
        raise CliError(f"{file} can't be written ({error.strerror}).", exit_code=2) from None

    async def work(api: Api) -> None:
        await api.save(path, out, params=await by_id(api, wanted) | {"format": format})

    try:
        with out:
            run(work)
    except BaseException:
        file.unlink(missing_ok=True)  # half of one proves nothing
        raise
    say(f"wrote {file}; check it by `streamhub audit verify-export {file}`")


@app.command("export-ask")
def ask_for_export(
    why: Annotated[str, typer.Option(help="What for: a code of `streamhub purpose list`.")],
    note: Annotated[str | None, typer.Option(help="The same in words of your own.")] = None,
    format: FormatOf = "csv",
    act: Act = None,
    camera: Camera = None,
    subject: Subject = None,
    area: Area = None,
    outcome: OutcomeOf = None,
    purpose: Purpose = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Ask for an export of the rows that fit; a second person approves it, then you fetch it."""
    wanted = asked(camera, subject, area, outcome, purpose, since, until) | {"act": act}
    body = {"format": format, "purpose": why, "purpose_note": note}

    async def work(api: Api) -> Any:
        return await api.call("POST", EXPORTS, body=body, params=await by_id(api, wanted))

    show_object(run(work), as_json=as_json)


@app.command("exports")
def list_exports(limit: Annotated[int, typer.Option(min=1)] = 50, as_json: AsJson = False) -> None:
    """What was asked for, and what became of it; the newest first, for 30 days."""
    show_rows(run(lambda api: api.all(EXPORTS, limit=limit)), _COLUMNS, as_json=as_json)


@app.command("export-approve")
def approve_export(request: RequestId, as_json: AsJson = False) -> None:
    """Let whoever asked fetch it within 24 hours. Not for who asked."""
    decided = run(lambda api: api.call("POST", f"{EXPORTS}/{request}/approve"))
    show_object(decided, as_json=as_json)


@app.command("export-refuse")
def refuse_export(
    request: RequestId,
    reason: Annotated[str, typer.Option(help="Why not.")],
    as_json: AsJson = False,
) -> None:
    """Say no, and why; also to what is approved: that takes it back."""
    body = {"reason": reason}
    decided = run(lambda api: api.call("POST", f"{EXPORTS}/{request}/refuse", body=body))
    show_object(decided, as_json=as_json)


@app.command("export-settings")
def export_settings(
    second_person: Annotated[
        str | None, typer.Option(help="on: an export is made by two people; off: by one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what this site chose about exports of the log, or change it."""
    if second_person not in (None, "on", "off"):
        raise CliError("--second-person is on or off.", exit_code=2)

    async def work(api: Api) -> Any:
        if second_person is None:
            return await api.call("GET", SETTINGS)
        return await api.call("PUT", SETTINGS, body={"second_person": second_person == "on"})

    show_object(run(work, begins=second_person is not None), as_json=as_json)

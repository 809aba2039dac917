"""`streamhub camera import|imports|apply-import|undo-import|discard-import|templates|export|lint|
new-code|versions|undo`: cameras by the thousand."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from .area import area_by
from .camera import app, channel_by
from .control import LONG_S, Api, AsJson, CliError, run, settings_or_fail
from .files import read_file
from .import_words import words
from .output import print_json, say, show_object, show_rows

__all__ = ["app"]  # the commands of `camera` and these

POLL_S = 0.2
IMPORTS = "/api/v1/imports"
# Lines of a terminal that somebody still reads; `--json` has all of them, the workbook what was
# found. Refused rows hold the import up: they end only where a terminal would forget them.
MAX_WARNINGS = 200
MAX_ERRORS = 10_000
MAX_ADDED = 20
OfFindings = Annotated[str, typer.Option("--language", help="Of what is found: en or zh.")]


@app.command("import")
def import_cameras(
    file: Annotated[Path, typer.Argument(help="CSV, XLSX, JSON, or a foreign configuration.")],
    template: Annotated[
        str, typer.Option(help="A form (`streamhub camera templates`), or `foreign`.")
    ] = "full",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would do, and forget it.")
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Carry it out when all is well.")] = False,
    without_refused: Annotated[
        bool, typer.Option("--without-refused", help="Leave rows with errors out.")
    ] = False,
    area: Annotated[str | None, typer.Option(help="Code of the area of new cameras.")] = None,
    device_class: Annotated[str, typer.Option("--class", help="Of new cameras.")] = "police_hd",
    vendor: Annotated[
        str | None, typer.Option(help="Whose addresses cameras without a URL have.")
    ] = None,
    datum: Annotated[
        str, typer.Option(help="Of the positions: wgs84, gcj02 or bd09; kept is WGS-84.")
    ] = "wgs84",
    mint: Annotated[
        str | None,
        typer.Option(help="Make missing codes: industry, type and network, e.g. 001321."),
    ] = None,
    clear_empty: Annotated[
        bool, typer.Option("--clear-empty", help="An empty cell takes the value away.")
    ] = False,
    filing: Annotated[
        str, typer.Option(help="Of new cameras: draft, or filed where no second person is wanted.")
    ] = "draft",
    report: Annotated[
        Path | None, typer.Option(help="Write the workbook with its errors here (.xlsx).")
    ] = None,
    language: OfFindings = "en",
    as_json: AsJson = False,
) -> None:
    """Import cameras from a file: check every row, show what would change, and apply it.

    Exit code 1: rows were refused, or the file was.
    """
    if dry_run and apply:
        raise CliError("Choose --dry-run or --apply, not both.", exit_code=2)
    from camera_registry.importers.readers import MAX_FILE_BYTES

    said = _said_in(language)
    content = read_file(file, MAX_FILE_BYTES)
    params = {
        "name": file.name,
        "template": template,
        "area": area,
        "device_class": device_class,
        "vendor": vendor,
        "datum": datum,
        "mint": mint,
        "clear_empty": clear_empty,
        "filing": filing,
    }

    async def work(api: Api) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        job = await api.upload(IMPORTS, content, params=params)
        path = f"{IMPORTS}/{job['id']}"
        job = await _checked(api, path, quiet=as_json)
        rows = await _rows(api, path)
        if report is not None and job["state"] == "checked":
            found = await api.download(f"{path}/workbook", params={"language": language})
            report.write_bytes(found)
        if apply and job["state"] == "checked":
            body = {"without_refused": without_refused}
            if without_refused or not job["counts"]["refused"]:
                job = await api.call("POST", f"{path}/apply", body=body, timeout_s=LONG_S)
        if dry_run or job["state"] == "refused":
            await api.call("DELETE", path)
        return job, rows

    job, rows = run(work)
    refused = job["state"] == "refused" or bool(job["counts"].get("refused"))
    if as_json:
        print_json({**job, "rows": rows})
    else:
        _tell(job, rows, said, language, kept=not dry_run, report=report, max_added=MAX_ADDED)
    if refused and not (job["state"] == "applied" and without_refused):
        raise typer.Exit(1)


async def _checked(api: Api, path: str, *, quiet: bool) -> dict[str, Any]:
    """Waits for the check, with a line of progress on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    console = Console(stderr=True, quiet=quiet)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("checking", total=None)
        while True:
            job: dict[str, Any] = await api.call("GET", path)
            progress.update(task, description=f"checking, {job['rows_done']} rows")
            if job["state"] != "checking":
                return job
            await asyncio.sleep(POLL_S)


async def _rows(api: Api, path: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = await api.call("GET", f"{path}/rows", params={"after": after, "limit": 500})
        rows += page["items"]
        after = page["next_after"]
    return rows


def _said_in(language: str) -> Callable[[Mapping[str, Any]], str]:
    """Words for what has a code and a sentence: a finding, or a file that was refused."""
    from camera_registry.importers.said import Language, said

    if language not in ("en", "zh"):
        raise CliError("--language is en or zh.", exit_code=2)
    chosen: Language = "zh" if language == "zh" else "en"
    return lambda each: said(each["code"], each["sentence"], chosen)


def _tell(
    job: dict[str, Any],
    rows: list[dict[str, Any]],
    said: Callable[[Mapping[str, Any]], str],
    language: str,
    *,
    kept: bool,
    report: Path | None,
    max_added: int | None,
) -> None:
    """`max_added`: how many of the cameras that it adds are shown; None: all."""
    if job["state"] == "refused":
        say(f"refused: {said(job)}")
        return
    found = [(f"row {row['row']}", finding) for row in rows for finding in row["findings"]]
    _say_findings(found, said, "--report FILE.xlsx and --json have them all.")
    counts = job["counts"]
    say(words("counts", language, rows=job["rows_done"], **counts))
    if job["state"] == "checked":
        added = [_added(row) for row in rows if row["verdict"] == "add"]
        _say_most(added, max_added, "to add; --json has them all, field by field.")
        for row in rows:
            for change in row["changes"] if row["verdict"] == "change" else ():
                say(
                    f"row {row['row']}  {row['code']}  {change['field']}: "
                    f"{change['before'] or '-'} -> {change['after'] or '-'}"
                )
    if report is not None:
        say(words("report", language, report=report))
    if job["state"] == "applied":
        _tell_applied(job)
    elif kept and counts["refused"]:
        say(words("refused", language, id=job["id"]))
    elif kept:
        say(words("to_apply", language, id=job["id"]))
    else:
        say(words("dry_run", language))


def _say_findings(
    found: Sequence[tuple[str, Mapping[str, Any]]],
    said: Callable[[Mapping[str, Any]], str],
    rest: str,
) -> None:
    """Findings behind what each is about: errors first."""
    most_errors = MAX_ERRORS if sys.stdout.isatty() else None
    for severity, most in (("error", most_errors), ("warning", MAX_WARNINGS)):
        lines = [
            f"{about}  {each['column'] or '-'}  {each['code']}  {said(each)}"
            for about, each in found
            if each["severity"] == severity
        ]
        _say_most(lines, most, f"{severity}s; {rest}")


def _say_most(lines: Sequence[str], most: int | None, rest: str) -> None:
    for line in lines[:most]:
        say(line)
    if most is not None and len(lines) > most:
        say(f"… and {len(lines) - most} more {rest}")


def _added(row: Mapping[str, Any]) -> str:
    """What a new camera would be, in one line."""
    fields = (f"{each['field']}={each['after']}" for each in row["changes"])
    of_row = ("code=", "name=")
    told = "  ".join(each for each in fields if not each.startswith(of_row))
    return f"row {row['row']}  {row['code']}  new: {row['name']}  {told}"


def _tell_applied(job: dict[str, Any]) -> None:
    say(f"Applied. To take it back: streamhub camera undo-import {job['id']}")
    if job["options"]["filing"] == "draft":
        say(
            "What it added are drafts, which operators do not see. A second person: "
            f"streamhub camera review --import {job['id']}, then file."
        )


@app.command("imports")
def imports(
    import_id: Annotated[
        str | None, typer.Argument(help="Show what this one would do, row by row.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1)] = 20,
    language: OfFindings = "en",
    as_json: AsJson = False,
) -> None:
    """List imports, newest first; or look at one."""
    said = _said_in(language)
    if import_id is None:
        rows = run(lambda api: api.all(IMPORTS, limit=limit))
        show_rows(rows, ("id", "created_at", "created_by", "file_name", "state"), as_json=as_json)
        return

    async def work(api: Api) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        path = f"{IMPORTS}/{import_id}"
        return await _checked(api, path, quiet=as_json), await _rows(api, path)

    job, found = run(work)
    if as_json:
        print_json({**job, "rows": found})
    else:
        _tell(job, found, said, language, kept=True, report=None, max_added=None)


@app.command("apply-import")
def apply_import(
    import_id: str,
    without_refused: Annotated[
        bool, typer.Option("--without-refused", help="Leave rows with errors out.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Carry a checked import out, in one transaction."""
    body = {"without_refused": without_refused}
    path = f"{IMPORTS}/{import_id}/apply"
    job = run(lambda api: api.call("POST", path, body=body, timeout_s=LONG_S))
    if as_json:
        print_json(job)
    else:
        _tell_applied(job)


@app.command("undo-import")
def undo_import(import_id: str, as_json: AsJson = False) -> None:
    """Take an applied import back: every camera becomes what it was.

    But for credentials: devices that were there before keep the user names and passwords that the
    import gave them; they are named.
    """
    path = f"{IMPORTS}/{import_id}/undo"
    job = run(lambda api: api.call("POST", path, timeout_s=LONG_S))
    if as_json:
        print_json(job)
        return
    say(f"Undone. Every camera is what it was before {job['file_name']}.")
    if many := job["keep_credentials"]:
        names = ", ".join(job["keep_credentials_names"])
        more = ", …" if many > len(job["keep_credentials_names"]) else ""
        say(f"Devices that keep the credentials it gave them: {many} ({names}{more}).")
        say("To set others: streamhub device rotate-passwords, or an import of them.")


@app.command("discard-import")
def discard_import(import_id: str) -> None:
    """Throw an import away with its file; what it applied stays."""
    run(lambda api: api.call("DELETE", f"{IMPORTS}/{import_id}"))
    say(f"discarded {import_id}")


@app.command("templates")
def templates(as_json: AsJson = False) -> None:
    """List the forms that files can be read and written by."""
    from camera_registry.importers.templates import every

    # They are files: no registry is needed to read them.
    rows = [
        {"name": each.name, "title": each.zh, "title_en": each.en, "columns": len(each.columns)}
        for each in every(settings_or_fail().data_dir / "forms")
    ]
    show_rows(rows, ("name", "title", "title_en", "columns"), as_json=as_json)


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="Where to write; .xlsx, .csv or .json.")],
    template: Annotated[str, typer.Option(help="A form.")] = "full",
    area: Annotated[str | None, typer.Option(help="Id, code or name; with all below.")] = None,
    language: Annotated[str, typer.Option(help="Of the headings: zh or en.")] = "zh",
) -> None:
    """Write cameras into a form. Passwords are never in it."""
    kind = file.suffix.lower().removeprefix(".")
    if kind not in ("xlsx", "csv", "json"):
        raise CliError("Name the file .xlsx, .csv or .json.", exit_code=2)

    async def work(api: Api) -> bytes:
        area_id = None if area is None else (await area_by(api, area))["id"]
        params = {"template": template, "kind": kind, "language": language, "area_id": area_id}
        return await api.download("/api/v1/channel-export", params=params)

    content = run(work)
    try:
        file.write_bytes(content)
    except OSError as error:
        raise CliError(f"{file} can't be written ({error.strerror}).") from None
    say(f"wrote {file}")


@app.command("lint")
def lint(
    area: Annotated[str | None, typer.Option(help="Id, code or name; with all below.")] = None,
    language: OfFindings = "en",
    as_json: AsJson = False,
) -> None:
    """Run the import's rules over the registry. Exit code 1: there are errors."""
    said = _said_in(language)

    async def work(api: Api) -> dict[str, Any]:
        area_id = None if area is None else (await area_by(api, area))["id"]
        found: dict[str, Any] = await api.call(
            "GET", "/api/v1/channel-lint", params={"area_id": area_id}, timeout_s=LONG_S
        )
        return found

    found = run(work)
    findings = [(item["code"], each) for item in found["items"] for each in item["findings"]]
    errors = sum(each["severity"] == "error" for _, each in findings)
    if as_json:
        print_json(found)
    else:
        _say_findings(findings, said, "--json has them all.")
        say(
            f"{found['looked_at']} cameras, {len(found['items'])} with findings, {errors} errors, "
            f"{len(findings) - errors} warnings."
        )
    if errors:
        raise typer.Exit(1)


@app.command("new-code")
def new_code(
    division: Annotated[str, typer.Argument(help="6 digits, or 8 with the basic unit.")],
    industry: Annotated[str, typer.Option(help="2 digits.")] = "00",
    type_: Annotated[str, typer.Option("--type", help="3 digits.")] = "132",
    network: Annotated[str, typer.Option(help="1 digit.")] = "1",
    count: Annotated[int, typer.Option(min=1, max=1000)] = 1,
) -> None:
    """Print the next free 20-digit codes; nobody else is given them."""
    body = {
        "division": division,
        "industry": industry,
        "type": type_,
        "network": network,
        "count": count,
    }
    for code in run(lambda api: api.call("POST", "/api/v1/codes", body=body))["codes"]:
        say(code)


@app.command("versions")
def versions(
    camera: Annotated[str, typer.Argument(help="Id or code.")],
    limit: Annotated[int, typer.Option(min=1)] = 20,
    as_json: AsJson = False,
) -> None:
    """Show who changed a camera, when and how."""

    async def work(api: Api) -> list[dict[str, Any]]:
        channel = await channel_by(api, camera)
        return await api.all(f"/api/v1/channels/{channel['id']}/versions", limit=limit)

    rows = run(work)
    if not as_json:
        for row in rows:
            row["changes"] = ", ".join(
                f"{each['field']}: {each['before'] or '-'} -> {each['after'] or '-'}"
                for each in row["changes"]
            )
    show_rows(rows, ("version", "at", "by", "act", "changes"), as_json=as_json)


@app.command("undo")
def undo(
    version: Annotated[int, typer.Argument(help="Of `streamhub camera versions`; the newest.")],
    as_json: AsJson = False,
) -> None:
    """Put a camera back to what it was before its newest version."""
    path = f"/api/v1/channel-versions/{version}/undo"
    show_object(run(lambda api: api.call("POST", path)), as_json=as_json)

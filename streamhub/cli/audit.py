"""`streamhub audit …` and `streamhub views`."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .area import area_by
from .camera import channel_by
from .control import (
    MOMENT_HELP,
    Api,
    AsJson,
    CliError,
    moment,
    no_registry,
    run,
    settings_or_fail,
)
from .output import print_json, progress_bar, say, show_rows, text

if TYPE_CHECKING:
    from camera_registry.audit.judge import Judge
    from camera_registry.audit.keys import PublicKeys
    from camera_registry.audit.model import AuditVerification
    from streamhub.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The audit log.")


Act = Annotated[list[str] | None, typer.Option(help="e.g. sign_in, refused; several: again.")]
Camera = Annotated[
    str | None, typer.Option(help="Code or id; of one that was removed, the id that its rows have.")
]
Subject = Annotated[str | None, typer.Option(help="Subject id or username.")]
Area = Annotated[str | None, typer.Option(help="Id, code or name; with all below.")]
OutcomeOf = Annotated[str | None, typer.Option(help="ok, refused or failed.")]
Purpose = Annotated[str | None, typer.Option(help="A part of the purpose, or of its note.")]
Since = Annotated[str | None, typer.Option(parser=moment, metavar="TIME", help=MOMENT_HELP)]
Until = Annotated[
    str | None,
    typer.Option(parser=moment, metavar="TIME", help=f"What began before it; {MOMENT_HELP}"),
]
PublicKey = Annotated[
    list[Path] | None, typer.Option(help="PEM of the key, several: again; else the service's.")
]
LimitOf = Annotated[int, typer.Option(min=1)]

_ROW_COLUMNS = (
    *("seq", "at", "act", "outcome", "subject_name", "remote", "channel_name", "detail"),
)
# Of an export that somebody else approved.
_BY_TWO = ("approved_by", "purpose", "purpose_note")
_LOOK_COLUMNS = (
    *("began_at", "ended_at", "subject_name", "remote", "channel_name", "kind", "profiles"),
    *("sent_bytes", "outcome", "cause", "purpose", "purpose_note"),
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
    wanted = asked(camera, subject, area, outcome, purpose, since, until) | {"act": act}

    async def work(api: Api) -> list[dict[str, Any]]:
        return await api.all("/api/v1/audit", limit=limit, **await by_id(api, wanted))

    _show_log(run(work), as_json=as_json)


@app.command("mine")
def list_mine(limit: LimitOf = 50, as_json: AsJson = False) -> None:
    """What the local operator did by this very user."""
    rows = run(lambda api: api.all("/api/v1/audit/mine", limit=limit))
    _show_log(rows, as_json=as_json)


def _show_log(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if not as_json:
        for row in rows:
            row["detail"].pop("steps", None)  # a view's, with their times: for machines
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
    wanted = asked(camera, subject, area, outcome, purpose, since, until)

    async def work(api: Api) -> list[dict[str, Any]]:
        found = await by_id(api, wanted)
        first = await api.call("GET", "/api/v1/audit/views", params={**found, "limit": 1})
        ended = await api.all("/api/v1/audit/views", limit=limit, **found)
        return [*first["open"], *ended]

    show_rows(run(work), _LOOK_COLUMNS, as_json=as_json)


def asked(
    camera: str | None,
    subject: str | None,
    area: str | None,
    outcome: str | None,
    purpose: str | None,
    since: str | None,
    until: str | None,
) -> dict[str, Any]:
    """A filter as it was typed; for the API, see `by_id`."""
    return {
        "channel_id": camera,
        "subject": subject,
        "area_id": area,
        "outcome": outcome,
        "purpose": purpose,
        "since": since,
        "until": until,
    }


async def by_id(api: Api, wanted: dict[str, Any]) -> dict[str, Any]:
    """The filter as the API takes it. An id passes as it is: what it was of may be gone by now,
    and its rows are still there. Raises CliError when a code or a name is of nothing."""
    found = dict(wanted)
    camera, area = wanted["channel_id"], wanted["area_id"]
    if camera is not None and not camera.startswith("ch_"):
        found["channel_id"] = (await channel_by(api, camera))["id"]
    if area is not None and not area.startswith("ar_"):
        found["area_id"] = (await area_by(api, area))["id"]
    return found


@app.command("public-key")
def public_key(as_json: AsJson = False) -> None:
    """The key that checks signed roots, in PEM: give it to who is to verify."""
    from camera_registry.audit.keys import open_audit_key
    from camera_registry.errors import RegistryError

    try:
        key = open_audit_key(settings_or_fail().audit_key_path, make=False)
    except RegistryError as error:
        raise CliError(str(error)) from None
    if as_json:
        print_json({"key_id": key.key_id, "public_key": key.public_pem()})
    else:
        say(key.public_pem().rstrip())


@app.command()
def verify(
    roots: Annotated[
        Path | None, typer.Option(help="Directory of signed roots; else the service's own.")
    ] = None,
    public_key: PublicKey = None,
    as_json: AsJson = False,
) -> None:
    """Check every row, segment, signature and written root; exit code 1 when anything differs."""
    from camera_registry.errors import RegistryError
    from camera_registry.store import open_store

    settings = settings_or_fail()
    place = settings.registry_place
    if isinstance(place, Path) and not place.exists():
        raise no_registry(settings)
    if roots is not None and not roots.is_dir():
        raise CliError(f"There is no directory {roots}.", exit_code=2)

    async def work() -> AuditVerification:
        judge = _judge(settings, roots, public_key or [])
        # Reading beside a running service is safe: a reader sees one snapshot.
        store = await open_store(place, migrate=False)
        try:
            with progress_bar("rows") as told:
                return await store.verify_audit(judge, told)
        finally:
            await store.close()

    try:
        result = asyncio.run(work())
    except RegistryError as error:
        raise CliError(str(error)) from None
    except OSError as error:
        raise CliError(f"The roots can't be read: {error}.") from None
    _show(result, as_json=as_json)
    if not result.ok:
        raise CliError(
            f"{result.faults_total} faults; the first: {result.reason} "
            "Compare with a backup from before."
        )


@app.command("verify-export")
def verify_export_file(
    file: Annotated[Path, typer.Argument(help="A ZIP that `audit export` or the page made.")],
    public_key: PublicKey = None,
    as_json: AsJson = False,
) -> None:
    """Check an export by itself, with the public key alone; exit code 1 when anything differs."""
    from camera_registry.audit.verify_export import verify_export
    from camera_registry.errors import RegistryError

    try:
        keys = _keys(None if public_key else settings_or_fail(), public_key or [])
        with progress_bar("rows") as told:
            found = verify_export(file, keys, told)
    except RegistryError as error:
        raise CliError(str(error)) from None
    if as_json:
        print_json(
            {
                "ok": found.ok,
                "rows": found.rows,
                "segments": found.segments,
                "statement": found.statement,
                "faults_total": found.faults.total,
                "faults": [asdict(fault) for fault in found.faults.told],
            }
        )
    else:
        for fault in found.faults.told:
            say(f"row {fault.seq or '-'}, day {fault.day or '-'}: {fault.sentence}")
        say(f"{found.rows} rows of {found.segments} signed segments")
        for name in ("at", "by", *_BY_TWO, "asked", "first_seq", "last_seq"):
            if name not in _BY_TWO or name in found.statement:
                say(f"{name}: {text(found.statement.get(name)) or '-'}")
    if not found.ok:
        raise CliError(f"{found.faults.total} faults; the first: {found.faults.told[0].sentence}")


def _keys(settings: Settings | None, public_keys: list[Path]) -> PublicKeys:
    """Those named, else the service's own; none where it has none yet."""
    from camera_registry.audit.keys import open_audit_key, read_public_keys

    if settings is not None and settings.audit_key_path.exists():
        own = open_audit_key(settings.audit_key_path, make=False)
        return {own.key_id: own.public}
    return read_public_keys(public_keys)


def _judge(settings: Settings, roots: Path | None, public_keys: list[Path]) -> Judge:
    from camera_registry.audit.judge import Judge
    from camera_registry.audit.roots import RootFiles

    keys = _keys(None if public_keys else settings, public_keys)
    return Judge(keys, RootFiles(roots or settings.audit_roots_dir))


def _show(result: AuditVerification, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "ok": result.ok,
                "rows_checked": result.rows_checked,
                "rows_cut": result.rows_cut,
                "segments_checked": result.segments_checked,
                "first_bad_seq": result.first_bad_seq,
                "reason": result.reason,
                "last_hash": result.last_hash,
                "faults_total": result.faults_total,
                "faults": [asdict(fault) for fault in result.faults],
                "notices": list(result.notices),
            }
        )
        return
    for fault in result.faults:
        say(f"row {fault.seq or '-'}, day {fault.day or '-'}: {fault.sentence}")
    for notice in result.notices:
        say(notice)
    cut = f" (rows 1 to {result.rows_cut} were cut)" if result.rows_cut else ""
    how = "unbroken" if result.ok else "broken"
    say(
        f"{result.rows_checked} rows{cut} and {result.segments_checked} signed segments, {how}; "
        f"last hash {result.last_hash}"
    )


def views(as_json: AsJson = False, limit: Annotated[int, typer.Option(min=1)] = 500) -> None:
    """Who watches what right now."""
    rows = run(lambda api: api.all("/api/v1/views", limit=limit))
    for row in rows:
        row["username"] = row["subject"]["username"]
    columns = ("id", "username", "channel_name", "profile", "state", "started_at", "bytes")
    show_rows(rows, columns, as_json=as_json)

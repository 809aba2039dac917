"""`streamhub quota set|list|remove`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .area import area_by
from .control import Api, AsJson, run
from .output import say, show_object, show_rows
from .subject import subject_by

app = typer.Typer(no_args_is_help=True, help="Quotas: how much is watched at once, and by whom.")

QUOTAS = "/api/v1/quotas"
SUBJECT_PREFIX = "subject:"
COLUMNS = ("of", "views", "max_views", "mbps", "max_mbps", "kept_views", "kept_mbps")

Holder = Annotated[str, typer.Argument(help="An area (id, code or name), or subject:USERNAME.")]


@app.command("set")
def set_quota(
    holder: Holder,
    views: Annotated[int | None, typer.Option(min=0, help="Views at once.")] = None,
    mbps: Annotated[float | None, typer.Option(min=0, help="Mbit/s, all views together.")] = None,
    keep_views: Annotated[
        int | None, typer.Option(min=0, help="Views of the service that are kept for them.")
    ] = None,
    keep_mbps: Annotated[
        float | None, typer.Option(min=0, help="Mbit/s of the service that are kept for them.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Set the quota of an area's people, or of a subject, in place of the one they have; views
    beyond it end at once, the newest first."""
    body = {
        "max_views": views,
        "max_bps": _bps(mbps),
        "kept_views": keep_views,
        "kept_bps": _bps(keep_mbps),
    }

    async def work(api: Api) -> Any:
        return await api.call("PUT", await _path(api, holder), body=body)

    row = run(work)
    show_object(row if as_json else _told(row), as_json=as_json)


@app.command("list")
def list_quotas(limit: Annotated[int, typer.Option(min=1)] = 500, as_json: AsJson = False) -> None:
    """All quotas, with what is in use now."""
    rows = run(lambda api: api.all(QUOTAS, limit=limit))
    show_rows(rows if as_json else [_told(each) for each in rows], COLUMNS, as_json=as_json)


@app.command()
def remove(holder: Holder) -> None:
    """Take a quota away."""

    async def work(api: Api) -> None:
        await api.call("DELETE", await _path(api, holder))

    run(work)
    say(f"removed the quota of {holder}")


async def _path(api: Api, holder: str) -> str:
    if holder.startswith(SUBJECT_PREFIX):
        subject = await subject_by(api, holder.removeprefix(SUBJECT_PREFIX))
        return f"{QUOTAS}/subjects/{subject['id']}"
    return f"{QUOTAS}/areas/{(await area_by(api, holder))['id']}"


def _bps(mbps: float | None) -> int | None:
    return None if mbps is None else round(mbps * 1e6)


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """As people read it."""
    told: dict[str, Any] = {"of": row["area_name"] or f"{SUBJECT_PREFIX}{row['subject_name']}"}
    for name in ("views", "max_views", "kept_views"):
        told[name] = row[name]
    for name in ("bps", "max_bps", "kept_bps"):
        bps = row[name]
        told[name.replace("bps", "mbps")] = None if bps is None else round(bps / 1e6, 1)
    return told

"""`streamhub area assign` and `streamhub area rule add|list|remove`: cameras into their areas."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .area import MAX_AREAS, app, area_by, areas_of
from .camera import channel_by
from .control import LONG_S, Api, AsJson, CliError, run
from .output import print_json, say, show_object, show_rows

__all__ = ["app"]  # all commands of `area`: those of its own file, and these

RULES = "/api/v1/assignment-rules"
# Lines of a terminal that somebody still reads.
MAX_LINES = 50
MAX_NAMED = 5  # cameras of one subject, on a line

rules = typer.Typer(no_args_is_help=True, help="Rules that say which cameras belong where.")
app.add_typer(rules, name="rule")


@app.command()
def assign(
    cameras: Annotated[list[str] | None, typer.Argument(help="Ids or codes; else all.")] = None,
    area: Annotated[
        str | None, typer.Option(help="Look at those that are there now; id, code or name.")
    ] = None,
    of_import: Annotated[str | None, typer.Option("--import", help="What it brought.")] = None,
    no_boundaries: Annotated[
        bool, typer.Option("--no-boundaries", help="Go by rules alone.")
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Carry it out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say where cameras belong, and who would then see what; with --apply, move them."""
    if sum(bool(each) for each in (cameras, area, of_import)) > 1:
        raise CliError("Name cameras, or --area, or --import: one of these.", exit_code=2)

    async def work(api: Api) -> tuple[dict[str, Any], dict[str, str]]:
        body: dict[str, Any] = {"boundaries": not no_boundaries, "import_id": of_import}
        if area is not None:
            body["area_id"] = (await area_by(api, area))["id"]
        if cameras:
            body["channel_ids"] = [(await channel_by(api, each))["id"] for each in cameras]
        areas = await api.call("GET", "/api/v1/areas", params={"limit": MAX_AREAS})
        path = "/api/v1/assignment"
        plan = await api.call("POST", f"{path}/preview", body=body, timeout_s=LONG_S)
        if apply and plan["moves"]:
            body["plan"] = plan["plan"]
            plan |= await api.call("POST", f"{path}/apply", body=body, timeout_s=LONG_S)
        return plan, {each["id"]: each["name"] for each in areas["items"]}

    plan, names = run(work)
    if as_json:
        print_json(plan)
    else:
        _tell(plan, names, applied=apply)


def _tell(plan: dict[str, Any], names: dict[str, str], *, applied: bool) -> None:
    for move in plan["items"][:MAX_LINES]:
        where = f"{names.get(move['from_area_id'], '?')} -> {names.get(move['to_area_id'], '?')}"
        why = f"rule {move['rule_id']}" if move["rule_id"] else "boundary"
        drawn = ", a drawing" if move["schematic"] else ""
        say(f"{move['code']} {move['name']}: {where} ({why}{drawn})")
    if plan["moves"] > MAX_LINES:
        say(f"… and {plan['moves'] - MAX_LINES} more")
    for each in plan["audience"] or ():
        for count, one, many, cameras in (
            (each["gained"], "becomes", "become", each["gained_cameras"]),
            (each["lost"], "is no longer", "are no longer", each["lost_cameras"]),
        ):
            if count:
                some = ", ".join(camera["name"] for camera in cameras[:MAX_NAMED])
                more = ", …" if count > MAX_NAMED else ""
                what = f"1 camera {one}" if count == 1 else f"{count} cameras {many}"
                say(f"{what} visible to {each['username']}: {some}{more}")
    say(
        f"{'moved' if applied else 'would move'} {plan['moves']} of {plan['looked_at']}; "
        f"{plan['unplaced']} belong nowhere that a rule or a boundary names"
    )
    if plan["schematic"]:
        say(f"{plan['schematic']} go by boundaries that are drawings, not surveys: look at them.")
    if plan["moves"] and not applied:
        say("Carry it out with --apply.")


@rules.command("add")
def add_rule(
    kind: Annotated[str, typer.Argument(help="polygon, address_prefix, name_prefix or fact.")],
    area: Annotated[str, typer.Option(help="Where they belong; id, code or name.")],
    text: Annotated[str | None, typer.Argument(help="The prefix, or the fact's text.")] = None,
    field: Annotated[str | None, typer.Option(help="Of a fact: its key.")] = None,
    priority: Annotated[int, typer.Option(help="Low ones are asked first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Add a rule."""

    async def work(api: Api) -> Any:
        body = {
            "kind": kind,
            "text": text,
            "field": field,
            "priority": priority,
            "area_id": (await area_by(api, area))["id"],
        }
        return await api.call("POST", RULES, body=body)

    show_object(run(work), as_json=as_json)


@rules.command("list")
def list_rules(as_json: AsJson = False) -> None:
    """All rules, in the order they are asked in."""

    async def work(api: Api) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await api.call("GET", RULES))["items"]
        if not as_json:
            names = {each["id"]: each["name"] for each in await areas_of(api)}
            for rule in items:
                rule["area"] = names.get(rule["area_id"], rule["area_id"])
        return items

    columns = ("id", "priority", "kind", "field", "text", "area")
    show_rows(run(work), columns, as_json=as_json)


@rules.command("remove")
def remove_rule(rule: Annotated[str, typer.Argument(help="Id.")]) -> None:
    """Remove a rule; no camera moves by that."""

    async def work(api: Api) -> None:
        await api.call("DELETE", f"{RULES}/{rule}")

    run(work)
    say(f"removed {rule}")

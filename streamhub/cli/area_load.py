"""`streamhub area load` and `area boundaries`: the tree and its boundaries out of files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from .area import area_by, areas_of
from .area_assign import app
from .control import Api, AsJson, CliError, run
from .files import read_file
from .output import print_json, say, show_rows

__all__ = ["app"]  # all commands of `area`: those of the files above, and these

CODE_HEADINGS = ("code", "区划代码", "行政区划代码", "编码")
NAME_HEADINGS = ("name", "名称", "区划名称")
# From the top down; a code begins with that of the area above it.
KINDS = ("district", "street", "community", "grid")


@app.command()
def load(
    file: Annotated[Path, typer.Argument(help="CSV or XLSX with the columns code and name.")],
    apply: Annotated[bool, typer.Option("--apply", help="Add them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Add the areas of a file, those above first. Each lies in the area whose code its own begins
    with, and its kind follows. Areas that are there stay as they are."""
    rows = _rows(file)

    async def work(api: Api) -> list[dict[str, Any]]:
        known = {each["code"]: each for each in await areas_of(api)}
        plan = _plan(rows, known)
        if apply and not any(each["problem"] for each in plan):
            for each in plan:
                if each["is"] == "new":
                    await _add(api, each, known)
        return plan

    plan = run(work, begins=True)
    added = [each for each in plan if each["is"] == "new"]
    problems = [each for each in plan if each["problem"]]
    if as_json:
        print_json(plan)
    else:
        show_rows(plan, ("row", "code", "name", "kind", "in", "is", "problem"), as_json=False)
        done = "added" if apply and not problems else "would be added"
        say(f"{len(added)} {done}, {len(plan) - len(added) - len(problems)} are there.")
    if problems:
        raise CliError(f"{len(problems)} of the rows can't be taken; nothing was added.")


@app.command()
def boundaries(
    file: Annotated[Path, typer.Argument(help="GeoJSON; features with a code or a name.")],
    area: Annotated[
        str | None, typer.Option(help="Of a file with one boundary: id, code or name.")
    ] = None,
    datum: Annotated[
        str, typer.Option(help="Of the file: wgs84, gcj02 (AMap, Tencent) or bd09 (Baidu).")
    ] = "wgs84",
    drawing: Annotated[
        bool, typer.Option("--drawing", help="They are a drawing, not a survey.")
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Give them to the areas.")] = False,
    as_json: AsJson = False,
) -> None:
    """Boundaries out of a file: cameras' positions are checked against the district's, and cameras
    are assigned by them. Shows what it would do; --apply does it."""
    from camera_registry.boundaries import MAX_GEOJSON_BYTES

    content = read_file(file, MAX_GEOJSON_BYTES)

    async def work(api: Api) -> Any:
        params: dict[str, Any] = {"datum": datum, "schematic": drawing, "apply": apply}
        if area is not None:
            params["area_id"] = (await area_by(api, area))["id"]
        return await api.upload("/api/v1/area-boundaries", content, params=params)

    answer = run(work)
    if as_json:
        print_json(answer)
        return
    rows = [
        {
            "feature": each["number"],
            "calls itself": " ".join(text for text in (each["code"], each["name"]) if text),
            "area": each["area_name"] or "-",
            "points": each["points"] or "-",
            "had": each["had"] or "-",
            "says": each["sentence"] or _left_out(each),
        }
        for each in answer["items"]
    ]
    show_rows(rows, ("feature", "calls itself", "area", "points", "had", "says"), as_json=False)
    taken = sum(bool(each["points"]) for each in answer["items"])
    left = len(rows) - taken
    say(f"{taken} {'given to their areas' if answer['applied'] else 'can be taken'}, {left} not.")
    if taken and not apply:
        say("Nothing is changed yet; carry it out with --apply.")


def _left_out(found: Mapping[str, Any]) -> str:
    notes = []
    if found["parts"] > 1:
        notes.append(f"the largest of {found['parts']} parts is taken")
    if found["has_holes"]:
        notes.append("holes are left out")
    if found["moved_m"]:
        before, metres = found["points_in_file"], found["moved_m"]
        notes.append(f"thinned from {before} points, by up to {metres:.0f} m")
    return "; ".join(notes)


def _rows(file: Path) -> list[tuple[int, str, str]]:
    """(row, code, name) of each row that has either."""
    from camera_registry.importers.readers import MAX_FILE_BYTES, open_table
    from camera_registry.importers.rows import FileRefused

    try:
        table = open_table(read_file(file, MAX_FILE_BYTES), file.name)
        code = next((each for each in CODE_HEADINGS if each in table.headings), None)
        name = next((each for each in NAME_HEADINGS if each in table.headings), None)
        if code is None or name is None:
            raise CliError(f"{file} needs the columns code and name.", exit_code=2)
        rows = ((row.number, row.cells) for row in table.rows)
        found = [(n, cells.get(code, ""), cells.get(name, "")) for n, cells in rows]
    except FileRefused as error:
        raise CliError(str(error), exit_code=2) from None
    return [row for row in found if row[1] or row[2]]


def _plan(
    rows: Iterable[tuple[int, str, str]], known: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """What is to be added, those above first, and what is wrong."""
    kinds = {code: str(each["kind"]) for code, each in known.items()}
    plan = []
    for number, code, name in sorted(rows, key=lambda row: (len(row[1]), row[0])):
        above = max((c for c in kinds if code.startswith(c) and c != code), key=len, default="")
        told = {"row": number, "code": code, "name": name, "kind": kinds.get(code, "")}
        told |= {"in": above, "is": "there" if code in known else "", "problem": ""}
        plan.append(told)
        if told["is"]:
            continue
        depth = KINDS.index(kinds[above]) + 1 if above else 0
        if not code or not name:
            told["problem"] = "code and name are both needed"
        elif code in kinds:
            told["problem"] = "the code stands in the file twice"
        elif depth == len(KINDS):
            told["problem"] = f"{above} is a grid, and nothing lies in a grid"
        elif not above and kinds:
            told["problem"] = "no area's code is the beginning of this one"
        else:
            told["kind"] = kinds[code] = KINDS[depth]
            told["is"] = "new"
    return plan


async def _add(api: Api, new: Mapping[str, Any], known: dict[str, Any]) -> None:
    body = {key: new[key] for key in ("code", "name", "kind")}
    body["parent_id"] = known[new["in"]]["id"] if new["in"] else None
    known[new["code"]] = await api.call("POST", "/api/v1/areas", body=body)

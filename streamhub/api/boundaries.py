"""Boundaries of areas, many at once, out of a GeoJSON file."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from camera_registry import boundaries
from camera_registry.errors import ValidationFailed
from camera_registry.geo import Datum
from streamhub.access.permit import Permit
from streamhub.access.principal import Action

from .middleware import BOUNDARIES_PATH
from .newest import ByNewestRights
from .rights import requires, the_district
from .services import Provided

router = APIRouter(tags=["areas"], route_class=ByNewestRights)


class BoundaryOut(BaseModel):
    number: int = Field(description="Of the feature in the file, counted from 1.")
    code: str = Field(description="As the file has it.")
    name: str
    area_id: str | None = Field(description="The area that it is of; null: none was found.")
    area_name: str | None
    points: int = Field(description="0: it can't be taken, and `sentence` says why.")
    had: int = Field(description="Points of the boundary that the area has now.")
    reason: str = Field(description="Why it can't be taken, as a code, or empty.")
    sentence: str
    parts: int = Field(description="Of several the largest is taken.")
    has_holes: bool = Field(description="They are left out.")
    points_in_file: int
    moved_m: float = Field(description="How far thinning moved the line at most; 0: not thinned.")


class BoundariesOut(BaseModel):
    items: list[BoundaryOut]
    applied: bool


@router.post(
    BOUNDARIES_PATH,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/geo+json": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def set_boundaries(
    request: Request,
    services: Provided,
    permit: Annotated[Permit, requires(Action.MANAGE, the_district)],
    datum: Annotated[Datum, Query(description="Of the file's positions.")] = "wgs84",
    schematic: Annotated[bool, Query(description="They are a drawing, not a survey.")] = False,
    area_id: Annotated[
        str | None, Query(max_length=32, description="The area of a file with one boundary.")
    ] = None,
    apply: Annotated[bool, Query(description="False: a look, nothing is changed.")] = False,
) -> BoundariesOut:
    """Reads a GeoJSON file (RFC 7946) of areas, each known by its `code` or `name`; `apply` gives
    the areas those of its boundaries that can be taken, all in one transaction."""
    file = await request.body()
    if not file:
        raise ValidationFailed("file", "file_empty", "The file is empty; choose another.")
    areas = {each.id: each for each in await services.registry.area_tree()}
    if area_id is not None and area_id not in areas:
        raise ValidationFailed("area_id", "unknown_area", "There is no such area; choose another.")
    found = await asyncio.to_thread(boundaries.read, file, areas.values(), datum, area_id)
    rings = {each.area_id: each.ring for each in found if each.area_id and each.ring}
    items = []
    for each in found:
        area = areas.get(each.area_id or "")
        items.append(
            BoundaryOut(
                number=each.number,
                code=each.code,
                name=each.name,
                area_id=each.area_id,
                area_name=None if area is None else area.name,
                points=len(each.ring or ()),
                had=0 if area is None else area.boundary_points,
                reason=each.reason,
                sentence=each.sentence,
                parts=each.parts,
                has_holes=each.has_holes,
                points_in_file=each.points_in_file,
                moved_m=each.moved_m,
            )
        )
    if apply and rings:
        await services.registry.set_boundaries(rings, permit.principal.actor(), schematic=schematic)
    return BoundariesOut(items=items, applied=apply and bool(rings))

"""The rules of a row's position: both numbers, which datum, inside the district."""

from __future__ import annotations

from typing import Final

from .. import geo
from .context import Context
from .measures import degrees_text
from .tell import Teller

# A drawn boundary is off by a street or two; a camera so near to it may well be inside.
SCHEMATIC_TOLERANCE_M: Final = 200


def check_position(context: Context, values: dict[str, str], tell: Teller) -> None:
    """Makes `lon` and `lat` of `values` WGS-84 and tells what is wrong with them."""
    lon_text, lat_text = values.get("lon"), values.get("lat")
    if lon_text is None or lat_text is None:
        _missing(lon_text, lat_text, tell)
        return
    lon, lat = float(lon_text), float(lat_text)
    if context.datum != "wgs84":
        here = geo.to_wgs84(context.datum, lon, lat)
        values["lon"], values["lat"] = degrees_text(here[0]), degrees_text(here[1])
    else:
        here = lon, lat
    if context.polygon is None or geo.inside(context.polygon, *here):
        return
    if geo.inside(context.polygon, here[1], here[0]):
        tell(
            "lon",
            "position_swapped",
            "Longitude and latitude are swapped; put them into each other's column.",
        )
        return
    metres = geo.distance_m(context.polygon, *here)
    other = geo.guess_datum(lon, lat, context.polygon, context.datum)
    hint = (
        f"as {geo.DATUM_NAMES[other]} it would be inside: if the file's positions are, convert "
        f"with --datum {other}."
        if other
        else "check both numbers."
    )
    far = f"{metres:.0f} m" if metres < 10_000 else f"{metres / 1000:.0f} km"
    if context.district.schematic and metres < SCHEMATIC_TOLERANCE_M:
        tell(
            "lon",
            "position_near_boundary",
            f"The position is {far} outside the drawn boundary of the district; {hint}",
            "warning",
        )
        return
    tell("lon", "position_outside", f"The position is {far} outside the district; {hint}")


def _missing(lon: str | None, lat: str | None, tell: Teller) -> None:
    if lon is None and lat is None:
        if tell.asked("lon") and not (tell.told("lon") or tell.told("lat")):
            tell("lon", "position_missing", "The camera has no place on the map.", "warning")
    elif not (tell.failed("lon") or tell.failed("lat")):
        tell(
            "lon" if lon is None else "lat",
            "position_half_given",
            "Give both longitude and latitude, or neither.",
        )

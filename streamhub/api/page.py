"""The page: what the web build left in `streamhub/_web`."""

from pathlib import Path

from fastapi import APIRouter, Response
from starlette.responses import FileResponse

from .problems import Problem
from .rights import public

WEB_DIR = Path(__file__).resolve().parent.parent / "_web"
# The build puts a hash of the content into each asset's name.
_FOREVER = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


@router.get("/", dependencies=[public("the page itself; it shows nothing before sign-in")])
async def page() -> Response:
    index = WEB_DIR / "index.html"
    if not index.is_file():
        raise Problem(404, "page_not_built", "The page is not built; run `make web`.")
    return FileResponse(index, media_type="text/html", headers={"Cache-Control": "no-cache"})


@router.get("/assets/{path:path}", dependencies=[public("parts of the page")])
async def asset(path: str) -> Response:
    return _file(f"assets/{path}", _FOREVER)


@router.get("/favicon.svg", dependencies=[public("part of the page")])
async def favicon() -> Response:
    return _file("favicon.svg", "public, max-age=3600")


def _file(path: str, cache_control: str) -> Response:
    file = (WEB_DIR / path).resolve()
    if not file.is_relative_to(WEB_DIR) or not file.is_file():
        raise Problem(404, "not_found", "There is no such file.")
    return FileResponse(file, headers={"Cache-Control": cache_control})

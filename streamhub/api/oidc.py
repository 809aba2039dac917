"""Signing in by an OpenID provider: leaving for it, coming back. Who an account is there."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from camera_registry.credentials import Identity
from streamhub.access.permit import Permit
from streamhub.access.principal import Action
from streamhub.oidc.errors import OidcRefused
from streamhub.oidc.flow import FLOW_S, OidcSignIn

from .cookies import cookie_header, flow_cookie_header
from .grants import require_own
from .newest import ByNewestRights
from .problems import Problem
from .rights import public, remote_of, requires, requires_in_person, the_district
from .services import Provided, Services

router = APIRouter(prefix="/api/v1", tags=["sign-in"], route_class=ByNewestRights)

FLOW_COOKIE = "streamhub_oidc"
Manages = Annotated[Permit, requires(Action.MANAGE, the_district)]
ManagesInPerson = Annotated[Permit, requires_in_person(Action.MANAGE, the_district)]


class OidcOut(BaseModel):
    enabled: bool
    label: str | None = Field(description="How people call it.")


class IdentityOut(BaseModel):
    issuer: str
    sub: str


class Identities(BaseModel):
    items: list[IdentityOut]


class IdentityIn(BaseModel):
    sub: Annotated[str, Field(min_length=1, max_length=255)]


@router.get("/oidc", dependencies=[public("the page asks how one may sign in")])
async def oidc(services: Provided) -> OidcOut:
    on = services.oidc
    return OidcOut(enabled=on is not None, label=None if on is None else on.settings.label)


@router.get(
    "/oidc/sign-in",
    status_code=303,
    dependencies=[public("this is how the page signs in by a provider")],
)
async def leave(request: Request, services: Provided) -> Response:
    """Sends the browser to the provider."""
    try:
        departure = await _on(services).begin()
    except OidcRefused as refused:
        return _back(request, refused.code)
    headers = {
        "location": departure.url,
        "set-cookie": flow_cookie_header(
            FLOW_COOKIE, departure.cookie, max_age_s=FLOW_S, secure=_is_secure(request)
        ),
    }
    return Response(status_code=303, headers=headers)


@router.get(
    "/oidc/callback", status_code=303, dependencies=[public("the provider sends browsers here")]
)
async def come_back(request: Request, services: Provided) -> Response:
    """Signs the page in, and goes on to it; `?sign_in_error=…` says why not."""
    on = _on(services)
    cookie = request.cookies.get(FLOW_COOKIE)
    query = {key: value[:4096] for key, value in request.query_params.items()}
    try:
        opened = await on.finish(
            query, cookie, remote_of(request), request.headers.get("user-agent")
        )
    except OidcRefused as refused:
        return _back(request, refused.code)
    answer = _back(request)
    answer.headers.append("set-cookie", cookie_header(opened.cookie, secure=_is_secure(request)))
    return answer


@router.get("/subjects/{subject_id}/identity")
async def identity(services: Provided, permit: Manages, subject_id: str) -> Identities:
    """Who the subject is at the provider."""
    rows = await services.identities.of_subject(subject_id)
    return Identities(items=[IdentityOut(issuer=row.issuer, sub=row.sub) for row in rows])


@router.put("/subjects/{subject_id}/identity", status_code=204)
async def link(
    services: Provided, permit: ManagesInPerson, subject_id: str, body: IdentityIn
) -> Response:
    """Whom the provider knows by this `sub` signs in as the subject from now on: all that the
    subject may must be yours to pass on."""
    require_own(services, permit.principal, services.facts.current.grants_of(subject_id))
    issuer = str(_on(services).settings.issuer)
    await services.identities.link(subject_id, Identity(issuer, body.sub), permit.principal.actor())
    return Response(status_code=204)


@router.delete("/subjects/{subject_id}/identity", status_code=204)
async def unlink(services: Provided, permit: ManagesInPerson, subject_id: str) -> Response:
    """Ends the subject's sign-ins, too."""
    await services.identities.unlink(subject_id, permit.principal.actor())
    return Response(status_code=204)


def _on(services: Services) -> OidcSignIn:
    if services.oidc is None:
        raise Problem(404, "no_provider", "No OpenID provider is set up; see [oidc].")
    return services.oidc


def _back(request: Request, error: str | None = None) -> Response:
    """To the page, and nowhere else."""
    where = "/" if error is None else f"/?sign_in_error={error}"
    gone = flow_cookie_header(FLOW_COOKIE, "", max_age_s=0, secure=_is_secure(request))
    return Response(status_code=303, headers={"location": where, "set-cookie": gone})


def _is_secure(request: Request) -> bool:
    return request.url.scheme == "https"

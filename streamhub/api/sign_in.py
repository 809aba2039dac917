"""Signing in and out, and who one is: token, sign-in, sign-out, me."""

from typing import Annotated, Literal, cast

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel, Field, SecretStr
from starlette.responses import JSONResponse

from camera_registry.credentials import SignInMethod
from camera_registry.domain import Effect, Grant
from streamhub.access.policy import grants_now, what_is_due
from streamhub.access.principal import DISTRICT, Action, Principal
from streamhub.access.tokens import TOKEN_LIFETIME_S

from .cookies import cookie_header, gone_cookie_header
from .grant_bodies import (
    ConditionBody,
    WindowBody,
    conditions_out,
    role_name,
    windows_out,
)
from .grants import channel_name
from .rights import public, remote_of, signed_in
from .services import Provided, Services
from .times import Time

router = APIRouter(prefix="/api/v1", tags=["sign-in"])


Due = Literal["password_change_due", "second_factor_due"]


class TokenAnswer(BaseModel):
    access_token: str
    token_type: str = "bearer"  # noqa: S105
    expires_in: int = Field(description="Seconds.")


class SignInRequest(BaseModel):
    username: Annotated[str, Field(max_length=128)]
    password: SecretStr
    code: Annotated[SecretStr, Field(max_length=64)] | None = Field(
        default=None, description="Of the authenticator, or a recovery code."
    )


class SubjectBrief(BaseModel):
    id: str
    username: str
    display_name: str
    kind: str


class SignInAnswer(BaseModel):
    subject: SubjectBrief


class SignedOut(BaseModel):
    continue_at: str = Field(description="Where the browser signs out of the provider, too.")


class MyGrant(BaseModel):
    actions: list[str]
    area_id: str | None
    area_name: str | None
    channel_id: str | None
    channel_name: str | None
    valid_from: Time
    valid_until: Time | None
    role_name: str | None = Field(description="The role that it was given to, if to one.")
    effect: Effect
    conditions: list[ConditionBody]
    windows: list[WindowBody]
    purpose_required: bool


class Me(SubjectBrief):
    grants: list[MyGrant]
    may_manage: bool = Field(description="Some camera or area.")
    manages_district: bool = Field(description="All of it: imports, sweeps, settings.")
    may_audit: bool
    due: Due | None = Field(description="What must be seen to before anything else is allowed.")


@router.post("/token", dependencies=[public("this is how scripts sign in")])
async def token(
    request: Request,
    services: Provided,
    username: Annotated[str, Form(max_length=128)],
    password: Annotated[SecretStr, Form()],
    code: Annotated[SecretStr | None, Form(max_length=64)] = None,
) -> TokenAnswer:
    """The OAuth 2.0 password form (RFC 6749 section 4.3): a bearer token for scripts. `code` is
    the second factor's, where the subject has one."""
    issued = await services.sign_ins.token(
        username,
        password.get_secret_value(),
        remote_of(request),
        code=None if code is None else code.get_secret_value(),
        agent=request.headers.get("user-agent"),
    )
    return TokenAnswer(access_token=issued, expires_in=TOKEN_LIFETIME_S)


@router.post("/sign-in", dependencies=[public("this is how the page signs in")])
async def sign_in(
    request: Request, response: Response, services: Provided, body: SignInRequest
) -> SignInAnswer:
    """Signs the page in with a cookie that renews itself while it is used."""
    opened = await services.sign_ins.open(
        body.username,
        body.password.get_secret_value(),
        remote_of(request),
        code=None if body.code is None else body.code.get_secret_value(),
        agent=request.headers.get("user-agent"),
    )
    secure = request.url.scheme == "https"
    response.headers.append("set-cookie", cookie_header(opened.cookie, secure=secure))
    row = opened.subject
    return SignInAnswer(
        subject=SubjectBrief(
            id=row.id, username=row.username, display_name=row.display_name, kind=row.kind
        )
    )


@router.post(
    "/sign-out",
    status_code=204,
    responses={200: {"model": SignedOut, "description": "Signed in by a provider."}},
)
async def sign_out(
    request: Request, services: Provided, who: Annotated[Principal, signed_in()]
) -> Response:
    """Ends the sign-in that it is asked with, the page's or the token's, and its views; with an
    API key there is nothing to end."""
    sign_in = services.facts.current.sign_ins.get(who.credential_id or "")
    await services.sign_ins.close(who)
    secure = request.url.scheme == "https"
    headers = {"set-cookie": gone_cookie_header(secure=secure)}
    continue_at = None
    if services.oidc is not None and sign_in is not None and sign_in.method is SignInMethod.OIDC:
        continue_at = await services.oidc.provider.sign_out_url()
    if continue_at is None:
        return Response(status_code=204, headers=headers)
    return JSONResponse({"continue_at": continue_at}, headers=headers)


@router.get("/me")
async def me(services: Provided, who: Annotated[Principal, signed_in()]) -> Me:
    """Who is signed in, and what for."""
    facts, now = services.facts.current, services.now()
    row = facts.subject(who.subject_id)
    return Me(
        id=who.subject_id,
        username=who.username,
        display_name=who.username if row is None else row.display_name,
        kind="person" if row is None else row.kind,
        grants=[_my_grant(services, who, each) for each in grants_now(who, facts, now)],
        may_manage=not services.guard.scope(who, Action.MANAGE).is_empty,
        manages_district=services.guard.allows(who, Action.MANAGE, DISTRICT),
        may_audit=not services.guard.scope(who, Action.AUDIT).is_empty,
        due=cast(Due | None, what_is_due(who, facts)),
    )


def _my_grant(services: Services, who: Principal, grant: Grant) -> MyGrant:
    area = None if grant.area_id is None else services.facts.current.area(grant.area_id)
    return MyGrant(
        actions=sorted(grant.actions),
        area_id=grant.area_id,
        area_name=None if area is None else area.name,
        channel_id=grant.channel_id,
        channel_name=channel_name(services, who, grant.channel_id),
        valid_from=grant.valid_from,
        valid_until=grant.valid_until,
        role_name=role_name(services, grant),
        effect=grant.effect,
        conditions=conditions_out(grant),
        windows=windows_out(grant),
        purpose_required=grant.purpose_required,
    )

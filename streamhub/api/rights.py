"""The right of each route, declared by one dependency; a route without one fails a test.

permit: Annotated[Permit, requires(Action.LIVE, channel_in_path)]
who: Annotated[Principal, signed_in()]            # the list shows only what is visible
dependencies=[public("why")]
"""

# Dependencies are coroutines, also where nothing is awaited: a plain function would be called by
# way of a thread, for each request.
# No `from __future__ import annotations`: the dependencies below are made by closures, whose
# names the framework could not resolve from strings.

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final
from urllib.parse import unquote_to_bytes

from fastapi import Depends, Header, Query, Request
from starlette.datastructures import URL

from camera_registry import validation as check
from camera_registry.domain import Stated
from camera_registry.errors import ValidationFailed
from camera_registry.validation import MAX_PURPOSE_NOTE_CHARS
from streamhub.access.api_keys import PREFIX
from streamhub.access.audit import BadCredential, CameWith
from streamhub.access.errors import Forbidden, Known, Unauthenticated
from streamhub.access.permit import Permit
from streamhub.access.policy import TAKES_PURPOSE, Scope
from streamhub.access.principal import DISTRICT, Action, Principal, Resource, area, channel

from .services import Provided, Services

COOKIE: Final = "streamhub_sign_in"
PRINCIPAL_SCOPE: Final = "streamhub.principal"
TRY_SCOPE: Final = "streamhub.try"
RENEW_SCOPE: Final = "streamhub.renew_cookie"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_MARK: Final = "__streamhub_right__"
_PURPOSE: Final = (
    "What for, a code of `/api/v1/purposes`; where it is asked (403 `purpose_required`)."
)
_NOTE: Final = "The same in words of one's own, 160 characters at most; with a purpose alone."
# Percent-encoded, a character has four bytes at most, each three characters long.
_MAX_ENCODED_NOTE: Final = MAX_PURPOSE_NOTE_CHARS * 12


def declares(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark a dependency as one that declares a route's right (see tests/architecture)."""

    def mark(dependency: Callable[..., Any]) -> Callable[..., Any]:
        setattr(dependency, _MARK, name)
        return dependency

    return mark


def declared_right(dependency: Callable[..., Any] | None) -> str | None:
    """The right a dependency declares, None when it declares none."""
    return getattr(dependency, _MARK, None)


def remote_of(request: Request) -> str:
    """The caller's address, as the server saw it (or a trusted proxy said)."""
    return request.client.host if request.client else "local"


@dataclass(frozen=True, slots=True)
class Try:
    """One of a request that changes something (`newest.py`): what it is decided from."""

    seq: int  # of the facts when it began
    gives_way: Callable[[], bool]


async def principal_of(request: Request, services: Provided) -> Principal:
    """Who asks: the local operator, a Bearer token or API key, or the page's cookie. Raises
    Unauthenticated."""
    who = await _recognised(request, services)
    this = request.scope.get(TRY_SCOPE)
    return who.decided_from(this.seq, this.gives_way) if isinstance(this, Try) else who


async def _recognised(request: Request, services: Services) -> Principal:
    # Set by the control socket's own server only: a client can't write into the scope.
    local = request.scope.get(PRINCIPAL_SCOPE)
    if isinstance(local, Principal):
        return local
    remote = remote_of(request)
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme:
        came_with: CameWith = "key" if text.strip().startswith(PREFIX) else "token"
        try:
            if scheme.lower() != "bearer" or not text.strip():
                raise Unauthenticated("Send `Authorization: Bearer <token>`.", code="token_invalid")
            if came_with == "key":
                return await services.api_keys.read(text.strip(), remote)
            return await services.sign_ins.from_bearer(text.strip(), remote)
        except Unauthenticated as error:
            _note(services, BadCredential(came_with, remote, error.code, error.known))
            raise
    cookie = request.cookies.get(COOKIE)
    if cookie is None:
        raise Unauthenticated("Sign in first.")
    try:
        principal, renewed = await services.sign_ins.from_cookie(cookie, remote)
    except Unauthenticated as error:
        _note(services, BadCredential("cookie", remote, error.code, error.known))
        raise
    _refuse_other_origins(request, services, principal)
    if renewed:
        request.scope[RENEW_SCOPE] = cookie
    return principal


def _refuse_other_origins(request: Request, services: Services, who: Principal) -> None:
    """A cookie comes by itself, and SameSite lets other ports of this host through: changes
    must come from our own page."""
    origin = request.headers.get("origin")
    if request.method in SAFE_METHODS or origin is None:
        return
    if URL(origin).netloc != request.headers.get("host"):
        error = Forbidden("This page may not act in your name.", code="cross_origin")
        known = Known(who.subject_id, who.credential_id)
        _note(services, BadCredential("cookie", who.remote, error.code, known, origin=origin))
        raise error


def _note(services: Services, bad: BadCredential) -> None:
    """For the audit. Who came with nothing at all is not told of."""
    subject_id = None if bad.known is None else bad.known.subject_id
    subject = services.facts.current.subject(subject_id or "")
    if subject is not None:
        bad = replace(bad, username=subject.username)
    services.refusals.note_credential(bad)


Who = Annotated[Principal, Depends(principal_of)]


def public(why: str) -> Any:
    """Anybody may call it; the reason is part of the declaration."""

    @declares(f"public: {why}")
    async def right() -> None:
        return None

    return Depends(right)


def signed_in() -> Any:
    """Any subject: for one's own things, and for lists, which show only what is visible."""

    @declares("signed in")
    async def right(who: Who) -> Principal:
        return who

    return Depends(right)


def in_person() -> Any:
    """Any subject, but not by an API key: for what would make more of a key than it is."""

    @declares("signed in, not by a key")
    async def right(who: Who) -> Principal:
        return must_be_in_person(who)

    return Depends(right)


def in_person_with_nothing_due() -> Any:
    """As `in_person`, of who has seen to their password and second factor: for what would go on
    without them."""

    @declares("signed in, not by a key, nothing due")
    async def right(who: Who, services: Provided) -> Principal:
        services.guard.require_nothing_due(must_be_in_person(who))
        return who

    return Depends(right)


def requires_in_person(action: Action, resource: Callable[..., Any]) -> Any:
    """As `requires`, but not by an API key."""

    @declares(f"{action} on {resource.__name__}, not by a key")
    async def right(
        who: Who, services: Provided, target: Annotated[Resource, Depends(resource)]
    ) -> Permit:
        return services.guard.require(must_be_in_person(who), action, target)

    return Depends(right)


def must_be_in_person(who: Principal) -> Principal:
    """Raises Forbidden("key_not_enough")."""
    if who.via == "key":
        raise Forbidden("An API key may not do this; sign in.", code="key_not_enough")
    return who


def requires(action: Action, resource: Callable[..., Any]) -> Any:
    """The action on what `resource` (a dependency giving a Resource) says. Gives the Permit; with
    the purpose that the request names, where the action may be asked for one."""

    @declares(f"{action} on {resource.__name__}")
    async def right(
        who: Who, services: Provided, target: Annotated[Resource, Depends(resource)]
    ) -> Permit:
        return services.guard.require(who, action, target)

    @declares(f"{action} on {resource.__name__}")
    async def right_for(
        who: Who,
        services: Provided,
        target: Annotated[Resource, Depends(resource)],
        purpose: Annotated[str | None, Query(max_length=32, description=_PURPOSE)] = None,
        purpose_note: Annotated[
            str | None, Query(max_length=MAX_PURPOSE_NOTE_CHARS, description=_NOTE)
        ] = None,
        streamhub_purpose: Annotated[
            str | None, Header(max_length=32, description="As the query's `purpose`.")
        ] = None,
        streamhub_purpose_note: Annotated[
            str | None,
            Header(
                max_length=_MAX_ENCODED_NOTE,
                description="As the query's `purpose_note`: UTF-8, percent-encoded (RFC 3986).",
            ),
        ] = None,
    ) -> Permit:
        note = _decoded(streamhub_purpose_note) or purpose_note
        said = stated(streamhub_purpose or purpose, note)
        return services.guard.require(who, action, target, stated=said)

    return Depends(right_for if action in TAKES_PURPOSE else right)


def stated(purpose: str | None, note: str | None) -> Stated | None:
    """What was said that it is for. Raises ValidationFailed("purpose_missing", or what is wrong
    with the note)."""
    if note is not None:
        note = check.text("purpose_note", note, MAX_PURPOSE_NOTE_CHARS) if note.strip() else None
    if purpose:
        return Stated(purpose, note)
    if note is not None:
        raise ValidationFailed(
            "purpose", "purpose_missing", "Name the purpose that the words belong to."
        )
    return None


def _decoded(note: str | None) -> str | None:
    """Of a header, which has bytes alone (RFC 9110 section 5.5): UTF-8, percent-encoded or not."""
    if note is None:
        return None
    return unquote_to_bytes(note.encode("latin-1")).decode("utf-8", "replace")


def requires_somewhere(action: Action) -> Any:
    """The action on any area or channel. Gives the Scope, which the handler filters by."""

    @declares(f"{action} somewhere")
    async def right(who: Who, services: Provided) -> Scope:
        scope = services.guard.scope(who, action)
        if scope.is_empty:
            services.guard.require(who, action, DISTRICT)
        return scope

    return Depends(right)


async def the_district() -> Resource:
    return DISTRICT


async def channel_in_path(channel_id: str) -> Resource:
    return channel(channel_id)


async def area_in_path(area_id: str) -> Resource:
    return area(area_id)

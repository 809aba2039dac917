"""Subjects: operators, service accounts, integrators. For whoever manages the district."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, Field, SecretStr

from camera_registry.domain import Subject, SubjectKind
from camera_registry.drafts import NewPassword, SubjectChanges, SubjectDraft
from streamhub.access.permit import Permit
from streamhub.access.principal import Action

from .grants import require_own
from .newest import ByNewestRights
from .paging import DEFAULT_LIMIT, Cursor, Limit
from .rights import requires, requires_in_person, the_district
from .services import Provided, Services

router = APIRouter(prefix="/api/v1/subjects", tags=["subjects"], route_class=ByNewestRights)

Manages = Annotated[Permit, requires(Action.MANAGE, the_district)]
# Who makes passwords may sign in with them: more than a key is for.
ManagesInPerson = Annotated[Permit, requires_in_person(Action.MANAGE, the_district)]


MustChange = Field(
    default=None,
    description="With `password`: it may do nothing before it has chosen its own. Left out: so for"
    " persons, not for services.",
)


class RoleOfSubject(BaseModel):
    id: str
    name: str
    display_name: str


class SubjectOut(BaseModel):
    id: str
    username: str
    display_name: str
    kind: SubjectKind
    enabled: bool
    second_factor_required: bool
    has_second_factor: bool
    must_change_password: bool
    home_area_id: str | None = Field(description="Whose people it is of: quotas go by it.")
    roles: list[RoleOfSubject] = Field(description="Those it is a member of, by name.")


class SubjectList(BaseModel):
    items: list[SubjectOut]
    next_cursor: str | None
    total: int


class SubjectCreate(BaseModel):
    username: str
    display_name: str
    kind: SubjectKind = SubjectKind.PERSON
    enabled: bool = True
    password: SecretStr | None = None
    must_change_password: bool | None = MustChange
    home_area_id: str | None = None


class SubjectPatch(BaseModel):
    display_name: str | None = None
    enabled: bool | None = None
    password: SecretStr | None = None
    must_change_password: bool | None = MustChange
    second_factor_required: bool | None = Field(
        default=None, description="It may do nothing before it has set one up."
    )
    home_area_id: str | None = Field(default=None, description="null: of none.")


@router.get("")
async def list_subjects(
    services: Provided,
    permit: Manages,
    q: Annotated[str | None, Query(max_length=100, description="Part of a name.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> SubjectList:
    page = await services.people.list_subjects(q=q, limit=limit, cursor=cursor)
    items = [_out(services, row) for row in page.items]
    return SubjectList(items=items, next_cursor=page.next_cursor, total=page.total)


@router.post("", status_code=201)
async def create_subject(
    services: Provided,
    permit: ManagesInPerson,
    body: SubjectCreate,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> SubjectOut:
    async def create() -> SubjectOut:
        password_hash = None
        if body.password is not None:
            password_hash = await services.passwords.hash(
                body.password.get_secret_value(), body.username
            )
        draft = SubjectDraft(
            username=body.username,
            display_name=body.display_name,
            kind=body.kind,
            enabled=body.enabled,
            must_change_password=_must_change(body, body.kind),
            home_area_id=body.home_area_id,
        )
        by = permit.principal.actor()
        return _out(services, await services.people.create_subject(draft, by, password_hash))

    return await services.idempotency.once(
        idempotency_key, subject_id=permit.subject_id, route="subjects", body=body, create=create
    )


@router.get("/{subject_id}")
async def get_subject(services: Provided, permit: Manages, subject_id: str) -> SubjectOut:
    return _out(services, await services.people.get_subject(subject_id))


@router.patch("/{subject_id}")
async def update_subject(
    services: Provided, permit: ManagesInPerson, subject_id: str, body: SubjectPatch
) -> SubjectOut:
    """Any change but that of the home ends the subject's tokens; disabling or a new password ends
    its sign-ins and views too. Who sets a password could sign in with it: all that the subject may
    must be theirs to pass on."""
    row = await services.people.get_subject(subject_id)
    password = None
    if body.password is not None:
        require_own(services, permit.principal, services.facts.current.grants_of(subject_id))
        hashed = await services.passwords.hash(body.password.get_secret_value(), row.username)
        password = NewPassword(hashed, _must_change(body, row.kind))
    changes: SubjectChanges = {}
    if body.display_name is not None:
        changes["display_name"] = body.display_name
    if body.enabled is not None:
        changes["enabled"] = body.enabled
    if body.second_factor_required is not None:
        changes["second_factor_required"] = body.second_factor_required
    if "home_area_id" in body.model_fields_set:
        changes["home_area_id"] = body.home_area_id
    if changes or password is not None:
        row = await services.people.update_subject(
            subject_id, changes, permit.principal.actor(), password=password
        )
    return _out(services, row)


@router.delete("/{subject_id}", status_code=204)
async def delete_subject(services: Provided, permit: ManagesInPerson, subject_id: str) -> Response:
    await services.people.delete_subject(subject_id, permit.principal.actor())
    return Response(status_code=204)


def _must_change(body: SubjectCreate | SubjectPatch, kind: SubjectKind) -> bool:
    """Of a password that somebody else has chosen, and knows."""
    if body.password is None:
        return False
    if body.must_change_password is None:
        return kind is SubjectKind.PERSON
    return body.must_change_password


def _out(services: Services, row: Subject) -> SubjectOut:
    facts = services.facts.current
    roles = sorted(facts.roles_of(row.id), key=lambda role: role.name)
    return SubjectOut(
        id=row.id,
        username=row.username,
        display_name=row.display_name,
        kind=row.kind,
        enabled=row.enabled,
        second_factor_required=row.second_factor_required,
        has_second_factor=row.has_second_factor,
        must_change_password=row.must_change_password,
        home_area_id=facts.homes.get(row.id),
        roles=[
            RoleOfSubject(id=role.id, name=role.name, display_name=role.display_name)
            for role in roles
        ],
    )

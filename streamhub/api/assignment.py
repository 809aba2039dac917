"""Assignment: cameras are put in the areas where rules and boundaries say, after a look at who
would then see what."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel, Field

from camera_registry.assignment import (
    MAX_FIELD_CHARS,
    MAX_PRIORITY,
    MAX_RULE_CHARS,
    Assignees,
    AssignmentPlan,
    Move,
)
from camera_registry.domain import AssignmentRule, Channel, Filing, RuleKind
from camera_registry.filing import Selection
from streamhub.access.audience import Audience, audience
from streamhub.access.permit import Permit
from streamhub.access.policy import Scope
from streamhub.access.principal import DISTRICT, Action, Principal, Resource

from .filing import Id, SelectionIn
from .newest import ByNewestRights
from .rights import requires, requires_somewhere, the_district
from .services import Provided, Services

router = APIRouter(prefix="/api/v1", tags=["assignment"], route_class=ByNewestRights)

# What a person still reads of a preview; the counts are of all.
MAX_MOVES_SHOWN = 1_000
MAX_NAMED = 50  # cameras of one subject


class AssignIn(SelectionIn):
    """Which cameras are looked at: all, when none of these is given."""

    boundaries: bool = Field(default=True, description="Ask them where no rule fits.")

    def assignees(self, services: Services, who: Principal) -> Assignees:
        scope = services.guard.scope(who, Action.MANAGE)
        given = self.selection()
        return Assignees(
            None if given == Selection() else given,
            self.boundaries,
            into=None if scope.everything else scope.area_ids,
            manages=None if scope.everything else scope.has,
            keeps_denials=not services.guard.allows(who, Action.MANAGE, DISTRICT),
        )


class ApplyIn(AssignIn):
    plan: str = Field(max_length=64, description="`plan` of the preview that was looked at.")


class MoveOut(BaseModel):
    id: str
    code: str
    name: str
    filing: Filing = Field(description="As it is after the move.")
    from_area_id: str
    to_area_id: str
    rule_id: str | None = Field(description="What says so; null: the boundaries.")
    schematic: bool = Field(description="The boundary that says so is a drawing, not a survey.")


class RefusalOut(BaseModel):
    id: str
    code: str
    name: str
    reason: Literal["under_denial"]
    sentence: str


class SeenOut(BaseModel):
    id: str
    code: str
    name: str


class AudienceOut(BaseModel):
    subject_id: str
    username: str
    display_name: str
    gained: int = Field(description="Cameras that become visible to it.")
    lost: int
    gained_cameras: list[SeenOut] = Field(description="The first of them, by code.")
    lost_cameras: list[SeenOut]


class PlanOut(BaseModel):
    plan: str = Field(description="Give it to apply.")
    looked_at: int
    moves: int
    schematic: int = Field(description="Moves that rest on a drawing.")
    unplaced: int = Field(description="No rule and no boundary says where they belong.")
    beyond: int = Field(description="They belong in areas that you do not manage.")
    refused: int = Field(description="They would be moved, and are not; `refusals` says why.")
    refusals: list[RefusalOut] = Field(description="The first of them, by code.")
    items: list[MoveOut] = Field(description="The first moves, by code.")
    audience: list[AudienceOut] | None = Field(
        description="Who would see what; only for whoever manages the district."
    )


class AppliedOut(BaseModel):
    moved: int


class RuleOut(BaseModel):
    id: str
    priority: int
    kind: RuleKind
    area_id: str
    field: str | None
    text: str | None


class RuleList(BaseModel):
    items: list[RuleOut]


class RuleCreate(BaseModel):
    kind: RuleKind
    area_id: Id
    field: str | None = Field(
        default=None, max_length=MAX_FIELD_CHARS, description="Of a fact: its key."
    )
    text: str | None = Field(default=None, max_length=MAX_RULE_CHARS)
    priority: int = Field(default=100, ge=0, le=MAX_PRIORITY, description="Low ones come first.")


async def assigned_in_body(body: AssignIn) -> Resource:
    """The cameras that are looked at; all, or those of an import: the district."""
    return body.resource()


async def applied_in_body(body: ApplyIn) -> Resource:
    return body.resource()


@router.post("/assignment/preview")
async def preview(
    services: Provided,
    permit: Annotated[Permit, requires(Action.MANAGE, assigned_in_body)],
    body: AssignIn,
) -> PlanOut:
    """What assigning would do, and who would then see what. Nothing is changed.

    Cameras go only into areas that one manages, too; those denied to one are not looked at.
    """
    body.require_each(services, permit)
    facts, now = services.facts.current, services.now()
    asked = body.assignees(services, permit.principal)
    plan = await services.assignment.plan(asked, known_seq=facts.version)
    seen = None
    if services.guard.allows(permit.principal, Action.MANAGE, DISTRICT):
        changed = [move.after for move in plan.moves]
        found = await asyncio.to_thread(audience, facts, changed, now)
        seen = [_audience(each) for each in found]
    return _plan(plan, seen)


@router.post("/assignment/apply")
async def apply(
    services: Provided,
    permit: Annotated[Permit, requires(Action.MANAGE, applied_in_body)],
    body: ApplyIn,
) -> AppliedOut:
    """Carries out the plan of a preview, in one transaction; 409 `registry_changed` when it would
    be another by now. The body is the preview's, with its `plan`."""
    body.require_each(services, permit)
    asked = body.assignees(services, permit.principal)
    done = await services.assignment.apply(asked, body.plan, permit.principal.actor())
    return AppliedOut(moved=len(done.moves))


@router.get("/assignment-rules")
async def list_rules(
    services: Provided, scope: Annotated[Scope, requires_somewhere(Action.MANAGE)]
) -> RuleList:
    """The rules of the areas that one manages, in the order they are asked in."""
    rules = await services.assignment.rules()
    shown = [rule for rule in rules if scope.everything or rule.area_id in scope.area_ids]
    return RuleList(items=[_rule(rule) for rule in shown])


@router.post("/assignment-rules", status_code=201)
async def add_rule(
    services: Provided,
    permit: Annotated[Permit, requires(Action.MANAGE, the_district)],
    body: RuleCreate,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> RuleOut:
    """Needs the right to manage the district: a rule draws cameras from anywhere."""

    async def create() -> RuleOut:
        rule = await services.assignment.add_rule(
            kind=body.kind,
            area_id=body.area_id,
            field=body.field,
            text=body.text,
            priority=body.priority,
            by=permit.principal.actor(),
        )
        return _rule(rule)

    return await services.idempotency.once(
        idempotency_key, subject_id=permit.subject_id, route="rules", body=body, create=create
    )


@router.delete("/assignment-rules/{rule_id}", status_code=204)
async def remove_rule(
    services: Provided,
    permit: Annotated[Permit, requires(Action.MANAGE, the_district)],
    rule_id: str,
) -> Response:
    await services.assignment.remove_rule(rule_id, permit.principal.actor())
    return Response(status_code=204)


def _plan(plan: AssignmentPlan, seen: list[AudienceOut] | None) -> PlanOut:
    return PlanOut(
        plan=plan.id,
        looked_at=plan.looked_at,
        moves=len(plan.moves),
        schematic=plan.schematic,
        unplaced=plan.unplaced,
        beyond=plan.beyond,
        refused=len(plan.under_denial),
        refusals=[_refusal(move) for move in plan.under_denial[:MAX_MOVES_SHOWN]],
        items=[_move(move) for move in plan.moves[:MAX_MOVES_SHOWN]],
        audience=seen,
    )


def _move(move: Move) -> MoveOut:
    return MoveOut(
        id=move.after.id,
        code=move.after.code,
        name=move.after.name,
        filing=move.after.filing,
        from_area_id=move.before.area_id,
        to_area_id=move.after.area_id,
        rule_id=move.placement.rule_id,
        schematic=move.placement.schematic,
    )


def _refusal(move: Move) -> RefusalOut:
    return RefusalOut(
        id=move.before.id,
        code=move.before.code,
        name=move.before.name,
        reason="under_denial",
        sentence="The camera is denied to somebody where it is, and would not be where it belongs; "
        "whoever manages the district assigns it.",
    )


def _audience(each: Audience) -> AudienceOut:
    return AudienceOut(
        subject_id=each.subject.id,
        username=each.subject.username,
        display_name=each.subject.display_name,
        gained=len(each.gained),
        lost=len(each.lost),
        gained_cameras=[_seen(row) for row in each.gained[:MAX_NAMED]],
        lost_cameras=[_seen(row) for row in each.lost[:MAX_NAMED]],
    )


def _seen(row: Channel) -> SeenOut:
    return SeenOut(id=row.id, code=row.code, name=row.name)


def _rule(rule: AssignmentRule) -> RuleOut:
    return RuleOut(
        id=rule.id,
        priority=rule.priority,
        kind=rule.kind,
        area_id=rule.area_id,
        field=rule.field,
        text=rule.text,
    )

"""All cameras at once: as a form, and what the rules have to say about them."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from streamhub.access.policy import Scope
from streamhub.access.principal import Action

from .channels import registry_scope
from .imports import XLSX, FindingOut
from .rights import Who, requires_somewhere
from .services import Provided

router = APIRouter(prefix="/api/v1", tags=["imports"])

_TYPES = {"csv": "text/csv; charset=utf-8", "xlsx": XLSX, "json": "application/json"}
AreaId = Annotated[str | None, Query(max_length=32, description="With all areas below it.")]


class LintedOut(BaseModel):
    id: str
    code: str
    name: str
    findings: list[FindingOut]


class LintOut(BaseModel):
    looked_at: int
    items: list[LintedOut]


@router.get(
    "/channel-export",
    response_class=Response,
    responses={200: {"content": {each: {} for each in _TYPES.values()}}},
)
async def export_channels(
    services: Provided,
    who: Who,
    scope: Annotated[Scope, requires_somewhere(Action.EXPORT)],
    template: Annotated[str, Query(max_length=40)] = "full",
    kind: Literal["csv", "xlsx", "json"] = "xlsx",
    language: Literal["zh", "en"] = "zh",
    area_id: AreaId = None,
) -> Response:
    """The cameras that one may export and manages (a form has their addresses), in a form's
    columns. Passwords are never in it."""
    managed = services.guard.scope(who, Action.MANAGE)
    content, count = await services.registry.export_channels(
        template=template,
        kind=kind,
        language=language,
        area_id=area_id,
        scopes=[registry_scope(scope), registry_scope(managed)],
        site_dir=services.forms_dir,
    )
    await services.audit.record(
        "channels_export",
        principal=who,
        area_id=area_id,
        detail={
            "template": template,
            "kind": kind,
            "channels": count,
            **services.guard.grounds(who, Action.EXPORT),
        },
    )
    return Response(
        content,
        media_type=_TYPES[kind],
        headers={"Content-Disposition": f'attachment; filename="cameras-{template}.{kind}"'},
    )


@router.get("/channel-lint")
async def lint_channels(
    services: Provided,
    scope: Annotated[Scope, requires_somewhere(Action.MANAGE)],
    area_id: AreaId = None,
) -> LintOut:
    """The import's rules run over the cameras that one manages: those with findings, by code."""
    found, count = await services.registry.lint_channels(
        area_id=area_id, scope=registry_scope(scope)
    )
    return LintOut(
        looked_at=count,
        items=[
            LintedOut(
                id=each.channel.id,
                code=each.channel.code,
                name=each.channel.name,
                findings=[
                    FindingOut(
                        column=finding.column,
                        field=finding.field,
                        code=finding.code,
                        sentence=finding.sentence,
                        severity=finding.severity,
                    )
                    for finding in each.findings
                ],
            )
            for each in found
        ],
    )

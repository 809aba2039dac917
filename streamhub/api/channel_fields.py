"""The fields that a camera can have: what a form, an import's finding or a version speaks of."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from camera_registry.importers import fields as known
from streamhub.access.policy import Scope
from streamhub.access.principal import Action

from .rights import requires_somewhere

router = APIRouter(prefix="/api/v1", tags=["channels"])


class ChoiceOut(BaseModel):
    code: str
    zh: str
    en: str


class FieldOut(BaseModel):
    key: str
    zh: str
    en: str
    kind: known.Kind
    of: known.Holder = Field(description="Where it is kept; `facts` are the channel's.")
    section: str
    max_chars: int
    choices: list[ChoiceOut] = Field(description="Of `choice` and `choices`; else empty.")


class SectionOut(BaseModel):
    key: str
    zh: str
    en: str


class FieldList(BaseModel):
    sections: list[SectionOut] = Field(description="In the order in which a form shows them.")
    items: list[FieldOut]


@router.get("/channel-fields")
async def list_fields(
    scope: Annotated[Scope, requires_somewhere(Action.MANAGE)],
) -> FieldList:
    """All fields in the order of the full form, with the words for them and their codes."""
    return FieldList(
        sections=[
            SectionOut(key=each.key, zh=each.zh, en=each.en) for each in known.sections().values()
        ],
        items=[
            _field(known.fields()[key], section.key)
            for section in known.sections().values()
            for key in section.fields
        ],
    )


def _field(field: known.Field, section: str) -> FieldOut:
    table = known.tables()[field.table] if field.table else {}
    return FieldOut(
        key=field.key,
        zh=field.zh,
        en=field.en,
        kind=field.kind,
        of=field.of,
        section=section,
        max_chars=field.max_chars,
        choices=[ChoiceOut(code=each.code, zh=each.zh, en=each.en) for each in table.values()],
    )

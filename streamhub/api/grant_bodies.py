"""Parts of a grant as JSON: conditions, weekly windows, and the words for who has it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from camera_registry.domain import Condition, Grant, Op, WeeklyWindow
from camera_registry.grant_terms import DAYS, MAX_VALUES, clock, minute

from .services import Services

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Clock = Annotated[str, Field(min_length=5, max_length=5, description="HH:MM, 00:00 to 24:00.")]


class ConditionBody(BaseModel):
    """One line of a rule over a camera; all lines of a grant must hold."""

    field: Annotated[str, Field(max_length=64)] = Field(
        description="device_class, name, code, or a key of /api/v1/channel-fields."
    )
    op: Op = Field(description="eq: one of the values; ne: known, and none of them; prefix.")
    values: Annotated[list[str], Field(min_length=1, max_length=MAX_VALUES)]


class WindowBody(BaseModel):
    """Hours of the week in Asia/Shanghai; an end before the start is on the next day."""

    days: Annotated[list[Day], Field(min_length=1, max_length=7)]
    start: Clock
    end: Clock


def conditions_in(bodies: list[ConditionBody]) -> tuple[Condition, ...]:
    return tuple(Condition(each.field, each.op, tuple(each.values)) for each in bodies)


def windows_in(bodies: list[WindowBody]) -> tuple[WeeklyWindow, ...]:
    """Raises ValidationFailed("window_malformed")."""
    return tuple(
        WeeklyWindow(
            tuple(DAYS.index(day) for day in each.days), minute(each.start), minute(each.end)
        )
        for each in bodies
    )


def conditions_out(grant: Grant) -> list[ConditionBody]:
    return [
        ConditionBody(field=each.field, op=each.op, values=list(each.values))
        for each in grant.conditions
    ]


def windows_out(grant: Grant) -> list[WindowBody]:
    return [
        WindowBody.model_validate(
            {
                "days": [DAYS[day] for day in each.days],
                "start": clock(each.start_min),
                "end": clock(each.end_min),
            }
        )
        for each in grant.windows
    ]


def role_name(services: Services, grant: Grant) -> str | None:
    role = services.facts.current.roles.get(grant.role_id or "")
    return None if role is None else role.name

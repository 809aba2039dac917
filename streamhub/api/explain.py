"""Why somebody may or may not, and who may: for whoever manages or audits a camera; about oneself
for everybody who may know of it. Each question is in the audit log."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from camera_registry.domain import Channel, Effect, Subject
from streamhub.access.errors import NotVisible
from streamhub.access.explain import Ability, GrantLine, abilities, explain
from streamhub.access.explain_words import Sentence, of_line, sentence
from streamhub.access.principal import DISTRICT, Action, Principal, channel

from .grants import GrantOut, grant_out
from .paging import DEFAULT_LIMIT, Cursor, Limit, page_in_memory
from .problems import Problem
from .rights import Who, declares
from .services import Provided, Services
from .times import Time

router = APIRouter(prefix="/api/v1/channels", tags=["rights"])

# Subjects asked for between two breaths of the loop: some 5 ms where each has grants.
SUBJECTS_PER_BREATH = 100


class SentenceOut(BaseModel):
    zh: str
    en: str


class GrantLineOut(BaseModel):
    grant_id: str
    role_name: str | None
    effect: Effect
    says: str = Field(
        description="allows, allows_with_purpose, denies; not_yet, ended, out_of_hours, "
        "elsewhere, rule."
    )
    until: Time | None = Field(description="When that turns by itself.")
    sentence: SentenceOut
    grant: GrantOut | None = Field(
        description="What it says; null: it is on other cameras, and you don't manage the district."
    )


class ExplanationOut(BaseModel):
    subject_id: str
    username: str
    channel_id: str
    action: Action
    at: Time
    allowed: bool
    reason: str
    until: Time | None = Field(description="An allow holds before it; null: until a change.")
    until_is_least: bool = Field(description="It holds longer; how long was not looked for.")
    opens_at: Time | None = Field(description="When a refusal turns by itself.")
    sentence: SentenceOut
    grants: list[GrantLineOut] = Field(description="Those that decide it, then near misses.")


class AbilityOut(BaseModel):
    action: Action
    purpose_required: bool
    until: Time | None
    until_is_least: bool = Field(description="It holds longer; how long was not looked for.")
    grant_ids: list[str]


class WhoOut(BaseModel):
    subject_id: str
    username: str
    display_name: str
    actions: list[AbilityOut]


class WhoCan(BaseModel):
    items: list[WhoOut]
    next_cursor: str | None
    total: int


@declares("manage or audit on the channel")
async def _overseer(services: Provided, who: Who, channel_id: str) -> Principal:
    _require_oversight(services, who, channel_id)
    return who


@declares("manage or audit on the channel; about oneself, to know of it")
async def _overseer_or_oneself(
    services: Provided,
    who: Who,
    channel_id: str,
    subject: Annotated[
        str | None, Query(max_length=32, description="Username or id; left out: oneself.")
    ] = None,
) -> Subject:
    facts = services.facts.current
    named = subject or who.subject_id
    if named in (who.subject_id, who.username) and not who.is_local:
        # Whoever may not know of the camera learns nothing of it here either.
        row = facts.channel(channel_id)
        found = facts.subject(who.subject_id)
        if found is None or row is None or not services.guard.actions_on(who, row):
            raise NotVisible("There is no such thing, or it is not yours to see.")
        return found
    _require_oversight(services, who, channel_id)
    found = facts.subject(named) or facts.subject_named(named)
    if found is None:
        raise Problem(
            422,
            "unknown_subject",
            "There is no such subject; choose one.",
            extra={"field": "subject"},
        )
    return found


def _require_oversight(services: Services, who: Principal, channel_id: str) -> None:
    target = channel(channel_id)
    if not services.guard.allows(who, Action.AUDIT, target):
        services.guard.require(who, Action.MANAGE, target)


@router.get("/{channel_id}/explain")
async def explain_right(
    services: Provided,
    who: Who,
    subject: Annotated[Subject, Depends(_overseer_or_oneself)],
    channel_id: str,
    action: Action,
    at: Annotated[Time | None, Query(description="As the grants are now; left out: now.")] = None,
) -> ExplanationOut:
    """Why the subject may, or may not, do this to the camera."""
    facts = services.facts.current
    row = _row(services, channel_id)
    if at is not None and not 1 < at.year < 9998:
        raise Problem(422, "out_of_range", "Give a nearer time.", extra={"field": "at"})
    told = explain(subject, action, row, facts, at or services.now())
    await services.audit.record(
        "rights_explain",
        principal=who,
        channel_id=row.id,
        area_id=row.area_id,
        detail={
            "about": subject.username,
            "action": action.value,
            "at": told.at.isoformat(),
            "allowed": told.decision.allowed,
        },
    )
    return ExplanationOut(
        subject_id=subject.id,
        username=subject.username,
        channel_id=row.id,
        action=action,
        at=told.at,
        allowed=told.decision.allowed,
        reason=told.decision.reason,
        until=told.decision.until,
        until_is_least=told.decision.until_is_least,
        opens_at=told.opens_at,
        sentence=_sentence(sentence(told)),
        grants=[_line(services, who, each) for each in told.lines],
    )


@router.get("/{channel_id}/who-can")
async def who_can(
    services: Provided,
    who: Annotated[Principal, Depends(_overseer)],
    channel_id: str,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> WhoCan:
    """Everybody who may do anything to the camera now, by username, and by which grants. The local
    operator of the service's machine may do everything besides."""
    facts, now = services.facts.current, services.now()
    row = _row(services, channel_id)
    found: list[tuple[Subject, list[Ability]]] = []
    ordered = sorted(facts.subjects.values(), key=lambda each: each.username)
    for number, subject in enumerate(ordered):
        able = list(abilities(subject, row, facts, now))
        if able:
            found.append((subject, able))
        if number % SUBJECTS_PER_BREATH == SUBJECTS_PER_BREATH - 1:
            await asyncio.sleep(0)
    await services.audit.record(
        "rights_who_can",
        principal=who,
        channel_id=row.id,
        area_id=row.area_id,
        detail={"subjects": len(found)},
    )
    page, next_cursor = page_in_memory(
        found, lambda each: each[0].username, limit=limit, cursor=cursor
    )
    items = [
        WhoOut(
            subject_id=subject.id,
            username=subject.username,
            display_name=subject.display_name,
            actions=[
                AbilityOut(
                    action=each.action,
                    purpose_required=each.asks_why,
                    until=each.until,
                    until_is_least=each.until_is_least,
                    grant_ids=list(each.grant_ids),
                )
                for each in able
            ],
        )
        for subject, able in page
    ]
    return WhoCan(items=items, next_cursor=next_cursor, total=len(found))


def _row(services: Services, channel_id: str) -> Channel:
    row = services.facts.current.channel(channel_id)
    if row is None:
        raise NotVisible("There is no such thing, or it is not yours to see.")
    return row


def _line(services: Services, who: Principal, line: GrantLine) -> GrantLineOut:
    grant = line.grant
    told = line.says != "elsewhere" or services.guard.allows(who, Action.MANAGE, DISTRICT)
    return GrantLineOut(
        grant_id=grant.id,
        role_name=None if grant.role_id is None else _role(services, grant.role_id),
        effect=grant.effect,
        says=line.says,
        until=line.until,
        sentence=_sentence(of_line(line, services.facts.current)),
        grant=grant_out(services, who, grant) if told else None,
    )


def _role(services: Services, role_id: str) -> str | None:
    role = services.facts.current.roles.get(role_id)
    return None if role is None else role.name


def _sentence(words: Sentence) -> SentenceOut:
    return SentenceOut(zh=words.zh, en=words.en)

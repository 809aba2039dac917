"""What a question about the audit log may be narrowed by, and always is: the auditor's scope."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, Query

from camera_registry.store.chain import canonical_json
from camera_registry.store.contract_audit import AuditQuery
from streamhub.access.facts import Facts
from streamhub.access.policy import Scope
from streamhub.access.principal import DISTRICT, Principal, Resource, area, channel

from .problems import Problem
from .services import Provided
from .times import Time

MAX_ACTS = 20
Outcome = Literal["ok", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Filter:
    """The question. `subject` as it was given; `subject_id` is who that was when it was asked."""

    acts: frozenset[str] | None
    subject: str | None
    subject_id: str | None
    channel_id: str | None
    area_id: str | None
    outcome: Outcome | None
    purpose: str | None
    since: datetime | None
    until: datetime | None

    def query(self, facts: Facts, scope: Scope) -> AuditQuery:
        """For the store."""
        query = AuditQuery(
            acts=self.acts,
            subject_id=self.subject_id,
            channel_id=self.channel_id,
            outcome=self.outcome,
            purpose=self.purpose,
            since=self.since,
            until=self.until,
        )
        return _within(query, facts, scope, self.area_id)

    def asked(self) -> dict[str, Any]:
        """What was asked for, as JSON."""
        given = {
            "acts": None if self.acts is None else sorted(self.acts),
            "subject": self.subject,
            "subject_id": self.subject_id,
            "channel_id": self.channel_id,
            "area_id": self.area_id,
            "outcome": self.outcome,
            "purpose": self.purpose,
            "since": None if self.since is None else self.since.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
        }
        return {name: value for name, value in given.items() if value is not None}

    @classmethod
    def of(cls, asked: Mapping[str, Any], facts: Facts) -> "Filter":
        """What `asked` gave, again."""

        def time(name: str) -> datetime | None:
            given = asked.get(name)
            return None if given is None else datetime.fromisoformat(given)

        acts, subject = asked.get("acts"), asked.get("subject")
        # Requests that were stored before it was kept have none.
        known = "subject_id" in asked
        return cls(
            acts=None if acts is None else frozenset(acts),
            subject=subject,
            subject_id=asked["subject_id"] if known else _subject_id(facts, subject),
            channel_id=asked.get("channel_id"),
            area_id=asked.get("area_id"),
            outcome=asked.get("outcome"),
            purpose=asked.get("purpose"),
            since=time("since"),
            until=time("until"),
        )

    def require_somebody(self, facts: Facts) -> None:
        """Of a name that nobody has (any more), a file would say that there is nothing. Raises
        Problem("unknown_subject")."""
        given = self.subject_id or ""
        if given and not given.startswith("su_") and facts.subject(given) is None:
            raise Problem(
                422,
                "unknown_subject",
                "No account has this name now; of one that was deleted, give the id that its rows "
                "have.",
                extra={"field": "subject"},
            )

    def about(self, facts: Facts) -> dict[str, Any]:
        """The channel and the area that a row about the question names, where they are there."""
        row, place = facts.channel(self.channel_id or ""), facts.area(self.area_id or "")
        return {
            "channel_id": None if row is None else row.id,
            "area_id": None if place is None else place.id,
        }

    def covers(self, facts: Facts) -> str | None:
        """Of an area, a digest of the areas and cameras that it stands for now, for whoever sees
        all of them: SHA-256, hex."""
        if self.area_id is None:
            return None
        query = self.query(facts, Scope(facts, everything=True))
        cameras = query.channel_ids or frozenset()
        if self.channel_id is not None:
            cameras &= {self.channel_id}
        meant = canonical_json([sorted(query.area_ids or ()), sorted(cameras)])
        return hashlib.sha256(meant.encode()).hexdigest()

    def resource(self, facts: Facts) -> Resource:
        """What all rows that fit are about: whoever may read all of that may read them. Of a camera
        or an area that is gone, nobody knows any more whose it was: the district."""
        if self.channel_id is not None:
            there = facts.channel(self.channel_id) is not None
            return channel(self.channel_id) if there else DISTRICT
        if self.area_id is not None and facts.area(self.area_id) is not None:
            return area(self.area_id)
        return DISTRICT


async def _filter(
    services: Provided,
    act: Annotated[
        list[str] | None, Query(max_length=MAX_ACTS, description="Any of these acts.")
    ] = None,
    subject: Annotated[
        str | None, Query(max_length=80, description="A subject's id or username.")
    ] = None,
    channel_id: Annotated[str | None, Query(max_length=64)] = None,
    area_id: Annotated[str | None, Query(max_length=64, description="With all below it.")] = None,
    outcome: Outcome | None = None,
    purpose: Annotated[
        str | None, Query(max_length=200, description="A part of it, or of its note.")
    ] = None,
    since: Annotated[Time | None, Query(description="What lasted into the time after it.")] = None,
    until: Annotated[Time | None, Query(description="What began before it.")] = None,
) -> Filter:
    if since is not None and until is not None and until <= since:
        raise Problem(422, "time_order", "`until` must be after `since`; exchange them.")
    return Filter(
        acts=None if act is None else frozenset(act),
        subject=subject,
        subject_id=_subject_id(services.facts.current, subject),
        channel_id=channel_id,
        area_id=area_id,
        outcome=outcome,
        purpose=purpose,
        since=since,
        until=until,
    )


Asked = Annotated[Filter, Depends(_filter)]


def own(who: Principal) -> AuditQuery:
    """One's own rows. The local operator is no subject: the rows have the name alone."""
    actor = who.actor()
    if actor.subject_id is None:
        return AuditQuery(subject_name=actor.subject_name)
    return AuditQuery(subject_id=actor.subject_id)


def _subject_id(facts: Facts, subject: str | None) -> str | None:
    """Of a username, the id; what is neither may be the id of a subject that is gone."""
    if subject is None or facts.subject(subject) is not None:
        return subject
    named = facts.subject_named(subject)
    return subject if named is None else named.id


def _within(query: AuditQuery, facts: Facts, scope: Scope, area_id: str | None) -> AuditQuery:
    """Narrowed to the scope, and to an area with all below it: by the area that a row names, which
    is where its channel was then, and by where the channel is now.
    """
    if scope.everything and area_id is None:
        return query
    # Of an area that is gone, the rows that name it.
    areas = None if area_id is None else facts.descendants(area_id) or frozenset({area_id})
    area_ids = scope.area_ids if areas is None else areas
    if not scope.everything:
        area_ids &= scope.area_ids
    return replace(
        query,
        area_ids=area_ids,
        channel_ids=frozenset(
            row.id
            for row in facts.channels.values()
            # Drafts too: what was done stays to be seen.
            if (areas is None or row.area_id in areas) and scope.has(row)
        ),
        except_channel_ids=frozenset() if scope.everything else scope.listing.except_ids,
    )

"""Sign-ins of scripts: what their bearer tokens are of.

Each token that is asked for begins one, which ends with the token, or with the last view that it
opened: a view outlives its token, and must be found and ended all the same. A script that asks for
a token at each request soon shares one: neither the list nor the writer is flooded.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from camera_registry.credentials import NO_END, SignIn, SignInMethod
from camera_registry.domain import new_id
from camera_registry.store.contract import WriteTx

from .facts import Facts
from .tokens import TOKEN_LIFETIME_S

TOKEN_LASTS: Final = timedelta(seconds=TOKEN_LIFETIME_S)
# What is used goes on by so much: written once in 10 min at most.
GOES_ON_FOR: Final = TOKEN_LASTS + timedelta(minutes=10)
# What is held by a view is written anew so long before its end: several rounds may fail.
KEPT_BEFORE: Final = timedelta(minutes=5)
# A stream of events or a camera's steering that a token began may outlive it by as much as it
# lasts; so long the sign-in can be ended still, though it is in no list any more.
REMEMBERED: Final = TOKEN_LASTS
# Beyond it a new token is of a sign-in that is there. Nothing is ended: it may hold views.
MAX_TOKEN_SIGN_INS: Final = 100


async def enter(
    tx: WriteTx, subject_id: str, now: datetime, *, remote: str, agent: str | None
) -> str:
    """The id of the sign-in that a new token is of."""
    rows = [row for row in await tx.sign_ins.of_subject(subject_id) if _is_open(row, now)]
    if len(rows) < MAX_TOKEN_SIGN_INS:
        sign_in_id = new_id("si")
        await tx.sign_ins.add(
            SignIn(
                id=sign_in_id,
                id_hash=f"token {sign_in_id}",  # of no cookie
                subject_id=subject_id,
                created_at=now,
                expires_at=now + TOKEN_LASTS,
                ends_at=NO_END,
                remote=remote,
                agent=agent,
                method=SignInMethod.TOKEN,
            )
        )
        return sign_in_id
    # The newest from there, else the newest of all.
    joined = max(rows, key=lambda row: (row.remote == remote, row.created_at, row.id))
    if joined.expires_at < now + TOKEN_LASTS:
        await tx.sign_ins.extend(joined.id, now + GOES_ON_FOR)
    return joined.id


def due(sign_in_ids: Collection[str], facts: Facts, now: datetime) -> list[str]:
    """Those of these that would run out soon."""
    rows = (facts.sign_ins.get(each) for each in sign_in_ids)
    return sorted(
        row.id
        for row in rows
        if row is not None
        and row.method is SignInMethod.TOKEN
        and row.expires_at < now + KEPT_BEFORE
    )


def _is_open(row: SignIn, now: datetime) -> bool:
    return row.method is SignInMethod.TOKEN and row.expires_at > now

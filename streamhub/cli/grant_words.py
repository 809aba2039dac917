"""A grant's rule and hours as they are typed, and printed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from camera_registry.grant_terms import DAYS

from .control import Api, CliError
from .subject import subject_by

ROLE_PREFIX: Final = "role:"
_SIGNS: Final = {"=": "eq", "!=": "ne", "^=": "prefix"}
_CONDITION = re.compile(r"([a-z0-9_.]+)(!=|\^=|=)(.+)", re.DOTALL)
_HOURS = re.compile(r"([a-z,-]+)\s+(\d\d:\d\d)-(\d\d:\d\d)")


def condition(text: str) -> dict[str, Any]:
    """`owner=人防办|公安局`, `point_type!=1`, `address^=新华`. Raises CliError."""
    found = _CONDITION.fullmatch(text.strip())
    if found is None:
        raise CliError(
            f"{text!r} is no condition; write field=value, field!=value or field^=beginning, "
            "with | between several values.",
            exit_code=2,
        )
    field, sign, values = found.groups()
    return {"field": field, "op": _SIGNS[sign], "values": values.split("|")}


def hours(text: str) -> dict[str, Any]:
    """`mon-fri 22:00-06:00`, `sat,sun 08:00-20:00`. Raises CliError."""
    found = _HOURS.fullmatch(text.strip().lower())
    if found is None:
        raise CliError(
            f"{text!r} are no hours; write e.g. 'mon-fri 22:00-06:00' (Beijing time).", exit_code=2
        )
    days, start, end = found.groups()
    return {"days": _days(days), "start": start, "end": end}


def _days(text: str) -> list[str]:
    found: list[str] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        last = last or first
        if first not in DAYS or last not in DAYS:
            raise CliError(f"The days of a week are: {', '.join(DAYS)}.", exit_code=2)
        begin, end = DAYS.index(first), DAYS.index(last)
        # fri-mon runs over the week's end.
        found += [DAYS[day % 7] for day in range(begin, (end if begin <= end else end + 7) + 1)]
    return list(dict.fromkeys(found))


def in_words(grant: Mapping[str, Any]) -> dict[str, Any]:
    """A grant as a row of a table."""
    signs = {op: sign for sign, op in _SIGNS.items()}
    return dict(grant) | {
        "to": grant["subject_name"] or f"{ROLE_PREFIX}{grant['role_name']}",
        "where": " / ".join(
            [
                *(each for each in (grant["area_name"], grant["channel_name"]) if each),
                *(
                    f"{each['field']}{signs[each['op']]}{'|'.join(each['values'])}"
                    for each in grant["conditions"]
                ),
            ]
        ),
        "hours": " / ".join(
            f"{','.join(each['days'])} {each['start']}-{each['end']}" for each in grant["windows"]
        )
        or None,
    }


async def holder(api: Api, text: str) -> dict[str, str]:
    """`subject_id` or, of `role:NAME`, `role_id`. Raises CliError when there is none."""
    if not text.startswith(ROLE_PREFIX):
        return {"subject_id": (await subject_by(api, text))["id"]}
    return {"role_id": (await role_by(api, text.removeprefix(ROLE_PREFIX)))["id"]}


async def role_by(api: Api, text: str) -> dict[str, Any]:
    """The role with that name or id. Raises CliError when there is none."""
    for each in await api.all("/api/v1/roles", limit=1_000):
        if text.lower() in (each["name"], each["id"]):
            return each
    raise CliError(f"There is no role {text}; see `streamhub role list`.", exit_code=2)

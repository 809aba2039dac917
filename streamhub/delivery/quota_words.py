"""What is said to whoever finds a limit reached: which, how much, and who holds it, as far as they
may know. Their own area's people by name; others by area, or as a number. A narrowed key is told by
its own rights alone.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from streamhub.access.holding import is_narrowed
from streamhub.access.principal import DISTRICT, Action, Principal, area
from streamhub.delivery.admission import LimitReached
from streamhub.delivery.errors import DeliveryError, QuotaExceeded
from streamhub.media.contract import MediaError, OverCapacity

if TYPE_CHECKING:
    from streamhub.access.facts import Facts
    from streamhub.access.guard import Guard

# A sentence in a tile; the rest of them are others.
MAX_NAMED: Final = 5
# How soon it is worth asking again: somebody closes a view now and then.
RETRY_AFTER_S: Final = 15

Holder = tuple[str, str | None]  # subject, area or others; its name


def refusal(
    reached: LimitReached, who: Principal, facts: Facts, guard: Guard
) -> DeliveryError | MediaError:
    """`QuotaExceeded`; `OverCapacity` where it is the service that is full."""
    meter = reached.meter
    held = _told_of(reached.held_by, who, facts, guard)
    said = ", ".join(f"{name or 'others'} {_amount(reached, used)}" for (_, name), used in held)
    holders, in_brackets = (f": {said}", f" ({said})") if said else ("", "")
    if meter.kind in ("general", "service"):
        besides = " besides what is kept for the command centre" if meter.kind == "general" else ""
        return OverCapacity(
            f"The service carries {_amount(reached, reached.limit, unit=True)}{besides}; in use: "
            f"{_amount(reached, reached.used)}{in_brackets}. Ask again in a moment.",
            retry_after_s=RETRY_AFTER_S,
        )
    name = _holder_name(meter.kind, meter.id, facts)
    asked = "" if reached.what == "views" else f"; this takes {_amount(reached, reached.asked)}"
    by_rtsp = " by RTSP" if meter.kind == "rtsp" else ""
    return QuotaExceeded(
        f"{name} may have {_amount(reached, reached.limit, unit=True)}{by_rtsp} at once and has "
        f"{_amount(reached, reached.used)}{asked}{holders}. Close some, or ask for a larger quota.",
        quota={
            "of": meter.kind,
            "name": name,
            "what": reached.what,
            "limit": reached.limit,
            "used": reached.used,
            "asked": reached.asked,
            "held_by": [{"of": of, "name": name, "used": used} for (of, name), used in held],
        },
        retry_after_s=RETRY_AFTER_S,
    )


def _told_of(
    held_by: dict[str, int], who: Principal, facts: Facts, guard: Guard
) -> list[tuple[Holder, int]]:
    """Who has how much, the most first; those without a name last."""
    homes = {each: facts.homes.get(each) for each in held_by}
    told_as = {each: _told_as(each, who, facts, guard) for each in set(homes.values())}
    told: Counter[Holder] = Counter()
    for subject_id, used in held_by.items():
        holder = told_as[homes[subject_id]]
        if holder is None or subject_id == who.subject_id:
            holder = "subject", _holder_name("subject", subject_id, facts)
        told[holder] += used
    named = [(holder, used) for holder, used in told.most_common() if holder[1] is not None]
    rest = sum(used for holder, used in told.items() if holder[1] is None)
    rest += sum(used for _, used in named[MAX_NAMED:])
    others = [(("others", None), rest)] if rest else []
    return [*named[:MAX_NAMED], *others]


def _told_as(home: str | None, who: Principal, facts: Facts, guard: Guard) -> Holder | None:
    """How people of this home are told of; None: by their names."""
    place = DISTRICT if home is None else area(home)
    mine = None if is_narrowed(who, facts) else facts.homes.get(who.subject_id)
    if mine is not None and home is not None and mine in facts.area_chain(home):
        return None
    if guard.allows(who, Action.MANAGE, place):
        return None
    if home is not None and guard.allows(who, Action.LIST, place):
        return "area", facts.area_path(home)[-1]
    return "others", None


def _holder_name(kind: str, holder_id: str, facts: Facts) -> str:
    if kind == "area":
        row = facts.area(holder_id)
        return holder_id if row is None else row.name
    subject = facts.subject(holder_id)
    return holder_id if subject is None else subject.username


def _amount(reached: LimitReached, amount: int, *, unit: bool = False) -> str:
    if reached.what == "bit_rate":
        return f"{amount / 1e6:.1f} Mbit/s"
    if not unit:
        return str(amount)
    return f"{amount} view{'' if amount == 1 else 's'}"

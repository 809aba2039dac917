"""The one small language of rules over a channel: fields, operators, values. Pure.

Grants and the rules of assignment both speak it. A field is a key of `importers/fields.yaml`: the
few that a channel holds itself, and all that its forms ask besides.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .domain import Channel
from .grants import Condition, Op

CHANNEL_FIELDS: Final = frozenset({"name", "code", "device_class"})
"""Fields of the channel itself; any other is looked up among its facts."""


def value_of(channel: Channel, field: str) -> str:
    """What the channel has there; empty when it has nothing."""
    match field:
        case "device_class":
            return channel.device_class.value
        case "name":
            return channel.name
        case "code":
            return channel.code
    return channel.facts.get(field, "")


def holds(condition: Condition, channel: Channel) -> bool:
    value = value_of(channel, condition.field)
    if not value:
        return False
    if condition.op is Op.PREFIX:
        return value.startswith(condition.values)
    return (value in condition.values) is (condition.op is Op.EQ)


def fits(conditions: Iterable[Condition], channel: Channel) -> bool:
    """Whether all of them hold; none of them always do."""
    return all(holds(each, channel) for each in conditions)

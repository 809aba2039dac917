"""A channel's facts as they are given one by one: cleaned by the rules of the import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .errors import ValidationFailed
from .importers.cells import clean
from .importers.fields import fields, tables
from .importers.rows import MAX_CELL_CHARS, MAX_FACTS, UNKNOWN_PREFIX
from .importers.texts import secret_heading, seems_secret

# Where, and at which of a device's channels, a camera is steered.
STEERED_BY: Final = frozenset({"protocol", "access_port", "channel_number"})


def merged(before: Mapping[str, str], given: Mapping[str, str | None]) -> Mapping[str, str]:
    """The facts after a change; None or an empty text takes one away.

    Raises ValidationFailed with the field's key.
    """
    facts = dict(before)
    for key, text in given.items():
        field = fields().get(key)
        if field is None or field.of != "facts":
            if not key.startswith(UNKNOWN_PREFIX) or len(key) > MAX_CELL_CHARS:
                raise ValidationFailed(
                    "facts", "unknown_fact", f"There is no fact {key[:60]!r}; see fields.yaml."
                )
            value = (text or "")[:MAX_CELL_CHARS]
            if secret_heading(key) or seems_secret(value):
                raise ValidationFailed(
                    "facts",
                    "secret_in_text",
                    "A fact that seems to be a password is not kept; give it to the device.",
                )
        else:
            value = clean(field, text, tables()) if text else ""
        if value:
            facts[key] = value
        else:
            facts.pop(key, None)
    if len(facts) > max(MAX_FACTS, len(before)):
        raise ValidationFailed(
            "facts", "too_many_facts", f"A channel has at most {MAX_FACTS} facts; take some away."
        )
    return facts

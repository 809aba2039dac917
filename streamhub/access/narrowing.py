"""What an API key is for, of what its subject was granted: never more than that. Pure.

What is allowed is narrowed to the key's actions and areas; what is denied stays denied in full.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from camera_registry.credentials import ApiKey
from camera_registry.domain import Grant

if TYPE_CHECKING:
    from .facts import Facts


def narrowed(grants: Iterable[Grant], key: ApiKey, facts: Facts) -> Iterator[Grant]:
    """The subject's grants as the key has them."""
    for grant in grants:
        if grant.denies:
            yield grant
            continue
        actions = grant.actions if key.actions is None else grant.actions & key.actions
        if not actions:
            continue
        for each in _within(grant, key.area_ids, facts):
            yield replace(each, actions=actions)


def _within(grant: Grant, area_ids: frozenset[str] | None, facts: Facts) -> Iterator[Grant]:
    """The part of the grant that lies in the areas."""
    if area_ids is None:
        yield grant
        return
    if grant.channel_id is not None:
        row = facts.channel(grant.channel_id)
        if row is not None and not area_ids.isdisjoint(facts.area_chain(row.area_id)):
            yield grant
        return
    if grant.area_id is not None and not area_ids.isdisjoint(facts.area_chain(grant.area_id)):
        yield grant
        return
    for each in sorted(area_ids):
        if grant.area_id is None or grant.area_id in facts.area_chain(each):
            yield replace(grant, area_id=each)

"""What a provider's claims stand for here. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from camera_registry.credentials import Wanted, WantedGrant

from .settings import ClaimGrant, OidcSettings

# A directory may have thousands of groups; a person here has a few townships.
MAX_VALUES = 1_000


def wanted(settings: OidcSettings, claims: Mapping[str, Any]) -> Wanted:
    """Without rules nothing: what rules gave that are gone is taken back, too."""
    return Wanted(
        frozenset(
            WantedGrant(frozenset(rule.actions), code)
            for rule in settings.grants
            for code in _codes(rule, values_of(claims, rule.claim))
        ),
        frozenset(
            rule.role for rule in settings.roles if rule.value in values_of(claims, rule.claim)
        ),
    )


def _codes(rule: ClaimGrant, values: list[str]) -> list[str]:
    chosen = [each for each in values if rule.value is None or each == rule.value]
    if rule.area is not None:
        return [rule.area] if chosen else []
    return chosen


def values_of(claims: Mapping[str, Any], name: str) -> list[str]:
    """A claim's values as texts; `a.b` is b within a, where no claim has the dot in its name."""
    found: Any = claims.get(name)
    if found is None and "." in name:
        found = claims
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    many = found if isinstance(found, list) else [found]
    return [str(each) for each in many[:MAX_VALUES] if isinstance(each, str | int | bool)]


def named(settings: OidcSettings) -> set[str]:
    """The claims that are looked at."""
    names = {settings.username_claim, settings.name_claim}
    names |= {rule.claim for rule in settings.grants} | {rule.claim for rule in settings.roles}
    return {name.partition(".")[0] for name in names}

"""What settings may say, and what claims stand for."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from camera_registry.credentials import Wanted, WantedGrant
from streamhub.oidc.claims import named, values_of, wanted
from streamhub.oidc.settings import OidcSettings

GOOD: dict[str, Any] = {
    "issuer": "https://sso.example",
    "client_id": "streamhub",
    "public_url": "https://streamhub.example/",
}


def settings(*grants: dict[str, Any]) -> OidcSettings:
    return OidcSettings.model_validate({**GOOD, "grants": list(grants)})


def a_grant(actions: str, code: str) -> WantedGrant:
    return WantedGrant(frozenset(actions.split(",")), code)


def granted(made: OidcSettings, claims: dict[str, Any]) -> frozenset[WantedGrant]:
    return wanted(made, claims).grants


def test_where_browsers_come_back_to() -> None:
    assert settings().redirect_uri == "https://streamhub.example/api/v1/oidc/callback"
    assert OidcSettings().issuer is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "http://sso.example"},
        {"issuer": "sso.example"},
        {"public_url": "http://192.0.2.1"},
        {"public_url": ""},
        {"client_id": ""},
        {"scopes": ["profile"]},
        {"client_secret": 5},
        {"grants": [{"claim": "groups", "actions": ["fly"]}]},
        {"grants": [{"claim": "groups", "actions": []}]},
        {"roles": [{"claim": "groups", "role": "night"}]},  # which value of it?
        {"roles": [{"claim": "groups", "value": "night"}]},  # claims name no roles
        {"roles": [{"claim": "groups", "value": "night", "role": "no such!"}]},
        {"surprise": 1},
    ],
)
def test_settings_that_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:  # which the start says in a sentence
        OidcSettings.model_validate({**GOOD, "client_secret": "Kx9-hidden", **wrong})
    assert "Kx9-hidden" not in str(caught.value)


def test_http_is_for_loopback() -> None:
    for host in ("127.0.0.1:9000", "localhost:9000", "[::1]:9000"):
        assert OidcSettings.model_validate({**GOOD, "issuer": f"http://{host}"}).issuer


def test_the_secret_does_not_print() -> None:
    made = OidcSettings.model_validate({**GOOD, "client_secret": "Kx9-hidden"})
    assert "Kx9-hidden" not in repr(made)
    assert "Kx9-hidden" not in str(made.model_dump())
    with pytest.raises(ValidationError):
        OidcSettings.model_validate({**GOOD, "client_secret": ""})


def test_claims_become_grants_by_value_and_by_code() -> None:
    made = settings(
        {"claim": "groups", "value": "police", "actions": ["list", "live"], "area": "110112"},
        {"claim": "townships", "actions": ["list"]},
        {"claim": "realm.roles", "value": "auditor", "actions": ["audit"], "area": "110112"},
    )
    claims = {
        "groups": ["police", "cooks"],
        "townships": ["110112001", 110112002],
        "realm": {"roles": ["auditor"]},
    }
    assert granted(made, claims) == {
        a_grant("list,live", "110112"),
        a_grant("list", "110112001"),
        a_grant("list", "110112002"),
        a_grant("audit", "110112"),
    }
    assert granted(made, {"groups": "police"}) == {a_grant("list,live", "110112")}
    assert granted(made, {"groups": None, "realm": ["x"], "townships": {}}) == set()
    assert named(made) == {"preferred_username", "name", "groups", "townships", "realm"}


def test_claims_become_roles_by_value() -> None:
    rules = [
        {"claim": "groups", "value": "w-night", "role": " Night "},
        {"claim": "realm.roles", "value": "7", "role": "ro_aaaabbbbccccddddeeee"},
    ]
    made = OidcSettings.model_validate({**GOOD, "roles": rules})
    both = frozenset({"night", "ro_aaaabbbbccccddddeeee"})
    claims = {"groups": ["w-night", "night"], "realm": {"roles": [7]}}
    assert wanted(made, claims) == Wanted(roles=both)
    # A role's own name says nothing; nor does part of a value.
    assert wanted(made, {"groups": ["night", "w-night-2"], "realm": {}}) == Wanted()
    assert named(made) == {"preferred_username", "name", "groups", "realm"}


def test_without_rules_the_provider_gives_nothing() -> None:
    assert wanted(settings(), {"groups": ["police"]}) == Wanted()


def test_a_claim_with_a_dot_in_its_name_is_itself() -> None:
    assert values_of({"a.b": "x", "a": {"b": "y"}}, "a.b") == ["x"]
    assert values_of({"https://x.example/groups": ["g"]}, "https://x.example/groups") == ["g"]

"""What an allow rests on, as rows keep it: short, and each grant once."""

from __future__ import annotations

from dataclasses import replace

from streamhub.access.grounds import MAX_GRANTS, grounds_of
from support.http_kit import grants

GRANT = grants()[0]


def test_many_grants_are_counted_and_few_are_named() -> None:
    many = [replace(GRANT, id=f"gr_{n}", role_id=f"ro_{n % 2}") for n in range(MAX_GRANTS + 3)]
    assert grounds_of(many) == {
        "grant_ids": [f"gr_{n}" for n in range(MAX_GRANTS)],
        "grants_more": 3,
        "role_ids": ["ro_0", "ro_1"],
    }


def test_a_grant_that_a_key_s_areas_cut_in_two_is_one() -> None:
    parts = [replace(GRANT, area_id=each) for each in ("ar_yongshun", "ar_liyuan")]
    assert grounds_of(parts) == {"grant_ids": [GRANT.id]}


def test_nothing_is_said_of_nothing() -> None:
    assert grounds_of(()) == {}

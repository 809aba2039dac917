"""What one came with holds a decision: a sign-in by its end, an API key by what it is for, too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from camera_registry.credentials import ApiKey, SignIn, SignInMethod
from camera_registry.domain import Grant
from streamhub.access.facts import Facts
from streamhub.access.policy import decide, grants_now, scope
from streamhub.access.principal import (
    DISTRICT,
    Action,
    Principal,
    Resource,
    Via,
    area,
    channel,
)
from support.http_kit import START, areas, channels, grants, subjects

NOW = datetime(2026, 6, 1, tzinfo=UTC)
END = NOW + timedelta(days=1)


def key(name: str, actions: set[str] | None = None, area_ids: set[str] | None = None) -> ApiKey:
    return ApiKey(
        "ak_1",
        "h" * 64,
        "shk_12345678",
        f"su_{name}",
        "a program",
        None if actions is None else frozenset(actions),
        None if area_ids is None else frozenset(area_ids),
        START,
        END,
    )


def facts_of(*credentials: ApiKey | SignIn, grant: Grant | None = None) -> Facts:
    return Facts.build(
        areas=areas(),
        channels=channels(),
        subjects=subjects(),
        grants=[*grants(), *([] if grant is None else [grant])],
        sign_ins=[each for each in credentials if isinstance(each, SignIn)],
        api_keys=[each for each in credentials if isinstance(each, ApiKey)],
    )


def who(name: str, via: Via, credential_id: str, version: int = 1) -> Principal:
    return Principal(f"su_{name}", name, "192.0.2.7", via, version, credential_id)


def test_a_sign_in_that_is_over_or_gone_allows_nothing() -> None:
    facts = facts_of(SignIn("si_1", "h" * 64, "su_yongshun", START, END, END))
    page = who("yongshun", "cookie", "si_1")
    held = decide(page, Action.LIVE, channel("ch_y1"), facts, NOW)
    assert (held.allowed, held.until, held.ends_as) == (True, END, "sign_in_ended")
    over = decide(page, Action.LIVE, channel("ch_y1"), facts, END)
    assert (over.allowed, over.visible, over.reason) == (False, False, "sign_in_ended")
    assert scope(page, Action.LIVE, facts, END).is_empty
    gone = decide(who("yongshun", "cookie", "si_2"), Action.LIVE, channel("ch_y1"), facts, NOW)
    assert gone.reason == "sign_in_ended"
    # The same id as a key's is no key.
    other = decide(who("yongshun", "key", "si_1"), Action.LIVE, channel("ch_y1"), facts, NOW)
    assert other.reason == "key_ended"


def test_what_a_token_opened_goes_on_while_its_sign_in_is_there() -> None:
    row = SignIn("si_1", "token si_1", "su_yongshun", START, END, END, method=SignInMethod.TOKEN)
    script, facts = who("yongshun", "bearer", "si_1"), facts_of(row)
    after = decide(script, Action.LIVE, channel("ch_y1"), facts, END + timedelta(days=9))
    assert (after.allowed, after.until) == (True, None)
    gone = decide(script, Action.LIVE, channel("ch_y1"), facts_of(), NOW)
    assert (gone.allowed, gone.reason) == (False, "sign_in_ended")


def test_a_grant_that_ends_sooner_is_what_ends_the_permit() -> None:
    soon = NOW + timedelta(hours=1)
    row = Grant("gr_x", "su_stranger", frozenset({"live"}), None, "ch_y1", START, soon, START)
    facts = facts_of(key("stranger"), grant=row)
    held = decide(who("stranger", "key", "ak_1"), Action.LIVE, channel("ch_y1"), facts, NOW)
    assert (held.until, held.ends_as) == (soon, "grant_ended")


WHOLE = None


@pytest.mark.parametrize(
    ("name", "actions", "area_ids", "action", "target", "allowed", "visible"),
    [
        # As the subject, but for what is left out.
        ("admin", WHOLE, WHOLE, Action.MANAGE, DISTRICT, True, True),
        ("admin", {"list", "live"}, WHOLE, Action.LIVE, channel("ch_l1"), True, True),
        ("admin", {"list", "live"}, WHOLE, Action.MANAGE, channel("ch_l1"), False, True),
        ("admin", {"list", "live"}, WHOLE, Action.MANAGE, DISTRICT, False, True),
        # An area below what was granted.
        ("admin", WHOLE, {"ar_yongshun"}, Action.LIVE, channel("ch_y1"), True, True),
        ("admin", WHOLE, {"ar_yongshun"}, Action.LIVE, channel("ch_y2"), True, True),
        ("admin", WHOLE, {"ar_yongshun"}, Action.LIVE, channel("ch_l1"), False, False),
        ("admin", WHOLE, {"ar_yongshun"}, Action.MANAGE, DISTRICT, False, True),
        ("admin", WHOLE, {"ar_yongshun"}, Action.LIST, area("ar_district"), False, True),
        ("admin", WHOLE, {"ar_village"}, Action.LIVE, channel("ch_y1"), False, False),
        # An area above it: never more than the subject has.
        ("yongshun", WHOLE, {"ar_district"}, Action.LIVE, channel("ch_y2"), True, True),
        ("yongshun", WHOLE, {"ar_district"}, Action.LIVE, channel("ch_l1"), False, False),
        ("yongshun", {"manage"}, WHOLE, Action.MANAGE, channel("ch_y1"), False, False),
        # Another one, and one that is not there any more.
        ("yongshun", WHOLE, {"ar_liyuan"}, Action.LIVE, channel("ch_y1"), False, False),
        ("yongshun", WHOLE, {"ar_gone"}, Action.LIVE, channel("ch_y1"), False, False),
        ("stranger", WHOLE, WHOLE, Action.LIST, channel("ch_y1"), False, False),
    ],
)
def test_a_key_allows_what_it_is_for(
    name: str,
    actions: set[str] | None,
    area_ids: set[str] | None,
    action: Action,
    target: Resource,
    allowed: bool,
    visible: bool,
) -> None:
    facts = facts_of(key(name, actions, area_ids))
    decision = decide(who(name, "key", "ak_1"), action, target, facts, NOW)
    assert (decision.allowed, decision.visible) == (allowed, visible), decision
    if target.kind == "channel":
        row = facts.channel(target.id)
        assert row is not None
        assert scope(who(name, "key", "ak_1"), action, facts, NOW).shows(row) == allowed


def test_a_key_on_a_granted_channel_needs_its_area() -> None:
    row = Grant("gr_x", "su_stranger", frozenset({"live"}), None, "ch_y2", START, None, START)
    for area_ids, allowed in (({"ar_yongshun"}, True), ({"ar_liyuan"}, False)):
        facts = facts_of(key("stranger", None, area_ids), grant=row)
        decision = decide(who("stranger", "key", "ak_1"), Action.LIVE, channel("ch_y2"), facts, NOW)
        assert decision.allowed == allowed


def test_a_key_outlives_the_password_but_not_itself() -> None:
    facts = facts_of(key("yongshun"))
    old = who("yongshun", "key", "ak_1", version=0)
    assert decide(old, Action.LIVE, channel("ch_y1"), facts, NOW).allowed
    assert decide(old, Action.LIVE, channel("ch_y1"), facts, END).reason == "key_ended"
    gone = decide(old, Action.LIVE, channel("ch_y1"), facts_of(), NOW)
    assert gone.reason == "key_ended"


def test_the_grants_of_a_key_are_told_as_they_are_for_it() -> None:
    facts = facts_of(key("admin", {"list"}, {"ar_yongshun", "ar_liyuan"}))
    told = grants_now(who("admin", "key", "ak_1"), facts, NOW)
    assert {(row.area_id, row.actions) for row in told} == {
        ("ar_yongshun", frozenset({"list"})),
        ("ar_liyuan", frozenset({"list"})),
    }
    nothing = facts_of(key("yongshun", {"manage"}))
    assert grants_now(who("yongshun", "key", "ak_1"), nothing, NOW) == []

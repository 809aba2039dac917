"""Explanations as sentences: each reason has words in both languages, whatever names hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from camera_registry.domain import (
    Channel,
    Condition,
    Effect,
    Filing,
    Grant,
    Op,
    Purpose,
    Role,
    WeeklyWindow,
)
from streamhub.access.explain import Explanation, explain
from streamhub.access.explain_words import of_line, sentence
from streamhub.access.facts import Facts
from streamhub.access.principal import Action
from support.http_kit import areas, channels, subjects

from .test_policy_decide import NOW, a_grant

ODD = "路口{0}%s{ids}"
NIGHT = (WeeklyWindow((0, 1, 2, 3, 4, 5, 6), 22 * 60, 6 * 60),)


def explained(*grants: Grant, enabled: bool = True, **fields: object) -> tuple[Facts, Explanation]:
    row = next(each for each in channels() if each.id == "ch_y1")
    row = replace(row, name=ODD, **fields)  # type: ignore[arg-type]
    people = [replace(each, enabled=enabled) for each in subjects()]
    facts = Facts.build(
        areas=areas(),
        channels=[row],
        subjects=people,
        grants=grants,
        roles=[Role("ro_1", "night", "夜班")],
        members={"ro_1": frozenset({"su_stranger"})},
        purposes=[Purpose("duty", "值守", "Duty")],
    )
    found = next(each for each in people if each.id == "su_stranger")
    return facts, explain(found, Action.LIVE, _row(facts), facts, NOW)


def _row(facts: Facts) -> Channel:
    row = facts.channel("ch_y1")
    assert row is not None
    return row


LIVE = a_grant("stranger", {"live"}, area_id="ar_yongshun")


@pytest.mark.parametrize(
    ("grants", "fields", "reason", "zh", "en"),
    [
        (
            [LIVE],
            {},
            "granted",
            "可以实时观看：依据授权 gr_extra，长期有效。",
            "may watch live from",
        ),
        ([], {}, "no_grant", "没有任何有效授权", "no grant"),
        ([replace(LIVE, effect=Effect.DENY)], {}, "denied", "明确禁止", "denies it"),
        ([LIVE], {"filing": Filing.DRAFT}, "not_filed", "尚未归档", "not filed"),
        ([LIVE], {"enabled": False}, "channel_disabled", "已停用", "switched off"),
        ([LIVE], {"sensitive": True}, "purpose_required", "必须说明事由", "a purpose"),
    ],
)
def test_the_answer_in_a_sentence(
    grants: list[Grant], fields: dict[str, object], reason: str, zh: str, en: str
) -> None:
    row_fields = {key: value for key, value in fields.items() if key != "enabled"}
    if "enabled" in fields:
        row_fields["enabled"] = fields["enabled"]
    row = next(each for each in channels() if each.id == "ch_y1")
    facts = Facts.build(
        areas=areas(),
        channels=[replace(row, name=ODD, **row_fields)],  # type: ignore[arg-type]
        subjects=subjects(),
        grants=grants,
    )
    found = next(each for each in subjects() if each.id == "su_stranger")
    told = explain(found, Action.LIVE, _row(facts), facts, NOW)
    assert told.decision.reason == reason
    words = sentence(told)
    assert zh in words.zh
    assert en in words.en
    assert ODD in words.zh
    assert ODD in words.en


@pytest.mark.parametrize("action", list(Action))
def test_each_action_is_a_verb(action: Action) -> None:
    """And Chinese has its own commas, colons and brackets, but in times and names."""
    facts, told = explained(replace(LIVE, actions=frozenset({action.value}), windows=NIGHT))
    told = replace(told, action=action, opens_at=NOW)
    words = sentence(told)
    assert "stranger may not " in words.en
    assert f" {action.value} on " not in words.en
    said = words.zh.replace(ODD, "")
    lines = [of_line(line, facts).zh for line in told.lines]
    for text in (said, *lines):
        assert not set(",;()") & set(text)


def test_who_is_disabled_is_told_so() -> None:
    _, told = explained(LIVE, enabled=False)
    assert "该账号已停用" in sentence(told).zh


def test_each_grant_has_its_words() -> None:
    """NOW is 08:00 in Shanghai: a night shift is over, and begins again at 22:00."""
    rule = (Condition("owner", Op.EQ, ("{x}",)),)
    to_role = replace(LIVE, id="gr_role", subject_id=None, role_id="ro_1", windows=NIGHT)
    facts, told = explained(
        LIVE,
        to_role,
        replace(LIVE, id="gr_deny", effect=Effect.DENY, valid_until=NOW + timedelta(hours=1)),
        replace(LIVE, id="gr_rule", conditions=rule),
        replace(LIVE, id="gr_soon", valid_from=NOW + timedelta(days=1)),
        replace(LIVE, id="gr_over", valid_until=NOW),
        replace(LIVE, id="gr_far", area_id="ar_liyuan"),
        replace(LIVE, id="gr_why", purpose_required=True),
        replace(LIVE, id="gr_list", actions=frozenset({"list"})),
    )
    says = {line.grant.id: line.says for line in told.lines}
    assert says == {
        "gr_deny": "denies",
        "gr_extra": "allows",
        "gr_why": "allows_with_purpose",
        "gr_role": "out_of_hours",
        "gr_rule": "rule",
        "gr_soon": "not_yet",
        "gr_over": "ended",
        "gr_far": "elsewhere",
    }
    assert told.lines[0].grant.id == "gr_deny"
    assert told.opens_at == NOW + timedelta(hours=1)
    words = {line.grant.id: of_line(line, facts) for line in told.lines}
    assert "角色 night" in words["gr_role"].zh
    assert "2026-06-01 22:00:00+08:00 起" in words["gr_role"].zh
    assert "hours mon,tue,wed,thu,fri,sat,sun 22:00-06:00" in words["gr_role"].en
    assert "owner eq {x}" in words["gr_rule"].en
    assert "until 2026-06-01 09:00:00+08:00" in words["gr_deny"].en


LONG = replace(LIVE, id="gr_long", valid_until=NOW + timedelta(days=3000))
SHIFT = replace(LIVE, id="gr_shift", windows=NIGHT)
DAY = (WeeklyWindow((0, 1, 2, 3, 4, 5, 6), 6 * 60, 22 * 60),)


@pytest.mark.parametrize(
    ("others", "end", "en"),
    [
        ([], NOW + timedelta(days=3000), "until 2034-08-18 08:00:00+08:00"),
        (
            [replace(LIVE, id="gr_deny", effect=Effect.DENY, valid_from=NOW + timedelta(days=900))],
            NOW + timedelta(days=900),
            "until 2028-11-17 08:00:00+08:00",
        ),
        # It goes on with a shift that has begun by then, to the end of that.
        (
            [replace(LONG, id="gr_next", windows=DAY)],
            NOW + timedelta(days=3000),
            "until 2034-08-18 08:00:00+08:00",
        ),
    ],
)
def test_the_end_is_the_long_grant_s_however_many_shifts_pass(
    others: list[Grant], end: datetime, en: str
) -> None:
    _, told = explained(LONG, SHIFT, *others)
    assert (told.decision.until, told.decision.until_is_least) == (end, False)
    assert f", {en}" in sentence(told).en


def test_where_the_search_gives_up_it_says_at_least() -> None:
    """Shifts that meet have no end at all."""
    _, told = explained(SHIFT, replace(LIVE, id="gr_day", windows=DAY))
    assert told.decision.until_is_least
    words = sentence(told)
    assert ", at least until 2026-" in words.en
    assert "，至少到 2026-" in words.zh

"""An explanation as a sentence, in Chinese and in English."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

from camera_registry.domain import Grant
from camera_registry.grant_terms import DAYS, clock

from .explain import Explanation, GrantLine
from .facts import Facts

SHANGHAI: Final = timezone(timedelta(hours=8))

# Action -> (zh, en): what one may do, in English up to the camera's name.
_ACTIONS: Final = {
    "list": ("列出", "list"),
    "live": ("实时观看", "watch live from"),
    "snapshot": ("抓拍", "take stills of"),
    "playback": ("回放", "play recordings of"),
    "ptz": ("云台控制", "steer"),
    "talk": ("对讲", "talk over"),
    "export": ("导出", "export"),
    "manage": ("管理", "manage"),
    "audit": ("审计", "read the log of"),
}
_DAYS_ZH: Final = ("一", "二", "三", "四", "五", "六", "日")
# Reason -> (zh, en), after the words of who, what and where.
_REASONS: Final = {
    "denied": ("被授权 {ids} 明确禁止（禁止优先于允许）", "{ids} denies it, and a denial wins"),
    "no_grant": ("没有任何有效授权允许", "no grant that holds then allows it"),
    "not_filed": (
        "该点位尚未归档，只有管理者可见",
        "the camera is not filed: it is there for those alone who manage it",
    ),
    "channel_disabled": ("该点位已停用", "the camera is switched off"),
    "purpose_required": ("必须说明事由（{ids}）", "a purpose has to be named ({ids})"),
    "subject_disabled": ("该账号已停用", "the subject is disabled"),
    "password_change_due": ("该账号须先修改密码", "the subject has to change its password first"),
    "second_factor_due": (
        "该账号须先设置第二因素",
        "the subject has to set up a second factor first",
    ),
    "unknown_subject": ("没有该账号", "there is no such subject"),
    "not_there": ("没有该点位", "there is no such camera"),
}
_SAYS: Final = {
    "allows": ("允许", "allows"),
    "allows_with_purpose": ("说明事由后允许", "allows, with a purpose"),
    "denies": ("禁止", "denies"),
    "not_yet": ("尚未生效", "has not begun"),
    "ended": ("已到期", "has ended"),
    "out_of_hours": ("不在值班时段内", "is out of its hours"),
    "elsewhere": ("不涉及该点位", "is about other cameras"),
    "rule": ("规则不符：{unmet}", "its rule does not fit: {unmet}"),
}


@dataclass(frozen=True, slots=True)
class Sentence:
    zh: str
    en: str


def sentence(what: Explanation) -> Sentence:
    """The answer in one sentence."""
    decision = what.decision
    act_zh, act_en = _ACTIONS[what.action.value]
    ids_zh, ids_en = (comma.join(decision.grant_ids) or "-" for comma in ("、", ", "))
    who, where, at = what.subject.username, what.channel.name, _time(what.at)
    if decision.allowed:
        answer_zh, answer_en = "可以", "may"
        end_zh, end_en = "长期有效", "until something is changed"
        if decision.until is not None:
            end = _time(decision.until)
            end_zh, end_en = f"至 {end}", f"until {end}"
            if decision.until_is_least:
                end_zh, end_en = f"至少到 {end}", f"at least until {end}"
        lent_zh, lent_en = _lent(what)
        why_zh, why_en = f"{lent_zh}依据授权 {ids_zh}，{end_zh}", f"{lent_en}by {ids_en}, {end_en}"
    else:
        answer_zh, answer_en = "不可以", "may not"
        zh, en = _REASONS[decision.reason]
        why_zh, why_en = zh.format(ids=ids_zh), en.format(ids=ids_en)
    if what.opens_at is not None:
        why_zh += f"；{_time(what.opens_at)} 起可以"
        why_en += f"; from {_time(what.opens_at)} it may"
    return Sentence(
        f"{at}，{who} 对“{where}”{answer_zh}{act_zh}：{why_zh}。",
        f"At {at}, {who} {answer_en} {act_en} {where}: {why_en}.",
    )


def of_line(line: GrantLine, facts: Facts) -> Sentence:
    """What one grant has to do with it."""
    grant, unmet = line.grant, ""
    if line.unmet is not None:
        values = "|".join(line.unmet.values)
        unmet = f"{line.unmet.field} {line.unmet.op.value} {values}"
    zh, en = (text.format(unmet=unmet) for text in _SAYS[line.says])
    role = facts.roles.get(grant.role_id or "")
    by_zh = "" if role is None else f"（角色 {role.name}）"
    by_en = "" if role is None else f" (by the role {role.name})"
    if grant.lent_by is not None:
        by_zh, by_en = f"（借用，{grant.lent_by} 批准）", f" (a loan, allowed by {grant.lent_by})"
    turns_zh = turns_en = ""
    if line.until is not None:
        ends = line.decides
        turns_zh = f"，{_time(line.until)} {'止' if ends else '起'}"
        turns_en = f", {'until' if ends else 'from'} {_time(line.until)}"
    hours_zh, hours_en = _hours(grant)
    return Sentence(
        f"{grant.id}{by_zh} {zh}{turns_zh}{hours_zh}",
        f"{grant.id}{by_en} {en}{turns_en}{hours_en}",
    )


def _lent(what: Explanation) -> tuple[str, str]:
    """Words before what allows it, where that is on loan altogether."""
    allowing = [line.grant for line in what.lines if line.grant.id in what.decision.grant_ids]
    names = {each.lent_by for each in allowing if each.lent_by is not None}
    if not names or any(each.lent_by is None for each in allowing):
        return "", ""
    by_zh, by = (comma.join(sorted(names)) for comma in ("、", ", "))
    return f"借用，{by_zh} 批准，", f"on loan, allowed by {by}, "


def _hours(grant: Grant) -> tuple[str, str]:
    if not grant.windows:
        return "", ""
    zh = "；".join(
        f"周{''.join(_DAYS_ZH[day] for day in w.days)} {clock(w.start_min)}-{clock(w.end_min)}"
        for w in grant.windows
    )
    en = "; ".join(
        f"{','.join(DAYS[day] for day in w.days)} {clock(w.start_min)}-{clock(w.end_min)}"
        for w in grant.windows
    )
    return f"（时段 {zh}）", f" (hours {en})"


def _time(moment: datetime) -> str:
    return moment.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S+08:00")

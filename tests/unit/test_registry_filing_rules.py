"""The way from draft to filed: which steps there are, what sends a channel back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from camera_registry.domain import Actor, Channel, Filing
from camera_registry.errors import Conflict, ValidationFailed
from camera_registry.filing_rules import (
    MAX_NOTE_CHARS,
    FilingSettings,
    FilingStep,
    checked_note,
    is_same_person,
    moved,
    sent_back,
)
from support.http_kit import channels

CAMERA = channels()[0]


def in_state(state: Filing) -> Channel:
    return replace(CAMERA, filing=state)


@pytest.mark.parametrize(
    ("state", "step", "after"),
    [
        (Filing.DRAFT, FilingStep.REVIEW, Filing.REVIEWED),
        (Filing.DRAFT, FilingStep.FILE, None),
        (Filing.DRAFT, FilingStep.REFUSE, Filing.DRAFT),
        (Filing.DRAFT, FilingStep.REOPEN, None),
        (Filing.REVIEWED, FilingStep.REVIEW, None),
        (Filing.REVIEWED, FilingStep.FILE, Filing.FILED),
        (Filing.REVIEWED, FilingStep.REFUSE, Filing.DRAFT),
        (Filing.REVIEWED, FilingStep.REOPEN, Filing.DRAFT),
        (Filing.FILED, FilingStep.REVIEW, None),
        (Filing.FILED, FilingStep.FILE, None),
        (Filing.FILED, FilingStep.REFUSE, None),
        (Filing.FILED, FilingStep.REOPEN, Filing.DRAFT),
    ],
)
def test_the_table_of_steps(state: Filing, step: FilingStep, after: Filing | None) -> None:
    if after is None:
        said = rf"is {state}; only what is .* the step {step}\.$"
        with pytest.raises(Conflict, match=said) as refused:
            moved(in_state(state), step)
        assert refused.value.code == "wrong_filing_state"
    else:
        assert moved(in_state(state), step) == in_state(after)


def test_a_reason_stays_until_the_next_step() -> None:
    refused = moved(in_state(Filing.DRAFT), FilingStep.REFUSE, "wrong street")
    assert refused.filing_note == "wrong street"
    put_right = replace(refused, area_id="ar_liyuan")
    assert sent_back(refused, put_right) == put_right
    assert moved(put_right, FilingStep.REVIEW).filing_note is None


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({"main_url": "rtsp://192.0.2.9/other"}, Filing.DRAFT),
        ({"sub_url": None}, Filing.DRAFT),
        ({"area_id": "ar_liyuan"}, Filing.DRAFT),
        ({"code": "11011200111310000777"}, Filing.DRAFT),
        ({"device_id": "de_2"}, Filing.DRAFT),
        ({"name": "东门"}, Filing.FILED),
        ({"lon": 116.6, "lat": 39.9}, Filing.FILED),
        ({"facts": {"address": "新华大街"}}, Filing.FILED),
        ({"enabled": False}, Filing.FILED),
    ],
)
def test_what_a_reviewer_has_looked_at_sends_it_back_when_it_changes(
    changed: dict[str, object], state: Filing
) -> None:
    after = replace(CAMERA, **changed)  # type: ignore[arg-type]
    assert sent_back(CAMERA, after) == replace(after, filing=state)


@pytest.mark.parametrize(
    ("step", "note", "code"),
    [
        (FilingStep.REFUSE, None, "reason_missing"),
        (FilingStep.REFUSE, "  ", "reason_missing"),
        (FilingStep.REFUSE, "x" * (MAX_NOTE_CHARS + 1), "text_too_long"),
        (FilingStep.REFUSE, "a\x00b", "text_unprintable"),
        (FilingStep.REFUSE, "\ud800", "text_unprintable"),
        (FilingStep.REVIEW, "fine", "reason_unwanted"),
        (FilingStep.FILE, "fine", "reason_unwanted"),
    ],
)
def test_a_reason_is_where_it_belongs(step: FilingStep, note: str | None, code: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        checked_note(step, note)
    assert refused.value.code == code
    assert checked_note(FilingStep.REFUSE, " wrong street ") == "wrong street"
    assert checked_note(FilingStep.REOPEN, None) is None


def test_a_person_is_told_by_the_account() -> None:
    anna = Actor("su_1", "anna")
    root, ops = Actor(None, "local:root"), Actor(None, "local:ops")
    assert is_same_person(("su_1", "anna-of-before"), anna)  # a name may change
    assert not is_same_person(("su_2", "anna"), anna)  # and come to somebody else
    assert is_same_person((None, "local:root"), root)
    assert not is_same_person((None, "local:root"), ops)
    assert not is_same_person((None, "local:root"), anna)
    assert not is_same_person(None, root)


def test_what_is_added_by_hand_begins_as_the_site_chose() -> None:
    usual = FilingSettings()
    strict = FilingSettings(by_hand=Filing.DRAFT)
    assert (usual.by_hand_begins(None), usual.by_hand_begins("draft")) == ("filed", "draft")
    assert strict.by_hand_begins(None) == "draft"
    with pytest.raises(Conflict) as refused:
        strict.by_hand_begins("filed")
    assert refused.value.code == "second_person_wanted"
    alone = FilingSettings(second_person=False, by_hand=Filing.DRAFT)
    assert alone.by_hand_begins("filed") == "filed"
    with pytest.raises(ValidationFailed, match="begins as draft or filed"):
        usual.by_hand_begins("reviewed")

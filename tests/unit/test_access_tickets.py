"""Tickets for the RTSP door, as the control plane makes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from camera_registry.credentials import ApiKey
from camera_registry.domain import Subject, SubjectKind
from streamhub.access import tickets
from streamhub.access.departed import Departed
from streamhub.access.errors import Forbidden
from streamhub.access.facts import Facts
from streamhub.access.holding import subject_refusal
from streamhub.access.permit import _MINT, Permit
from streamhub.access.policy import Decision
from streamhub.access.principal import Action, Principal, channel
from streamhub.access.tickets import Tickets, holder_of, shown_by, ticket_key

NOW = datetime.fromtimestamp(1_800_000_000, UTC)
KEY = bytes(range(32))
# Of an address's user name, colon and password together (its fixed buffer is 128 long).
FFMPEG_KEEPS = 127


def permit(until: datetime | None = None, *, local: bool = False) -> Permit:
    principal = Principal(
        "sub_qqqqwwwweeeerrrrtttt", "yongshun", "192.0.2.1", "local" if local else "bearer", 7
    )
    return Permit(
        _MINT,
        principal=principal,
        action=Action.LIVE,
        resource=channel("ch_22223333444455556666"),
        decision=Decision(True, True, "granted", until=until),
        decided_at=NOW,
    )


def test_a_ticket_is_the_text_that_the_core_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same text as core/wire/tests/tickets.rs opens."""
    monkeypatch.setattr(tickets.base64, "b32encode", lambda _: b"AAAABBBB")
    ticket = Tickets(KEY, max_valid_s=3600).issue(permit(), ["main", "sub"], 60, NOW)
    assert ticket.text.reveal() == (
        "rt1.live.1800000060.aaaabbbb.main-sub.ch_22223333444455556666."
        "sub_qqqqwwwweeeerrrrtttt.7.vRVM7p9y7ZdXZfrw4j680A"
    )
    assert ticket.id == "aaaabbbb"
    assert ticket.text.reveal() not in repr(ticket)


def test_it_fits_where_ffmpeg_keeps_a_password() -> None:
    ticket = Tickets(KEY, max_valid_s=3600).issue(permit(), ["main", "sub"], 60, NOW)
    assert len(f"ticket:{ticket.text.reveal()}") <= FFMPEG_KEEPS


@pytest.mark.parametrize(
    ("wanted_s", "grant_s", "expected_s"), [(60, None, 60), (9000, None, 3600), (9000, 90, 90)]
)
def test_it_ends_with_the_grant_and_the_setting(
    wanted_s: float, grant_s: float | None, expected_s: float
) -> None:
    until = None if grant_s is None else NOW + timedelta(seconds=grant_s)
    ticket = Tickets(KEY, max_valid_s=3600).issue(permit(until), ["sub"], wanted_s, NOW)
    assert ticket.expires_at == NOW + timedelta(seconds=expected_s)


def test_the_local_operator_gets_none() -> None:
    with pytest.raises(Forbidden) as refused:
        Tickets(KEY, max_valid_s=3600).issue(permit(local=True), ["sub"], 60, NOW)
    assert refused.value.code == "ticket_needs_subject"


def test_one_asked_for_with_an_api_key_is_that_key_s() -> None:
    """A revoked key's tickets are nobody's; while it is there, they may what it may."""
    subject = Subject("su_p", "platform", "平台", SubjectKind.SERVICE, version=3)
    key = ApiKey(
        id="ak_aaaabbbbccccddddeeee",
        key_hash="0" * 64,
        prefix="shk_aaaa",
        subject_id="su_p",
        name="recorder",
        actions=None,
        area_ids=None,
        created_at=NOW,
        expires_at=NOW + timedelta(days=1),
        used_at=None,
    )
    with_key = Principal("su_p", "platform", "192.0.2.1", "key", 3, key.id)
    assert holder_of(with_key) == key.id
    facts = Facts.build(subjects=[subject], api_keys=[key])
    departed = Departed()
    shown = shown_by(key.id, 3, "192.0.2.9", facts, departed)
    assert (shown.subject_id, shown.via, shown.credential_id) == ("su_p", "key", key.id)
    assert subject_refusal(shown, facts, NOW) is None
    assert subject_refusal(shown, facts, NOW + timedelta(days=2)) == "key_ended"
    revoked = Facts.build(subjects=[subject])
    nobody = shown_by(key.id, 3, "192.0.2.9", revoked, departed)
    assert (nobody.subject_id, nobody.credential_id) == ("", key.id)
    assert subject_refusal(nobody, revoked, NOW) == "unknown_subject"
    departed.compare_keys(facts.api_keys, revoked.api_keys)
    once = shown_by(key.id, 3, "192.0.2.9", revoked, departed)
    assert (once.subject_id, once.username, once.credential_id) == ("su_p", "platform", key.id)
    assert subject_refusal(once, revoked, NOW) == "key_ended"


def test_its_key_is_kept_and_signs_no_tokens() -> None:
    assert ticket_key(KEY) == ticket_key(KEY)
    assert ticket_key(KEY) != KEY
    assert len(ticket_key(KEY)) == len(KEY)

"""Refusals are written down, and a flood of them is not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

from camera_registry.domain import AuditEntry
from camera_registry.store.contract import Store
from streamhub.access.audit import (
    CREDENTIAL_COALESCE_S,
    MAX_COUNTED_CREDENTIALS,
    MAX_COUNTED_REFUSALS,
    BadCredential,
    RefusalLog,
    entry_for,
)
from streamhub.access.errors import Known
from streamhub.access.guard import Refusal
from streamhub.access.principal import Action, Principal, channel
from support.patience import PATIENCE_S

WHO = Principal("su_1", "yongshun", "192.0.2.7", "bearer", 1)
REFUSAL = Refusal(WHO, Action.LIVE, channel("ch_1"), "no_grant", "not_found")


class Rows:
    """A store that keeps what is appended; may fail."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []
        self.failures = 0
        self.written = asyncio.Event()

    async def append_audit(self, entry: AuditEntry) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("disk full")
        self.entries.append(entry)
        self.written.set()


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def a_log() -> tuple[RefusalLog, Rows, Clock]:
    rows, clock = Rows(), Clock()
    return RefusalLog(cast(Store, rows), clock), rows, clock


async def test_the_first_is_written_at_once_and_the_rest_as_a_number() -> None:
    log, rows, clock = a_log()
    log.start()
    for _ in range(1_000):
        log.note(REFUSAL)
    await asyncio.wait_for(rows.written.wait(), PATIENCE_S)
    assert len(rows.entries) == 1
    clock.now_s = 61
    log.close_windows(at=clock())
    await log.flush()
    await log.stop()
    first, rest = rows.entries
    assert (first.act, first.outcome, first.channel_id) == ("refused", "refused", "ch_1")
    assert "more" not in first.detail
    assert rest.detail["more"] == 999


async def test_another_reason_within_the_minute_is_a_row_of_its_own() -> None:
    log, rows, _ = a_log()
    log.start()
    for code in ("purpose_required", "quota_exceeded", "quota_exceeded"):
        log.note(replace(REFUSAL, as_code=code))
    await log.flush()
    await log.stop()
    assert [row.detail["code"] for row in rows.entries[:2]] == [
        "purpose_required",
        "quota_exceeded",
    ]


async def test_it_stops_though_a_refusal_comes_in_the_same_moment() -> None:
    """A cancel that met the result of a wait was swallowed once, and the command line hung."""
    for turns in range(5):
        log, rows, _ = a_log()
        log.start()
        await asyncio.sleep(0)
        log.note(REFUSAL)
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.wait_for(log.stop(), PATIENCE_S)
        assert len(rows.entries) == 1


async def test_a_minute_later_it_is_written_again() -> None:
    log, rows, clock = a_log()
    for minute in range(3):
        clock.now_s = minute * 61.0
        log.close_windows(at=clock())
        log.note(REFUSAL)
    await log.flush()
    assert len(rows.entries) == 3


async def test_made_up_ids_do_not_fill_the_disk() -> None:
    log, rows, _ = a_log()
    for number in range(MAX_COUNTED_REFUSALS * 3):
        odd = replace(REFUSAL, resource=channel(f"{number}" + "x" * 500), reason="not_there")
        log.note(odd)
    await log.stop()
    assert len(rows.entries) == MAX_COUNTED_REFUSALS + 1
    assert rows.entries[-1].detail["more"] == MAX_COUNTED_REFUSALS * 2
    # What the caller typed is not an object of ours.
    assert rows.entries[0].channel_id is None
    assert len(rows.entries[0].detail["asked_id"]) == 64


async def test_a_bad_credential_is_counted_by_address_and_cause() -> None:
    log, rows, clock = a_log()
    bad = BadCredential("token", "192.0.2.7", "token_invalid")
    known = Known("su_1", "ak_1")
    for _ in range(1_000):
        log.note_credential(bad)
        log.note_credential(replace(bad, remote="192.0.2.8"))
        log.note_credential(BadCredential("key", "192.0.2.7", "key_expired", known, "yongshun"))
    clock.now_s = CREDENTIAL_COALESCE_S - 1
    log.close_windows(at=clock())
    await log.flush()
    assert [(row.remote, row.subject_name, dict(row.detail)) for row in rows.entries] == [
        ("192.0.2.7", None, said("token", "token_invalid")),
        ("192.0.2.8", None, said("token", "token_invalid")),
        ("192.0.2.7", "yongshun", said("key", "key_expired") | {"key": "ak_1"}),
    ]
    clock.now_s += 1
    log.close_windows(at=clock())
    await log.flush()
    assert [row.detail["more"] for row in rows.entries[3:]] == [999] * 3


def said(came_with: str, code: str) -> dict[str, str]:
    return {"came_with": came_with, "reason": code, "code": code}


async def test_strangers_neither_fill_the_log_nor_crowd_out_who_is_known() -> None:
    log, rows, _ = a_log()
    for number in range(10_000):
        log.note_credential(BadCredential("cookie", f"2001:db8::{number:x}", "sign_in_ended"))
    log.note(REFUSAL)
    await log.stop()
    acts = [row.act for row in rows.entries]
    assert acts == ["credential_refused"] * MAX_COUNTED_CREDENTIALS + [
        "refused",
        "credential_refused",
    ]
    assert rows.entries[-1].detail["more"] == 10_000 - MAX_COUNTED_CREDENTIALS
    assert rows.entries[-1].remote is None


async def test_what_is_not_counted_singly_is_one_number_in_a_window() -> None:
    log, rows, clock = a_log()
    for number in range(MAX_COUNTED_CREDENTIALS):
        log.note_credential(BadCredential("cookie", f"2001:db8::{number:x}", "sign_in_ended"))
    others = 0

    async def turns(until_s: float) -> list[int]:
        """Of the loop, each with one more address; the numbers that were told of them."""
        nonlocal others
        before = len(rows.entries)
        while clock.now_s < until_s:
            others += 1
            bad = BadCredential("cookie", f"2001:db8:1::{others:x}", "sign_in_ended")
            log.note_credential(bad)
            clock.now_s += 15
            log.close_windows(at=clock())
            await log.flush()
        return [row.detail["more"] for row in rows.entries[before:] if row.remote is None]

    assert await turns(CREDENTIAL_COALESCE_S - 15) == []
    assert await turns(CREDENTIAL_COALESCE_S) == [CREDENTIAL_COALESCE_S / 15]
    # The windows of the first addresses are over: others are counted singly now.
    for number in range(MAX_COUNTED_CREDENTIALS):
        log.note_credential(BadCredential("cookie", f"2001:db8:2::{number:x}", "sign_in_ended"))
    assert await turns(CREDENTIAL_COALESCE_S * 2 - 15) == []
    await log.stop()
    told = [row.detail["more"] for row in rows.entries if row.remote is None]
    assert len(told) == 2, "at the end, whatever was left"
    written = sum(row.detail.get("more", 1) for row in rows.entries)
    assert written == 2 * MAX_COUNTED_CREDENTIALS + others


async def test_an_origin_is_clipped() -> None:
    log, rows, _ = a_log()
    odd = BadCredential("cookie", "192.0.2.7", "cross_origin", origin="http://" + "x" * 5_000)
    log.note_credential(odd)
    await log.stop()
    assert len(rows.entries[0].detail["origin"]) == 128


async def test_what_could_not_be_written_is_written_later() -> None:
    log, rows, _ = a_log()
    rows.failures = 1
    log.note(REFUSAL)
    failed: Any = (await asyncio.gather(log.flush(), return_exceptions=True))[0]
    assert isinstance(failed, OSError)
    await log.flush()
    assert len(rows.entries) == 1


def test_the_local_operator_is_named_but_is_no_subject() -> None:
    entry = entry_for("grant_revoke", principal=Principal.local("root"))
    assert entry.subject_id is None
    assert (entry.subject_name, entry.as_role, entry.remote) == (
        "local:root",
        "local_operator",
        "local",
    )


async def test_what_was_asked_for_can_always_be_written() -> None:
    log, rows, _ = a_log()
    log.note(replace(REFUSAL, resource=channel("half a character \ud800"), reason="not_there"))
    await log.flush()
    asked: str = rows.entries[0].detail["asked_id"]
    assert asked.encode() == b"half a character ?"

"""Pull points on a virtual clock: what a client gets, and what it blocks when it forgets."""

from __future__ import annotations

import re

import pytest

from streamhub.farm_onvif import front
from streamhub.farm_onvif.device import Device
from streamhub.farm_onvif.http_message import Answer, HttpRequest
from streamhub.farm_onvif.operation import Waiting
from streamhub.farm_onvif.pullpoint import MAX_QUEUED, MAX_SUBSCRIPTIONS
from support.onvif_client import NOW, STILLS, call, device, request, text_of, token

# Camera 1 moves from second 53 of the minute to second 3 (docs/farm.md); NOW is second 20.
STARTS, ENDS = NOW + 33, NOW + 43


def subscribe(asked: Device, at: float = NOW, life: str = "PT600S") -> str:
    """The path of a new subscription."""
    body = f"<tev:InitialTerminationTime>{life}</tev:InitialTerminationTime>"
    whole = f"<tev:CreatePullPointSubscription>{body}</tev:CreatePullPointSubscription>"
    address = text_of(call(asked, whole, now=at), "wsa5:Address")
    prefix = f"http://{asked.spec.address}:{asked.spec.port}"
    assert address.startswith(prefix)
    return address.removeprefix(prefix)


def pull(asked: Device, path: str, at: float, limit: int = 100) -> Answer | Waiting | None:
    body = (
        "<tev:PullMessages><tev:Timeout>PT20S</tev:Timeout>"
        f"<tev:MessageLimit>{limit}</tev:MessageLimit></tev:PullMessages>"
    )
    post = HttpRequest("POST", path, {}, request(body, token(asked.clock(at))))
    got = front.answer(asked, post, at, STILLS)
    return front.poll(asked, got, at) or got if isinstance(got, Waiting) else got


def messages(answer: Answer | Waiting | None) -> list[tuple[str, str, str]]:
    """Topic, operation and value of each."""
    assert isinstance(answer, Answer)
    return re.findall(
        r"<wsnt:Topic [^>]*>([^<]*)<.*?PropertyOperation=\"(\w+)\".*?"
        r"<tt:Data><tt:SimpleItem Name=\"\w+\" Value=\"(\w+)\"",
        answer.body.decode(),
    )


MOTION, INPUT = "tns1:VideoSource/MotionAlarm", "tns1:Device/Trigger/DigitalInput"


def test_a_subscription_begins_with_every_propertys_state() -> None:
    asked = device(channels=2)
    assert messages(pull(asked, subscribe(asked), NOW)) == [
        (MOTION, "Initialized", "false"),
        (MOTION, "Initialized", "false"),
        (INPUT, "Initialized", "false"),
    ]


def test_a_pull_waits_until_there_is_something_or_its_time_is_over() -> None:
    asked = device()
    path = subscribe(asked)
    pull(asked, path, NOW)
    waiting = pull(asked, path, NOW + 20)
    assert isinstance(waiting, Waiting)
    assert front.poll(asked, waiting, STARTS - 0.001) is None
    assert asked.pull_points.next_change(NOW + 20) == STARTS
    assert messages(front.poll(asked, waiting, STARTS)) == [(MOTION, "Changed", "true")]
    waiting = pull(asked, path, ENDS)
    assert messages(waiting) == [(MOTION, "Changed", "false")]
    quiet = pull(asked, path, ENDS)
    assert isinstance(quiet, Waiting)
    assert messages(front.poll(asked, quiet, ENDS + 20)) == []


def test_a_switched_input_is_told_to_all_who_subscribed() -> None:
    asked = device()
    paths = [subscribe(asked) for _ in range(2)]
    for path in paths:
        pull(asked, path, NOW)
    asked.pull_points.switch_input(True, NOW + 1)
    asked.pull_points.switch_input(True, NOW + 2)
    for path in paths:
        assert messages(pull(asked, path, NOW + 3)) == [(INPUT, "Changed", "true")]


def test_messages_come_in_order_and_no_more_than_asked_for() -> None:
    asked = device()
    path = subscribe(asked)
    asked.pull_points.switch_input(True, STARTS + 1)
    got = [messages(pull(asked, path, ENDS, limit=2)) for _ in range(3)]
    assert [len(each) for each in got] == [2, 2, 1]
    assert [message[:2] for message in got[1] + got[2]] == [
        (MOTION, "Changed"), (INPUT, "Changed"), (MOTION, "Changed"),
    ]  # fmt: skip


def test_a_queue_nobody_reads_keeps_the_newest() -> None:
    asked = device()
    path = subscribe(asked, life="P1D")
    for second in range(300):
        asked.pull_points.switch_input(second % 2 == 0, NOW + second)
    got = messages(pull(asked, path, NOW + 80_000))
    assert len(got) == MAX_QUEUED
    assert {topic for topic, _, _ in got} == {MOTION}


def test_a_newer_pull_ends_the_one_that_waits() -> None:
    asked = device()
    path = subscribe(asked)
    pull(asked, path, NOW)
    first = pull(asked, path, NOW + 1)
    assert isinstance(first, Waiting)
    assert isinstance(pull(asked, path, NOW + 2), Waiting)
    assert messages(front.poll(asked, first, NOW + 2)) == []


def test_forgotten_subscriptions_block_until_they_run_out() -> None:
    asked = device()
    for _ in range(MAX_SUBSCRIPTIONS):
        subscribe(asked, life="PT60S")
    body = "<tev:CreatePullPointSubscription/>"
    refused = call(asked, body, now=NOW + 59)
    assert (refused.status, "already" in refused.body.decode()) == (500, True)
    assert call(asked, body, now=NOW + 60).status == 200
    assert asked.pull_points.open(NOW + 60) == 1


def test_renewed_it_lives_on_and_unsubscribed_it_is_gone() -> None:
    asked = device()
    path = subscribe(asked, life="PT60S")
    until = "<wsnt:Renew><wsnt:TerminationTime>{}</wsnt:TerminationTime></wsnt:Renew>"
    renewed = call(asked, until.format("PT90S"), now=NOW + 50, path=path)
    assert text_of(renewed, "wsnt:TerminationTime") == "2026-09-21T14:15:40.000Z"
    absolute = until.format("2026-09-21T14:18:20Z")
    assert call(asked, absolute, now=NOW + 130, path=path).status == 200
    assert isinstance(pull(asked, path, NOW + 290), Answer)
    assert call(asked, "<wsnt:Unsubscribe/>", now=NOW + 291, path=path).status == 200
    gone = pull(asked, path, NOW + 292)
    assert isinstance(gone, Answer)
    assert gone.status == 400


@pytest.mark.parametrize("until", ["soon", "PT0S", "2020-01-01T00:00:00Z", "P"])
def test_a_termination_time_that_is_none_is_a_fault(until: str) -> None:
    body = f"<tev:InitialTerminationTime>{until}</tev:InitialTerminationTime>"
    whole = f"<tev:CreatePullPointSubscription>{body}</tev:CreatePullPointSubscription>"
    answer = call(device(), whole)
    assert "ter:UnacceptableTerminationTime" in answer.body.decode()


def test_absolute_times_are_those_of_the_devices_clock() -> None:
    asked = device()
    asked.faults = asked.faults.adding("clock-hour-off")
    body = "<tev:InitialTerminationTime>2026-09-21T15:14:20Z</tev:InitialTerminationTime>"
    whole = f"<tev:CreatePullPointSubscription>{body}</tev:CreatePullPointSubscription>"
    answer = call(asked, whole)
    assert text_of(answer, "wsnt:CurrentTime") == "2026-09-21T15:13:20.000Z"
    assert text_of(answer, "wsnt:TerminationTime") == "2026-09-21T15:14:20.000Z"
    assert asked.pull_points.open(NOW + 59) == 1
    assert asked.pull_points.open(NOW + 60) == 0

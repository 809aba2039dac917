"""The queue of one webhook on a virtual clock: order, retries, an ill receiver, giving up."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest

from streamhub.events.outbox import ILL_AFTER, MAX_IN_FLIGHT, Outbox, RetryPolicy

POLICY = RetryPolicy(first_s=8.0, max_s=100.0, max_attempts=4, ill_first_s=2.0, ill_max_s=64.0)


def outbox(policy: RetryPolicy = POLICY, jitter: float = 0.0) -> Outbox:
    return Outbox(policy, lambda: jitter)


def sent(box: Outbox, now: float) -> list[int]:
    found = []
    while (seq := box.poll(now)) is not None:
        found.append(seq)
    return found


def test_of_one_channel_one_is_under_way_in_order() -> None:
    box = outbox()
    for seq in (1, 2, 3):
        box.add(seq, "a", attempts=0, due=0.0)
    box.add(4, "b", attempts=0, due=0.0)
    box.add(4, "b", attempts=0, due=0.0)
    assert sent(box, 0.0) == [1, 4]
    box.delivered(1)
    assert sent(box, 0.0) == [2]
    assert box.failed(0.0, 2).due == 4.0
    assert sent(box, 3.9) == []  # 3 waits behind 2
    assert box.poll_timeout() == 4.0
    assert sent(box, 4.0) == [2]
    box.delivered(2)
    box.delivered(4)
    assert sent(box, 4.0) == [3]
    box.delivered(3)
    assert len(box) == 0
    assert box.poll_timeout() is None


def test_so_many_at_once_and_no_more() -> None:
    box = outbox()
    for seq in range(1, 10):
        box.add(seq, f"c{seq}", attempts=0, due=0.0)
    assert sent(box, 0.0) == list(range(1, MAX_IN_FLIGHT + 1))
    assert box.poll_timeout() is None
    box.delivered(2)
    assert sent(box, 0.0) == [MAX_IN_FLIGHT + 1]


def test_pauses_double_with_jitter_and_end_in_death_that_frees_the_channel() -> None:
    box = outbox(jitter=0.5)
    box.add(1, "a", attempts=0, due=0.0)
    box.add(2, "a", attempts=0, due=0.0)
    now, pauses = 0.0, []
    while True:
        now = max(now, box.poll_timeout() or 0.0)
        assert sent(box, now) == [1]
        outcome = box.failed(now, 1)
        if outcome.due is None:
            break
        pauses.append(outcome.due - now)
        now = outcome.due
    assert pauses == [6.0, 12.0, 24.0]
    assert outcome.attempts == POLICY.max_attempts
    assert len(box) == 1
    now = box.poll_timeout() or 0.0
    assert sent(box, now) == [2]


def test_the_default_policy_lasts_over_a_night_and_is_bounded() -> None:
    policy = RetryPolicy()

    def lasts_h(jitter: float) -> float:
        pauses_s = (policy.pause_s(n, jitter) for n in range(1, policy.max_attempts))
        return sum(pauses_s) / 3600

    assert 10 < lasts_h(0.5) < 12, "as the dice fall on the whole: what docs/api.md says"
    assert 7 < lasts_h(0.0) < lasts_h(0.999) < 15
    assert policy.pause_s(10_000, 0.0) == policy.max_s / 2


def test_an_ill_receiver_is_asked_by_one_at_a_time_until_it_is_well() -> None:
    box = outbox()
    for seq in range(1, 7):
        box.add(seq, f"c{seq}", attempts=0, due=0.0)
    for seq in sent(box, 0.0):
        box.failed(0.0, seq)
    assert box.is_ill
    until = box.poll_timeout()
    assert until is not None
    assert sent(box, until - 0.01) == []
    assert sent(box, until) == [5]  # one, though two are due
    box.failed(until, 5)
    later = box.poll_timeout()
    assert later is not None
    assert later - until == 4.0  # the second pause of three: 2, 4, 8, halved
    assert len(sent(box, later)) == 1
    box.delivered(6)
    assert not box.is_ill
    assert len(sent(box, later)) == MAX_IN_FLIGHT


def test_a_delivery_that_alone_is_refused_does_not_hold_up_the_others() -> None:
    box = outbox()
    box.add(1, "poison", attempts=0, due=0.0)
    for seq in range(2, 9):
        box.add(seq, f"c{seq}", attempts=0, due=0.0)
    arrived, now = set(), 0.0
    while len(box):
        for seq in sent(box, now):
            if seq == 1:
                box.failed(now, 1)
            else:
                box.delivered(seq)
                arrived.add(seq)
        now += 1.0
    assert arrived == set(range(2, 9))
    assert now < 60


def test_the_receiver_may_ask_for_a_pause_but_not_for_ever() -> None:
    box = outbox()
    box.add(1, "a", attempts=0, due=0.0)
    box.add(2, "b", attempts=0, due=0.0)
    assert sent(box, 0.0) == [1, 2]
    box.failed(0.0, 1, retry_after_s=30.0)
    box.failed(0.0, 2, retry_after_s=1e12)
    assert box.poll_timeout() == POLICY.max_s
    assert sent(box, POLICY.max_s - 1) == []


def test_a_pause_that_was_asked_for_stands_though_another_arrives_meanwhile() -> None:
    box = outbox()
    for seq in (1, 2, 3):
        box.add(seq, f"c{seq}", attempts=0, due=0.0)
    assert sent(box, 0.0) == [1, 2, 3]
    box.failed(0.0, 1, retry_after_s=30.0)
    box.delivered(2)
    box.add(4, "c4", attempts=0, due=0.0)
    assert box.poll_timeout() == 30.0
    assert sent(box, 29.9) == []
    assert sent(box, 30.0) == [4, 1]


def test_a_receiver_that_is_well_again_is_not_waited_for() -> None:
    box = outbox()
    for seq in range(1, MAX_IN_FLIGHT + 2):
        box.add(seq, f"c{seq}", attempts=0, due=0.0)
    sent(box, 0.0)
    for seq in range(1, ILL_AFTER + 1):
        box.failed(0.0, seq)
    assert sent(box, 0.5) == []
    box.delivered(MAX_IN_FLIGHT)
    assert sent(box, 0.5) == [MAX_IN_FLIGHT + 1]


def test_what_was_offered_twice_keeps_its_pause() -> None:
    box = outbox()
    box.add(2, "a", attempts=0, due=5.0)
    box.add(1, "a", attempts=0, due=0.0)  # in front of it, while it is offered already
    for seq in range(3, 2 + MAX_IN_FLIGHT):
        box.add(seq, f"c{seq}", attempts=0, due=0.0)
    assert sent(box, 0.0) == [1, *range(3, 2 + MAX_IN_FLIGHT)]
    box.delivered(1)
    assert sent(box, 5.0) == [2]
    box.failed(5.0, 2)
    assert sent(box, 5.0) == []
    assert sent(box, 9.0) == [2]


def test_what_was_tried_before_a_restart_goes_on_where_it_was() -> None:
    box = outbox()
    box.add(1, "a", attempts=POLICY.max_attempts - 1, due=50.0)
    assert box.poll_timeout() == 50.0
    assert sent(box, 49.0) == []
    assert sent(box, 50.0) == [1]
    assert box.failed(50.0, 1).due is None


def test_what_is_no_more_in_the_store_frees_its_channel() -> None:
    box = outbox()
    box.add(1, "a", attempts=0, due=0.0)
    box.add(2, "a", attempts=0, due=0.0)
    assert sent(box, 0.0) == [1]
    box.gone(1)
    assert sent(box, 0.0) == [2]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_each_channel_is_served_in_order_and_everything_ends(seed: int) -> None:
    dice = random.Random(seed)
    box = Outbox(RetryPolicy(max_attempts=3), dice.random)
    waiting: dict[str, list[int]] = defaultdict(list)
    for seq in range(1, 200):
        channel = f"c{dice.randrange(12)}"
        waiting[channel].append(seq)
        box.add(seq, channel, attempts=0, due=dice.random() * 5)
    of = {seq: channel for channel, seqs in waiting.items() for seq in seqs}
    now, under_way, rounds = 0.0, list[int](), 0
    while len(box):
        rounds += 1
        assert rounds < 20_000
        due = box.poll_timeout()
        if due is not None:
            now = max(now, due)
        for seq in sent(box, now):
            assert seq == waiting[of[seq]][0]  # the oldest of its channel
            under_way.append(seq)
        assert len(under_way) == box.in_flight <= MAX_IN_FLIGHT
        assert under_way
        seq = under_way.pop(dice.randrange(len(under_way)))
        if dice.random() < 0.5:
            box.delivered(seq)
        elif box.failed(now, seq).due is not None:
            continue
        waiting[of[seq]].remove(seq)
    assert not any(waiting.values())
    assert ILL_AFTER > 1

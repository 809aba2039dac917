"""The route machine: wanted and actual, one dial at a time, pauses by cause, idle close."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streamhub.router.policy import RouterSettings, retry_delay_s
from streamhub.router.route import Action, Route, RouteState

SETTINGS = RouterSettings()


def a_route() -> Route:
    return Route(SETTINGS, lambda: 0.0)


def actions(route: Route) -> list[Action]:
    taken = []
    while (action := route.poll_action()) is not None:
        taken.append(action)
    return taken


def test_many_who_want_it_are_one_dial() -> None:
    route = a_route()
    for viewer in range(50):
        route.acquire(0.0, f"view-{viewer}")
    assert actions(route) == [Action.DIAL]
    route.source_live(0.4)
    route.acquire(1.0, "late")
    assert actions(route) == []
    assert route.state is RouteState.LIVE


def test_it_is_held_while_watched_and_closed_after_the_idle_time() -> None:
    route = a_route()
    route.acquire(0.0, "a")
    route.source_live(0.5)
    route.release(100.0, "a")
    assert route.poll_timeout() == 100.0 + SETTINGS.idle_close_s
    route.acquire(105.0, "b")
    assert route.poll_timeout() is None
    route.release(106.0, "b")
    route.handle_timeout(115.9)
    assert actions(route) == [Action.DIAL]
    route.handle_timeout(116.0)
    assert actions(route) == [Action.HANG_UP]
    assert route.forgettable


def test_the_same_lease_twice_is_one_and_an_unknown_release_is_nothing() -> None:
    route = a_route()
    route.acquire(0.0, "a")
    route.acquire(0.0, "a")
    route.release(1.0, "never seen")
    assert route.leases == {"a"}
    route.release(1.0, "a")
    assert not route.wanted


def test_the_pause_doubles_to_its_maximum_and_starts_again_after_a_stable_time() -> None:
    route = a_route()
    route.acquire(0.0, "a")
    now, pauses = 0.0, []
    for _ in range(7):
        route.source_lost(now, "closed_by_peer", True, "")
        due = route.poll_timeout()
        assert due is not None
        pauses.append(due - now)
        now = due
        route.handle_timeout(now)
    assert pauses == [2, 4, 8, 16, 30, 30, 30]
    route.source_live(now)
    route.source_lost(now + SETTINGS.stable_after_s, "closed_by_peer", True, "")
    assert route.retry_in_s(now + SETTINGS.stable_after_s) == 2


@pytest.mark.parametrize(
    ("cause", "retryable", "failures", "expected_s"),
    [
        ("auth_failed", False, 1, 60),
        ("auth_failed", False, 9, 600),
        ("busy", True, 3, 10),
        ("not_found", False, 5, 60),
        ("stalled", True, 1, 2),
        ("stalled", True, 10_000, 30),
    ],
)
def test_the_pause_follows_the_cause(
    cause: str, retryable: bool, failures: int, expected_s: float
) -> None:
    delay = retry_delay_s(SETTINGS, cause=cause, retryable=retryable, failures=failures, jitter=0.0)
    assert delay == expected_s
    jittered = retry_delay_s(
        SETTINGS, cause=cause, retryable=retryable, failures=failures, jitter=0.999
    )
    assert expected_s < jittered < expected_s * 1.2


def test_wrong_passwords_are_counted_apart_from_other_losses() -> None:
    route = a_route()
    route.acquire(0.0, "a")
    now, pauses = 0.0, []
    for cause in ("closed_by_peer", "connect_refused", "auth_failed", "stalled", "auth_failed"):
        route.source_lost(now, cause, cause != "auth_failed", "")
        pauses.append(route.retry_in_s(now))
        now = route.poll_timeout() or 0.0
        route.handle_timeout(now)
    assert pauses == [2, 4, 60, 16, 120]
    route.source_live(now)
    route.source_lost(now + 1, "auth_failed", False, "")
    assert route.retry_in_s(now + 1) == 60


def test_a_viewer_that_comes_back_does_not_shorten_the_pause() -> None:
    route = a_route()
    route.acquire(0.0, "a")
    route.source_lost(0.1, "auth_failed", False, "")
    actions(route)
    for second in range(1, 50):
        route.release(float(second), "a")
        route.handle_timeout(float(second))
        route.acquire(float(second), "a")
    assert actions(route) == []
    assert route.retry_in_s(50.1) == pytest.approx(10.0)


def test_a_pause_that_nobody_waits_for_ends_in_idle() -> None:
    route = a_route()
    route.acquire(0.0, "a")
    route.source_lost(0.1, "stalled", True, "")
    route.release(0.2, "a")
    actions(route)
    route.handle_timeout(3.0)
    assert (route.state, actions(route)) == (RouteState.IDLE, [Action.HANG_UP])


def test_a_dial_that_never_reports_is_hung_up_and_tried_again() -> None:
    route = a_route()
    route.acquire(0.0, "a")
    actions(route)
    route.handle_timeout(SETTINGS.open_timeout_s)
    assert actions(route) == [Action.HANG_UP]
    assert (route.state, route.cause) == (RouteState.BACKOFF, "open_timeout")


def test_a_changed_address_is_tried_at_once() -> None:
    route = a_route()
    route.acquire(0.0, "a")
    route.source_lost(0.1, "auth_failed", False, "")
    actions(route)
    route.address_changed(1.0)
    assert (route.state, actions(route)) == (RouteState.OPENING, [Action.DIAL])
    route.source_live(1.5)
    route.address_changed(2.0)
    assert (route.state, actions(route)) == (RouteState.OPENING, [Action.DIAL])


def test_a_source_that_nobody_wants_is_hung_up() -> None:
    route = a_route()
    route.source_live(0.0)
    assert actions(route) == [Action.HANG_UP]


def test_a_still_lets_go_sooner_than_a_viewer() -> None:
    route = a_route()
    route.acquire(0.0, "still")
    route.source_live(0.1)
    route.release(1.0, "still", linger_s=2.0)
    assert route.poll_timeout() == 3.0


class RouteInAnyOrder(RuleBasedStateMachine):
    """Any order of commands, events and time, against a camera that may do anything.

    The core here is honest but late: its events wait in a queue and are heard in order, also
    those of a dial that was hung up or replaced meanwhile.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.route = Route(SETTINGS, lambda: 0.5)
        self.wanted: set[str] = set()
        self.pulling = False
        self.reported_live = False
        self.events: deque[str] = deque()
        self.misled = False  # it heard of the loss of an earlier dial
        self.changed = False
        self.unwanted_since: float | None = 0.0

    def settle(self) -> None:
        while (action := self.route.poll_action()) is not None:
            if action is Action.DIAL:
                assert self.wanted, "dialled for nobody"
                assert not self.pulling or self.changed or self.misled, "dialled twice"
                self.pulling, self.reported_live = True, False
                self.misled = False
                self.make_stale()
            else:
                self.pulling = False
                self.make_stale()
        self.changed = False
        if self.wanted:
            self.unwanted_since = None
        elif self.unwanted_since is None:
            self.unwanted_since = self.now

    def make_stale(self) -> None:
        self.events = deque(f"{event.removesuffix(' before')} before" for event in self.events)

    @rule(lease=st.sampled_from("abcd"))
    def acquire(self, lease: str) -> None:
        self.wanted.add(lease)
        self.route.acquire(self.now, lease)
        self.settle()

    @rule(lease=st.sampled_from("abcd"))
    def release(self, lease: str) -> None:
        self.wanted.discard(lease)
        self.route.release(self.now, lease)
        self.settle()

    @precondition(lambda self: self.pulling and not self.reported_live)
    @rule()
    def the_camera_delivers(self) -> None:
        self.reported_live = True
        self.events.append("live")

    @precondition(lambda self: self.pulling)
    @rule()
    def the_camera_is_lost(self) -> None:
        self.pulling = False
        self.events.append("lost")

    @precondition(lambda self: self.events)
    @rule(cause=st.sampled_from(["auth_failed", "busy", "stalled", "not_found"]))
    def an_event_is_heard(self, cause: str) -> None:
        event = self.events.popleft()
        if event.startswith("live"):
            self.route.source_live(self.now)
        else:
            self.misled = self.pulling
            self.route.source_lost(self.now, cause, cause in ("busy", "stalled"), "")
        self.settle()

    @rule()
    def the_address_changes(self) -> None:
        self.changed = True
        self.route.address_changed(self.now)
        self.settle()

    @rule(seconds=st.sampled_from([0.0, 0.001, 1.0, 5.0, 11.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        end = self.now + seconds
        for _ in range(1000):
            due = self.route.poll_timeout()
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            self.route.handle_timeout(self.now)
            self.settle()
        else:
            raise AssertionError("timeouts without an end")
        self.now = end
        self.route.handle_timeout(self.now)
        self.settle()

    @invariant()
    def no_lease_is_leaked_or_invented(self) -> None:
        assert self.route.leases == self.wanted

    @invariant()
    def who_waits_has_a_time_to_wait_for(self) -> None:
        if self.wanted:
            assert self.route.state is not RouteState.IDLE
        if self.route.state in (RouteState.OPENING, RouteState.BACKOFF):
            assert self.route.poll_timeout() is not None

    @invariant()
    def unwanted_is_closed_after_the_idle_time(self) -> None:
        if self.unwanted_since is None or self.route.state is RouteState.BACKOFF:
            return
        if self.now >= self.unwanted_since + SETTINGS.idle_close_s + 60.0:
            assert self.route.state is RouteState.IDLE
            assert not self.pulling or self.events, "nobody wants it, and it is still pulled"

    def teardown(self) -> None:
        """Everybody goes home: however it stood, nothing is pulled in the end."""
        for lease in list(self.wanted):
            self.release(lease)
        while self.events:
            self.an_event_is_heard("stalled")
        self.time_passes(1000.0)
        assert self.route.forgettable
        assert not self.pulling


TestRouteInAnyOrder = RouteInAnyOrder.TestCase
TestRouteInAnyOrder.settings = hypothesis_settings(
    max_examples=150, stateful_step_count=40, deadline=None
)

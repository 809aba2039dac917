"""When a channel counts as online or offline, on a virtual clock."""

from __future__ import annotations

from streamhub.events.presence import Debounce, Presence, Telling
from streamhub.router import RouteView
from streamhub.router.route import RouteState

LIVE, LOST, OPENING, IDLE = (
    RouteState.LIVE,
    RouteState.BACKOFF,
    RouteState.OPENING,
    RouteState.IDLE,
)


class Jar:
    def __init__(self) -> None:
        self.now = 0.0
        self.presence = Presence(Debounce(online_s=2.0, offline_s=10.0))

    def route(self, state: RouteState, cause: str | None = None, profile: str = "main") -> None:
        view = RouteView(f"ch_1/{profile}", state, cause, "", None, 1, False, ())
        self.presence.route_changed(self.now, view)

    def look(self, *, online: bool, cause: str | None = None) -> None:
        self.presence.looked_at("ch_1", online=online, cause=cause)

    def after(self, seconds: float) -> list[Telling]:
        """What is told in the time that passes."""
        told: list[Telling] = []
        end = self.now + seconds
        while True:
            due = self.presence.poll_timeout()
            self.now = end if due is None or due > end else due
            self.presence.handle_timeout(self.now)
            while (telling := self.presence.poll()) is not None:
                told.append(telling)
            if due is None or due > end:
                return told


ONLINE = Telling("ch_1", True, None)


def offline(cause: str) -> Telling:
    return Telling("ch_1", False, cause)


def test_a_camera_that_stays_is_online_once() -> None:
    jar = Jar()
    jar.route(OPENING)
    assert jar.after(60) == []  # being dialled for the first time is no state
    jar.route(LIVE)
    assert jar.after(1.9) == []
    assert jar.after(0.1) == [ONLINE]
    jar.route(LIVE)
    assert jar.after(60) == []


def test_a_hiccup_is_not_told_a_loss_is() -> None:
    jar = Jar()
    jar.route(LIVE)
    assert jar.after(2) == [ONLINE]
    jar.route(LOST, "timeout")
    assert jar.after(9) == []
    jar.route(LIVE)
    assert jar.after(60) == []
    jar.route(LOST, "timeout")
    jar.after(2)
    jar.route(OPENING, "timeout")  # dialled again: still lost
    jar.after(2)
    jar.route(LOST, "connect_failed")
    assert jar.after(6) == [offline("connect_failed")]
    jar.route(LIVE)
    assert jar.after(1) == []
    jar.route(LOST, "eof")  # it came back for a second only
    assert jar.after(60) == []


def test_one_live_stream_is_enough() -> None:
    jar = Jar()
    jar.route(LOST, "not_found", "main")
    jar.route(LIVE, None, "sub")
    assert jar.after(60) == [ONLINE]
    jar.route(LOST, "eof", "sub")
    assert jar.after(60) == [offline("not_found")]


def test_a_channel_that_nobody_pulls_has_no_state_and_keeps_what_was_told() -> None:
    jar = Jar()
    jar.route(LIVE)
    assert jar.after(2) == [ONLINE]
    jar.route(IDLE)
    assert jar.after(1000) == []
    jar.route(LIVE)
    assert jar.after(1000) == []
    jar.route(LOST, "eof")
    jar.after(5)
    jar.route(IDLE)  # given up before it was told
    assert jar.after(1000) == []
    assert jar.presence.poll_timeout() is None


def test_an_inspection_tells_of_a_channel_that_nobody_pulls() -> None:
    jar = Jar()
    jar.look(online=False, cause="connect_timeout")
    jar.look(online=False, cause="connect_refused")
    assert jar.after(60) == [offline("connect_timeout")], "once, and without waiting"
    jar.look(online=True)
    assert jar.after(0) == [ONLINE]
    jar.route(LOST, "read_timeout")
    assert jar.after(10) == [offline("read_timeout")], "after what an inspection told"


def test_of_a_channel_that_is_pulled_its_routes_tell() -> None:
    jar = Jar()
    jar.route(LIVE)
    jar.look(online=False, cause="connect_timeout")
    assert jar.after(60) == [ONLINE]


def test_a_channel_that_is_gone_is_forgotten_with_what_was_about_to_be_told() -> None:
    jar = Jar()
    jar.route(LIVE)
    jar.presence.keep({"ch_2": None})
    assert jar.after(60) == []
    jar.route(LIVE)
    assert jar.after(2) == [ONLINE]

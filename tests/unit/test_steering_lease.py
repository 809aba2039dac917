"""One person at a time on a camera, on a virtual clock."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_registry.domain import Area, AreaKind, Channel, DeviceClass
from streamhub.access.facts import Facts, StaticFacts
from streamhub.access.guard import Guard
from streamhub.access.permit import Permit
from streamhub.access.principal import Action, Principal, channel
from streamhub.steering.lease import IDLE_S, Held, Leases

AREA = Area("ar_1", None, AreaKind.DISTRICT, "110112", "通州区")
DOME = Channel("ch_1", "de_1", "ar_1", "1" * 20, "路口", DeviceClass.ALLEY, "rtsp://x/1", None)
GUARD = Guard(
    StaticFacts(Facts.build(areas=[AREA], channels=[DOME])), now=lambda: datetime.now(UTC)
)
OPERATOR, MANAGER = 1, 2


def permit(name: str, remote: str = "192.0.2.1") -> Permit:
    """The local operator's right, under any name: whose it is matters here, not whether."""
    who = Principal(name, name, remote, "local", 0)
    return GUARD.require(who, Action.PTZ, channel("ch_1"))


ANNE, BO = permit("anne"), permit("bo")


def test_it_is_free_again_when_its_holder_does_nothing() -> None:
    leases = Leases()
    assert leases.take(0.0, ANNE, OPERATOR, take_over=False) is None
    assert leases.take(IDLE_S - 1, ANNE, OPERATOR, take_over=False) is None
    with pytest.raises(Held) as held:
        leases.take(2 * IDLE_S - 2, BO, OPERATOR, take_over=False)
    assert held.value.lease.until == 2 * IDLE_S - 1
    assert leases.take(2 * IDLE_S - 1, BO, OPERATOR, take_over=False) is None


def test_only_a_higher_rank_that_says_so_takes_over() -> None:
    leases = Leases()
    leases.take(0.0, ANNE, OPERATOR, take_over=False)
    for rank, take_over in ((OPERATOR, True), (MANAGER, False)):
        with pytest.raises(Held):
            leases.take(1.0, BO, rank, take_over=take_over)
    taken = leases.take(1.0, BO, MANAGER, take_over=True)
    assert taken is not None
    assert taken.permit is ANNE
    with pytest.raises(Held):
        leases.take(1.0, ANNE, MANAGER, take_over=True)


def test_one_account_at_two_desks_is_two_people() -> None:
    leases = Leases()
    leases.take(0.0, ANNE, OPERATOR, take_over=False)
    with pytest.raises(Held):
        leases.refuse_others(0.0, permit("anne", "192.0.2.2"))
    leases.refuse_others(0.0, permit("anne"))


ACTS = st.lists(
    st.tuples(
        st.floats(0.0, 2 * IDLE_S),
        st.sampled_from([ANNE, BO, permit("anne", "192.0.2.2")]),
        st.sampled_from([OPERATOR, MANAGER]),
        st.booleans(),
        st.booleans(),
    ),
    max_size=30,
)


@given(ACTS)
def test_whoever_acts_has_it_alone_until_it_is_idle_released_or_taken_over(
    acts: list[tuple[float, Permit, int, bool, bool]],
) -> None:
    leases, now = Leases(), 0.0
    holder: tuple[Permit, int, float] | None = None
    for wait_s, who, rank, take_over, releases in acts:
        now += wait_s
        if holder is not None and holder[2] <= now:
            holder = None
        mine = holder is None or holder[0].principal == who.principal
        if mine or (holder is not None and take_over and rank > holder[1]):
            leases.take(now, who, rank, take_over=take_over)
            holder = (who, rank, now + IDLE_S)
        else:
            with pytest.raises(Held):
                leases.take(now, who, rank, take_over=take_over)
        if releases and holder is not None and holder[0] is who:
            leases.release("ch_1")
            holder = None
        assert [lease.permit for _, lease in leases.all(now)] == ([holder[0]] if holder else [])

"""Changes by those who still may: the right is looked at in memory, then the change waits for the
writer, and a revocation may be written before it."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

from camera_registry.domain import Actor
from camera_registry.errors import RightsChanged
from streamhub.access.principal import Principal

from .services import Services

# After the first; rights that go on changing are answered 409.
RETRIES: Final = 3

T = TypeVar("T")


async def by_newest_rights(
    services: Services, who: Principal, change: Callable[[Actor], Awaitable[T]]
) -> T:
    """Calls `change`, which asks the guard and then writes in the name of the actor it is given;
    again, where rights have changed before it could write. Raises RightsChanged when that goes
    on, with nothing done."""

    async def once() -> T:
        return await change(who.actor(known_seq=services.facts.current.version))

    with suppress(RightsChanged):
        return await once()
    # One at a time: many that wait together, each a change of rights, would refuse one another.
    async with services.deciding:
        for _ in range(RETRIES - 1):
            with suppress(RightsChanged):
                return await once()
        return await once()

"""Changes by those who still may: the right is looked at in memory, then the change waits for the
writer, and a revocation may be written before it."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

from camera_registry.domain import Actor
from camera_registry.errors import RightsChanged
from streamhub.access.principal import Principal

from .services import Services

# Rights that go on changing by other ways are answered 409.
TRIES: Final = 4

T = TypeVar("T")


async def by_newest_rights(
    services: Services, who: Principal, change: Callable[[Actor], Awaitable[T]]
) -> T:
    """Calls `change`, which asks the guard and then writes in the name of the actor it is given;
    again, where rights have changed before it could write. Raises RightsChanged when that goes
    on, with nothing done."""
    # One at a time: each is a change of rights, and those beside one another would refuse the rest.
    async with services.deciding:
        for _ in range(TRIES - 1):
            with suppress(RightsChanged):
                return await change(who.actor(known_seq=services.facts.current.version))
        return await change(who.actor(known_seq=services.facts.current.version))

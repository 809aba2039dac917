"""Changes by those who still may: the right is looked at in memory, then the change waits for the
writer, and a revocation may be written before it. Then the whole request begins anew."""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute

from camera_registry.errors import RightsChanged

from .rights import SAFE_METHODS, TRY_SCOPE, Try
from .services import Services, services_of

# Rights that go on changing by other ways are answered 409.
TRIES: Final = 4
# Decided any earlier, it would be by the rights of before. After an import all is read anew: 3 s of
# a processor for 100,000 cameras.
CATCH_UP_MS: Final = 10_000

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class ByNewestRights(APIRoute):
    """A route that changes something: by the rights as they are when that is written.

    Who asks, what they may and what follows from it are found out by the handler and what it
    depends on. Where rights have changed before it could write in the name of `Principal.actor`,
    nothing was written, and all of that is done again; a handler writes once, and does nothing
    before that it could not do twice. Raises RightsChanged when that goes on.
    """

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        if SAFE_METHODS.issuperset(self.methods or ()):
            return handle

        async def by_newest_rights(request: Request) -> Response:
            services = await services_of(request)
            # Nothing is held meanwhile: a body may be long in coming, a password in hashing.
            with suppress(RightsChanged):
                return await _try(handle, request, services, services.deciding.locked)
            # One at a time, and before all others: of many at once each would refuse the rest.
            async with services.deciding:
                for _ in range(TRIES - 2):
                    with suppress(RightsChanged):
                        return await _again(handle, request, services)
                return await _again(handle, request, services)

        return by_newest_rights


async def _again(handle: Handler, request: Request, services: Services) -> Response:
    await services.feed.wait_caught_up(await services.store.latest_change_seq(), CATCH_UP_MS)
    return await _try(handle, request, services, lambda: False)


async def _try(
    handle: Handler, request: Request, services: Services, gives_way: Callable[[], bool]
) -> Response:
    request.scope[TRY_SCOPE] = Try(services.facts.current.version, gives_way)
    return await handle(request)

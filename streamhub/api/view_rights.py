"""The right to a live view: one's own, or of a channel one manages. Else it is not there."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends

from streamhub.access.errors import Forbidden, NotVisible
from streamhub.access.principal import Action, Principal, channel
from streamhub.delivery import View

from .rights import Who, declares
from .services import Provided, Services


@dataclass(frozen=True, slots=True)
class ViewAccess:
    """A view the principal may see and end."""

    principal: Principal
    view: View

    @property
    def is_own(self) -> bool:
        return _is_own(self.principal, self.view)


def _is_own(who: Principal, view: View) -> bool:
    """With an API key, the views that were opened with it."""
    if who.via == "key" and view.permit.principal.credential_id != who.credential_id:
        return False
    return view.subject_id == who.subject_id


def may_see(services: Services, who: Principal, view: View) -> bool:
    """One's own views, and those on channels one manages."""
    if _is_own(who, view):
        return True
    return services.guard.allows(who, Action.MANAGE, channel(view.channel_id))


@declares("own view, or manage on its channel")
async def _view_in_path(
    services: Provided, who: Who, view_id: str, channel_id: str | None = None
) -> ViewAccess:
    view = services.doors().views.get(view_id)
    # The Location names both ids: they must belong together.
    elsewhere = view is not None and channel_id is not None and view.channel_id != channel_id
    if view is None or elsewhere or not may_see(services, who, view):
        raise NotVisible("There is no such view, or it has ended.")
    return ViewAccess(who, view)


@declares("own view")
async def _own_view_in_path(services: Provided, who: Who, view_id: str) -> View:
    access: ViewAccess = await _view_in_path(services, who, view_id)
    if not access.is_own:
        raise Forbidden("Only who watches may change what is shown.")
    return access.view


view_in_path: Any = Depends(_view_in_path)

ThisView = Annotated[ViewAccess, view_in_path]
OwnView = Annotated[View, Depends(_own_view_in_path)]

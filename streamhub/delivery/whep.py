"""The WHEP door: from a permit and an offer to a view and an answer, at once.

draft-ietf-wish-whep; HTTP itself is the api's. The camera is dialled while the browser does ICE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamhub.delivery.errors import UnknownProfile
from streamhub.delivery.view import Opened

if TYPE_CHECKING:
    from streamhub.access.facts import FactsSource
    from streamhub.access.permit import Permit
    from streamhub.delivery.view_log import ViewLog
    from streamhub.delivery.views import LiveViews


def check_permit(permit: Permit, action: str, facts: FactsSource, profile: str) -> None:
    """A door takes only a permit for itself. `ValueError` is a bug of the caller.

    Raises `UnknownProfile` when the channel is gone or has no such stream profile.
    """
    if permit.action != action:
        raise ValueError(f"the permit is for {permit.action}, not for {action}")
    channel = facts.current.channel(permit.channel_id)
    if channel is None or profile not in channel.profiles:
        raise UnknownProfile(permit.channel_id, profile)


class WhepDoor:
    """Opens live views."""

    def __init__(self, views: LiveViews, view_log: ViewLog, facts: FactsSource) -> None:
        self._views = views
        self._view_log = view_log
        self._facts = facts

    async def open(self, permit: Permit, offer_sdp: str, profile: str = "sub") -> Opened:
        """Open a view. Raises `MalformedOffer`, `NoCommonCodec`, `OverCapacity`,
        `UnknownProfile`, `UnknownView` (the right ended meanwhile), `AuditUnavailable`,
        `ShuttingDown`.
        """
        check_permit(permit, "live", self._facts, profile)
        return await self._views.open(permit, offer_sdp, profile, written=self._view_log.started)

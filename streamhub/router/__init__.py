"""Which stream should be live, and where.

Belongs here: the sans-IO `Route` machine, the supervisor that reconciles what is wanted with what
the core reports, retry policy per cause, placement. Does not belong here: who may (access), what
a viewer is (delivery), packets. May be called by: `delivery`, and `app` to build it.
"""

from streamhub.router.placement import LocalPlacement
from streamhub.router.policy import RouterSettings
from streamhub.router.supervisor import AddressBook, Router, RouteView, StreamAddress

__all__ = [
    "AddressBook",
    "LocalPlacement",
    "RouteView",
    "Router",
    "RouterSettings",
    "StreamAddress",
]

"""The doors out: live views over WHEP and RTSP, and stills.

Belongs here: what is open right now, for whom, until when, in which state; its trace of steps; its
audit rows. Does not belong here: who may (access decides), when a camera is dialled again
(router), HTTP (api). May be called by: `api`, and `app` to build it.
"""

from streamhub.delivery.service import Delivery
from streamhub.delivery.settings import DeliverySettings
from streamhub.delivery.view import Opened, View, ViewEvent

__all__ = ["Delivery", "DeliverySettings", "Opened", "View", "ViewEvent"]

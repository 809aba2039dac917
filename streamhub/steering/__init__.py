"""Who steers a camera, and the steering itself.

Belongs here: one person at a time on a camera, the stop when they fall silent or may no longer,
the audit rows, which camera heads are open. Does not belong here: how a camera is told
(`gateways.onvif`), who may (access), HTTP. May be called by: `api`, and `app` to build it.
"""

from streamhub.steering.errors import SteeringError
from streamhub.steering.service import Steered, Steering

__all__ = ["Steered", "Steering", "SteeringError"]

"""Finds cameras in networks, asks them what they are, and hands them over to an import.

Belongs here: sweeps as jobs that survive a restart, and what was found as rows of a file. Does not
belong here: how a device is asked (`gateways.onvif`), the registry's rules (`camera_registry`),
HTTP. May be called by: `app`, and through it `api`.
"""

from streamhub.discovery.service import Discovery
from streamhub.discovery.settings import SweepOrder

__all__ = ["Discovery", "SweepOrder"]

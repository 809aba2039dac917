"""Inspections: many cameras looked at one after the other, at a pace that suits them.

Belongs here: the pace (`pace`, sans-IO), the runner that has cameras looked at and keeps what was
found (`runner`). Does not belong here: the dialogue and the measuring (`gateways.rtsp`, in
processes of its own), the rules and the cards (`camera_registry.inspection`), who may (access).
May be called by: `api`, and `app` to build it. May import: `gateways`, `camera_registry`.
"""

from streamhub.inspection.pace import Pace, PaceSettings
from streamhub.inspection.runner import Inspector, Tools

__all__ = ["Inspector", "Pace", "PaceSettings", "Tools"]

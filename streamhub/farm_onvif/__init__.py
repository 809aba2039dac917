"""Room sign: simulated ONVIF devices, thousands in one process; the other half of the farm.

Belongs here: what a camera or an NVR answers to SOAP over HTTP and to WS-Discovery, its clock,
lock-out, PTZ head and events, and the faults it can have. Does not: pictures by RTSP (`core/farm`)
and anything that asks devices: the farm judges our client, so it shares no code with `gateways`.
May be called by: `cli` and tests. Described for its users in docs/farm.md.

The brains are sans-IO: `front.answer(device, request, now)`; `server` has the sockets.
Times called `now` are Unix seconds of the host; a device's own clock may differ.
"""

from __future__ import annotations

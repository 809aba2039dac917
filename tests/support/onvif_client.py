"""A client by hand for the simulated ONVIF devices, and devices made for a test.

It shares nothing with the farm nor with our gateway: requests are text, tokens are made from the
words of the profile.
"""

from __future__ import annotations

import hashlib
import os
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from camera_registry.secret import Secret
from streamhub.farm_onvif import front
from streamhub.farm_onvif.auth import Credentials
from streamhub.farm_onvif.device import Device
from streamhub.farm_onvif.http_message import Answer, HttpRequest
from streamhub.farm_onvif.plan import OnvifOptions, build
from streamhub.farm_onvif.server import OnvifServer

USER, PASSWORD = "admin", "p@ss<w>&rd"
NOW = 1_790_000_000.0
STILLS = (b"\xff\xd8scene0", b"\xff\xd8scene1", b"\xff\xd8scene2", b"\xff\xd8scene3")

OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
NAMESPACES = {
    "tds": "http://www.onvif.org/ver10/device/wsdl",
    "trt": "http://www.onvif.org/ver10/media/wsdl",
    "tr2": "http://www.onvif.org/ver20/media/wsdl",
    "tptz": "http://www.onvif.org/ver20/ptz/wsdl",
    "tev": "http://www.onvif.org/ver10/events/wsdl",
    "tt": "http://www.onvif.org/ver10/schema",
    "wsnt": "http://docs.oasis-open.org/wsn/b-2",
}
PATHS = {"tds": "device_service", "trt": "media", "tr2": "media2", "tptz": "ptz"}
PATHS |= {"tev": "events", "wsnt": "events"}


def token(
    at: float, username: str = USER, password: str = PASSWORD, nonce: bytes | None = None
) -> str:
    """A `wsse:Security` header made at a time, Unix seconds."""
    nonce = nonce or os.urandom(16)
    created = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = b64encode(hashlib.sha1(nonce + created.encode() + password.encode()).digest())
    return (
        f'<w:Security xmlns:w="{OASIS}-wssecurity-secext-1.0.xsd" '
        f'xmlns:u="{OASIS}-wssecurity-utility-1.0.xsd"><w:UsernameToken>'
        f"<w:Username>{username}</w:Username>"
        f'<w:Password Type="{OASIS}-username-token-profile-1.0#PasswordDigest">{digest.decode()}'
        f"</w:Password><w:Nonce>{b64encode(nonce).decode()}</w:Nonce>"
        f"<u:Created>{created}</u:Created></w:UsernameToken></w:Security>"
    )


def request(body: str, security: str = "") -> bytes:
    """An envelope around an operation; the prefixes of `NAMESPACES` are declared."""
    declared = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
    return (
        f'<?xml version="1.0"?><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" '
        f"{declared}><e:Header>{security}</e:Header><e:Body>{body}</e:Body></e:Envelope>"
    ).encode()


def path_of(operation: str) -> str:
    """The path of the service that `<prefix:Operation` belongs to."""
    prefix = re.match(r"<(\w+):", operation)
    assert prefix is not None
    return f"/onvif/{PATHS[prefix[1]]}"


def devices(network: str = "127.77.0.0/24", **options: Any) -> list[Device]:
    """Devices with one user, unless told otherwise."""
    options.setdefault("credentials", (Credentials(USER, Secret(PASSWORD)),))
    return build(OnvifOptions(network, **options))


def device(number: int = 1, **options: Any) -> Device:
    return devices(devices=number, **options)[number - 1]


def post(asked: Device, body: bytes, *, path: str, now: float = NOW, **headers: str) -> Answer:
    """One HTTP request to a device in memory; a pull that waits is no answer here."""
    given = HttpRequest("POST", path, headers, body)
    answer = front.answer(asked, given, now, STILLS)
    assert isinstance(answer, Answer)
    return answer


def call(asked: Device, operation: str, *, now: float = NOW, path: str | None = None) -> Answer:
    """An operation, signed at the device's own time."""
    body = request(operation, token(asked.clock(now)))
    return post(asked, body, path=path or path_of(operation), now=now)


def text_of(answer: Answer | bytes, name: str) -> str:
    """The text of the only element of this qualified name."""
    body = answer.body if isinstance(answer, Answer) else answer
    [found] = re.findall(rf"<{name}(?: [^>]*)?>([^<]*)</{name}>", body.decode())
    return str(found)


@asynccontextmanager
async def serving(served: Sequence[Device], **given: Any) -> AsyncIterator[OnvifServer]:
    """The devices on their sockets."""
    server = OnvifServer(served, STILLS, **given)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()

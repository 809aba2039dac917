"""An ONVIF device in the test's own loop: signs people on as it is told, and answers from shapes.

Each field is one way to be difficult. Small on purpose: what firmwares say stands in
`onvif_shapes`.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gateways.onvif.sign_on import password_digest
from support import onvif_shapes as shapes

PASSWORD = "p@ss<w>/ord"
# What a device tells everybody (ONVIF Core section 5.11.1, access class PRE_AUTH).
OPEN = {"GetSystemDateAndTime", "GetServices", "GetCapabilities"}
Answer = tuple[int, bytes] | bytes


@dataclass(frozen=True)
class Request:
    """As it came. `operation`: the local name of the body's first element."""

    path: str
    operation: str
    headers: dict[str, str]
    text: str

    def value(self, name: str) -> str:
        """The text of the first element with this local name."""
        found = re.search(rf"<(?:\w+:)?{name}(?: [^>]*)?>([^<]*)<", self.text)
        return found[1] if found else ""


@dataclass
class OnvifDevice:
    """`wants`: "nothing", "token", "digest" or "both". `answers`: operation -> what it says, or a
    function of the request; given ones go before the usual ones."""

    wants: str = "token"
    username: str = "admin"
    password: str = PASSWORD
    clock_offset: timedelta = timedelta(0)
    clock_tolerance: timedelta = timedelta(seconds=5)
    nonce_per_request: bool = False
    refuses_with: int = 400
    locks_after: int = 5
    claims_to_be_at: str = "192.168.1.64"
    service_names: tuple[str, ...] = ("media", "media2", "ptz", "events")
    answers: dict[str, Answer | Callable[[Request], Answer | Awaitable[Answer]]] = field(
        default_factory=dict
    )
    raw: bytes | None = None  # sent as it is, instead of HTTP
    drips: bool = False  # after `raw`, a byte now and then, for ever
    requests: list[Request] = field(default_factory=list)
    failed_tries: int = 0
    port: int = 0
    _nonces: int = 0
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def operations(self) -> list[str]:
        return [request.operation for request in self.requests]

    def now(self) -> datetime:
        return datetime.now(UTC) + self.clock_offset

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[OnvifDevice]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            await server.wait_closed()

    # --- HTTP -------------------------------------------------------------------------------------

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        # One that is cancelled before its first step closes nothing by itself.
        task.add_done_callback(lambda done: writer.transport.abort() if done.cancelled() else None)
        self._connections.add(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                lines = head.split("\r\n")
                fields = (line.partition(":") for line in lines[1:] if line)
                headers = {name.lower(): value.strip() for name, _, value in fields}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                await self._respond(writer, lines[0].split(" ")[1], headers, body.decode())
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
        except asyncio.CancelledError:
            writer.transport.abort()  # whatever is not sent yet would hold it open
            raise

    async def _respond(
        self, writer: asyncio.StreamWriter, path: str, headers: dict[str, str], text: str
    ) -> None:
        found = re.search(r"<s:Body><(?:\w+:)?(\w+)", text)
        request = Request(path, found[1] if found else "", headers, text)
        self.requests.append(request)
        if self.raw is not None:
            writer.write(self.raw)
            while self.drips:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)
            writer.close()
            return
        extra = ""
        refused = None if request.operation in OPEN else self._refusal(request)
        if refused is not None:
            status, body, extra = refused
        else:
            status, body = await self._answer(request)
        writer.write(
            f"HTTP/1.1 {status} Some Reason\r\nContent-Type: application/soap+xml\r\n{extra}"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await writer.drain()

    # --- who asks ---------------------------------------------------------------------------------

    def _refusal(self, request: Request) -> tuple[int, bytes, str] | None:
        """Status, body and headers, or None if whoever asks may."""
        if self.wants == "nothing":
            return None
        if self.failed_tries >= self.locks_after:
            return 400, shapes.fault("ter:NotAuthorized", "The account is locked"), ""
        if self.wants in ("digest", "both"):
            verdict = self._digest(request)
            if verdict is not True:
                if verdict is False:
                    self.failed_tries += 1
                self._nonces += 1
                challenge = f'Digest realm="cam", nonce="n{self._nonces}", qop="auth"'
                return 401, b"", f"WWW-Authenticate: {challenge}\r\n"
            self._nonces += self.nonce_per_request
        if self.wants in ("token", "both"):
            if not request.value("Username"):
                return self.refuses_with, shapes.NOT_AUTHORIZED, ""
            if not self._token_is_right(request):
                self.failed_tries += 1
                return self.refuses_with, shapes.NOT_AUTHORIZED, ""
        return None

    def _token_is_right(self, request: Request) -> bool:
        created = request.value("Created")
        at = datetime.strptime(created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        if abs(at - self.now()) > self.clock_tolerance:
            return False
        nonce = b64decode(request.value("Nonce"))
        right = password_digest(nonce, created, self.password)
        return (request.value("Username"), request.value("Password")) == (self.username, right)

    def _digest(self, request: Request) -> bool | None:
        """None: nothing that we could judge, so no failed try."""
        pairs = re.findall(r'(\w+)="?([^",]+)', request.headers.get("authorization", ""))
        given = dict(pairs)
        if given.get("nonce") != f"n{self._nonces}":
            return None

        def md5(text: str) -> str:
            return hashlib.md5(text.encode()).hexdigest()

        ha1, ha2 = md5(f"{self.username}:cam:{self.password}"), md5(f"POST:{request.path}")
        middle = f"{given['nonce']}:{given['nc']}:{given['cnonce']}:auth"
        return given["response"] == md5(f"{ha1}:{middle}:{ha2}") and given["uri"] == request.path

    # --- what is asked ----------------------------------------------------------------------------

    async def _answer(self, request: Request) -> tuple[int, bytes]:
        given = self.answers.get(request.operation)
        if given is None:
            given = self._usual(request)
        elif callable(given):
            made = given(request)
            given = await made if isinstance(made, Awaitable) else made
        return given if isinstance(given, tuple) else (200, given)

    def _usual(self, request: Request) -> Answer:
        media2 = request.path.endswith("media2_service")
        where = self.claims_to_be_at
        match request.operation:
            case "GetSystemDateAndTime":
                return shapes.clock(self.now())
            case "GetServices":
                return shapes.services(where, self.service_names)
            case "GetDeviceInformation":
                return shapes.DEVICE_INFORMATION
            case "GetScopes":
                return shapes.envelope("<tds:GetScopesResponse/>")
            case "GetNetworkInterfaces":
                return shapes.NETWORK_INTERFACES
            case "GetProfiles" if media2:
                return shapes.profiles(
                    shapes.profile2("main"),
                    shapes.profile2(
                        "sub", encoder="VideoEncoder_2", encoding="H264", size=(704, 576)
                    ),
                    media2=True,
                )
            case "GetProfiles":
                return shapes.profiles(
                    shapes.profile("main", ptz=True),
                    shapes.profile("sub", encoder="VideoEncoder_2", size=(704, 576)),
                )
            case "GetStreamUri":
                token = request.value("ProfileToken")
                written = f"rtsp://admin:{self.password[:3]}@{where}:554/{token}"
                return shapes.uri("GetStreamUri", written, media2=media2)
            case "GetSnapshotUri":
                written = f"http://{where}/snap/{request.value('ProfileToken')}.jpg"
                return shapes.uri("GetSnapshotUri", written, media2=media2)
            case "GetPresets":
                return shapes.PRESETS
            case "CreatePullPointSubscription":
                return shapes.envelope(shapes.SUBSCRIPTION.format(where=where))
            case "PullMessages":
                return shapes.pulled(shapes.MOTION)
        name = request.operation
        if name in ("ContinuousMove", "AbsoluteMove", "Stop", "GotoPreset", "RemovePreset"):
            return shapes.envelope(f"<tptz:{name}Response/>")
        if name == "SetPreset":
            return shapes.envelope(
                "<tptz:SetPresetResponse><tptz:PresetToken>9</tptz:PresetToken>"
                "</tptz:SetPresetResponse>"
            )
        if name in ("Renew", "Unsubscribe"):
            return shapes.envelope(f"<wsnt:{name}Response/>")
        return 400, shapes.fault("ter:ActionNotSupported", "unknown")

"""One device, asked: signs as the device wants it, and finds the password that serves.

The driver beside `sign_on` and `credentials`: it owns the clock and the transport, and no rule.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from lxml import etree

from gateways.onvif.address import DeviceAddress
from gateways.onvif.clock import GET_CLOCK, ClockReading, read_clock
from gateways.onvif.credentials import CredentialSet, TryLedger
from gateways.onvif.errors import AuthRefused, BadAnswer, Fault, Faulted
from gateways.onvif.services import GET_DEVICE_INFORMATION
from gateways.onvif.sign_on import Next, SignOn
from gateways.onvif.soap import Operation, body_of, envelope
from gateways.onvif.transport import HttpReply, HttpTransport, Timeouts

# An answer up to here is parsed in a few milliseconds; a longer one in a thread, off the loop.
PARSE_INLINE_MAX_BYTES = 64 << 10

UtcNow = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


class DeviceClient:
    """Asks one device, one request at a time; `another()` is for what must not wait.

    Credential sets are tried in order, each at most once, and at most `ledger.max_failed` in all:
    a shared `ledger` makes that hold over clients. After a set has served, no other is tried. What
    its user may not do is asked once.
    """

    def __init__(
        self,
        address: DeviceAddress,
        http: HttpTransport,
        sets: Sequence[CredentialSet] = (),
        *,
        ledger: TryLedger | None = None,
        timeouts: Timeouts | None = None,
        now: UtcNow = utc_now,
    ) -> None:
        # given
        self.address = address
        self._http = http
        self._sets = tuple(sets)
        self._ledger = ledger if ledger is not None else TryLedger()
        self._timeouts = timeouts if timeouts is not None else Timeouts()
        self._now = now
        self._device = address.host
        # owned
        self._sign_on = SignOn(None)
        self._current: CredentialSet | None = None
        self._clock: ClockReading | None = None
        self._clock_known = False
        self._tried: list[str] = []
        self._not_permitted: dict[str, AuthRefused] = {}
        self._busy = asyncio.Lock()

    @property
    def clock(self) -> ClockReading | None:
        """The device's clock when it was last read; None if it could not be."""
        return self._clock

    @property
    def credential_set(self) -> str | None:
        """The name of the set that served; None while the device has asked for no password."""
        return self._current.name if self._current and self._sign_on.served else None

    def another(self) -> DeviceClient:
        """A client for the same device that does not wait for this one, e.g. for a long poll."""
        return DeviceClient(
            self.address,
            self._http,
            self._sets,
            ledger=self._ledger,
            timeouts=self._timeouts,
            now=self._now,
        )

    async def read_clock(self) -> ClockReading | None:
        """Ask the device's clock, without a password. None if it does not say.

        Raises `Unreachable`, `BadAnswer`.
        """
        reading = await self._clock_reading()
        self._clock_known = True
        if reading is not None:
            self._sign_on.clock_offset_s = reading.offset_s
        return reading

    async def ask(
        self,
        url: str,
        request: Operation,
        *,
        header: str = "",
        timeouts: Timeouts | None = None,
    ) -> etree._Element:
        """The response element. `header`: further SOAP headers, as XML.

        Raises `Unreachable`, `BadAnswer`, `Faulted`, `AuthRefused`.
        """
        async with self._busy:
            if (known := self._not_permitted.get(request.action)) is not None:
                raise AuthRefused(known.code, known.detail)
            if not self._clock_known:
                await self.read_clock()
            self._choose()
            self._sign_on.began()
            while True:
                try:
                    return await self._signed(url, request, header, timeouts or self._timeouts)
                except AuthRefused as error:
                    refused = error
                if refused.code == "not_permitted":
                    refused = await self._doubted(request, refused)
                self._try_next(refused)

    # --- inside -----------------------------------------------------------------------------------

    async def _signed(
        self, url: str, request: Operation, header: str, timeouts: Timeouts
    ) -> etree._Element:
        while True:
            answer, reply = await self._exchange(url, request, header, timeouts, signed=True)
            fault = answer if isinstance(answer, Fault) else None
            match self._sign_on.answered(reply.status, reply.challenges, fault):
                case Next.READ_CLOCK:
                    reading = await self._clock_reading()
                    self._sign_on.clock_read(None if reading is None else reading.offset_s)
                case Next.DONE:
                    break
        self._note_served()
        if isinstance(answer, Fault):
            raise Faulted(answer)
        if answer is None:
            code = "not_onvif" if reply.status in (404, 405) else "http_error"
            raise BadAnswer(code, f"HTTP {reply.status}", reply.status)
        return answer

    async def _clock_reading(self) -> ClockReading | None:
        before = self._now()
        answer, _ = await self._exchange(self.address.url, GET_CLOCK, "", self._timeouts)
        middle = before + (self._now() - before) / 2
        self._clock = None
        if answer is not None and not isinstance(answer, Fault):
            self._clock = read_clock(answer, middle)
        return self._clock

    async def _exchange(
        self,
        url: str,
        request: Operation,
        header: str,
        timeouts: Timeouts,
        signed: bool = False,
    ) -> tuple[etree._Element | Fault | None, HttpReply]:
        """One POST. The answer is None where HTTP refused without a SOAP fault."""
        headers = {
            "Content-Type": f'application/soap+xml; charset=utf-8; action="{request.action}"'
        }
        if signed:
            header = self._sign_on.token(self._now()) + header
            parts = urlsplit(url)
            uri = parts.path + (f"?{parts.query}" if parts.query else "")
            if (authorization := self._sign_on.authorization(uri)) is not None:
                headers["Authorization"] = authorization
        reply = await self._http.post(url, envelope(request, header), headers, timeouts)
        if len(reply.body) > PARSE_INLINE_MAX_BYTES:
            return await asyncio.to_thread(read_reply, reply), reply
        return read_reply(reply), reply

    async def _doubted(self, request: Operation, refused: AuthRefused) -> AuthRefused:
        """What has served was refused: does its user lack a right, or was its password changed?

        The first is raised, since it costs no try. The second is a failed try, and must not be
        taken for the first, or everybody who goes on steering brings the account nearer to a lock.
        """
        self._sign_on.served = False
        self._sign_on.began()
        if request == GET_DEVICE_INFORMATION:  # which every user may ask
            return AuthRefused("auth_failed", refused.detail)
        try:
            await self._signed(self.address.url, GET_DEVICE_INFORMATION, "", self._timeouts)
        except AuthRefused as error:
            return error
        except (Faulted, BadAnswer):
            pass
        # Some devices tell everybody who they are; so this action is not asked for again either.
        self._not_permitted[request.action] = refused
        raise refused

    def _choose(self) -> None:
        """A password for the next request: never one that this device has refused."""
        current = self._current
        if current is None or self._ledger.has_failed(self._device, current):
            self._take(self._ledger.next_set(self._device, self._sets))

    def _try_next(self, error: AuthRefused) -> None:
        """Take the next password, or raise: why there is none."""
        if error.code in ("auth_failed", "account_locked") and self._current is not None:
            self._ledger.failed(self._device, self._current)
            self._tried.append(self._current.name)
        if error.code == "account_locked":
            self._ledger.locked(self._device)
        if error.code not in ("auth_failed", "auth_required"):
            raise AuthRefused(error.code, error.detail, tuple(self._tried)) from None
        self._take(self._ledger.next_set(self._device, self._sets))
        if self._current is None:
            code = error.code
            if self._sets:  # each has been refused, perhaps by an earlier call
                code = "tries_spent" if self._ledger.spent(self._device) else "auth_failed"
            raise AuthRefused(code, error.detail, tuple(self._tried)) from None

    def _take(self, one: CredentialSet | None) -> None:
        self._current = one
        self._sign_on.use(None if one is None else one.login)

    def _note_served(self) -> None:
        if self._current is not None and self._sign_on.served:
            self._ledger.served(self._device, self._current)


def read_reply(reply: HttpReply) -> etree._Element | Fault | None:
    """The response element, the fault, or None where HTTP refused without one.

    Faults come with HTTP 400 and 500, or 200 by mistake (SOAP 1.2 part 2 section 7.5.2). Raises
    `BadAnswer` for a success that is no SOAP.
    """
    refused = not 200 <= reply.status < 300
    try:
        answer = body_of(reply.body)
    except BadAnswer as error:
        if refused:
            return None
        start = reply.body[:200].lstrip().lower()
        if "html" in reply.content_type or start.startswith((b"<html", b"<!doctype html")):
            raise BadAnswer("not_onvif", f"HTTP {reply.status} with a web page") from None
        raise BadAnswer(error.code, error.detail, reply.status) from None
    return None if refused and not isinstance(answer, Fault) else answer

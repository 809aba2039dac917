"""A device's front: one HTTP request in, what goes back out; sign-in, dispatch and faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from . import device_service, event_service, media_service, ptz_service
from .auth import Verdict
from .device import PATHS, SNAPSHOT_PATH, Device
from .faults import FaultKind
from .http_message import Answer, HttpRequest
from .operation import Call, Operation, Waiting
from .soap import (
    TDS,
    TEV,
    TPTZ,
    TR2,
    TRT,
    WSNT,
    WSSE,
    Element,
    Fault,
    Malformed,
    escape,
    parse,
)
from .soap import envelope as soap_envelope

# More than the 2 MB that a client should read at most.
HUGE_BYTES = 3 << 20
_MOVED = "/moved"
# Six times ten: a reader that follows them gets a megabyte of text out of 300 bytes.
_DOCTYPE = b"<!DOCTYPE s:Envelope [<!ENTITY e0 'x'>" + b"".join(
    b"<!ENTITY e%d '%s'>" % (level, b"&e%d;" % (level - 1) * 10) for level in range(1, 7)
) + b"]>"  # fmt: skip
_SERVICES: Mapping[str, tuple[str, Mapping[str, Operation]]] = {
    TDS: ("device", device_service.OPERATIONS),
    TRT: ("media", media_service.OPERATIONS1),
    TR2: ("media2", media_service.OPERATIONS2),
    TPTZ: ("ptz", ptz_service.OPERATIONS),
    TEV: ("events", event_service.OPERATIONS),
    WSNT: ("events", event_service.MANAGER_OPERATIONS),
}
_NOT_AUTHORISED = Fault("Sender", "Sender not authorized.", "ter:NotAuthorized")

# Stills by scene, JPEG.
Stills = tuple[bytes, ...]


def answer(
    device: Device, request: HttpRequest, now: float, stills: Stills
) -> Answer | Waiting | None:
    """What a device does with a request: an answer, a pull that has to wait (go on with `poll`),
    or None for silence."""
    device.counters.requests += 1
    if FaultKind.NO_ANSWER in device.faults:
        return None
    if FaultKind.REDIRECT in device.faults:
        if not request.path.startswith(_MOVED):
            return _redirect(device, request)
        device.counters.redirects_followed += 1
        # Answered all the same, so that only the count betrays a client that follows.
        request = replace(request, target=request.target.removeprefix(_MOVED))
    if request.path.startswith(SNAPSHOT_PATH):
        got: Answer | Waiting = _snapshot(device, request, now, stills)
    elif request.method != "POST":
        got = Answer(405, headers=(("Allow", "POST"),))
    else:
        got = _soap(device, request, now)
    return got if isinstance(got, Waiting) else _as_faults_have_it(device, got)


def poll(device: Device, waiting: Waiting, now: float) -> Answer | None:
    """The answer to a pull, or None while it has to wait."""
    try:
        body = event_service.poll(device, waiting, now)
    except Fault as fault:
        return _as_faults_have_it(device, _faulted(fault))
    if body is None:
        return None
    header = _relates_to(waiting.message_id)
    return _as_faults_have_it(device, Answer(200, soap_envelope(body, header)))


# --- inside ---------------------------------------------------------------------------------------


def _soap(device: Device, request: HttpRequest, now: float) -> Answer | Waiting:
    try:
        asked = parse(request.body)
    except Malformed as error:
        device.counters.malformed += 1
        return _faulted(Fault("Sender", f"Not well formed: {error}.", "ter:WellFormed"))
    try:
        operation = _operation(device, request.path, asked.operation)
        if not operation.is_open:
            security = asked.header.child(WSSE, "Security")
            refusal = _refusal(device, request, security, now)
            if refusal is not None:
                return refusal
        call = Call(device, asked.operation, request.path, asked.message_id, now)
        body = operation.run(call)
    except Fault as fault:
        return _faulted(fault)
    if isinstance(body, Waiting):
        return body
    header = _relates_to(asked.message_id)
    return Answer(200, soap_envelope(body, header))


def _operation(device: Device, path: str, element: Element) -> Operation:
    """The operation that the device has at this path. Raises Fault."""
    namespace, local = element.name
    key, operations = _SERVICES.get(namespace, ("", {}))
    there = namespace in device_service.services_of(device) or namespace == WSNT
    # Pulls, renewals and the end go to the subscription's own address.
    right_path = path == PATHS.get(key) or (key == "events" and path.startswith(PATHS[key] + "/"))
    if local not in operations or not there or not right_path:
        raise Fault("Receiver", f"{local} is not supported here.", "ter:ActionNotSupported")
    return operations[local]


def _refusal(
    device: Device, request: HttpRequest, security: Element | None, now: float
) -> Answer | None:
    """Why a request is not taken, or None when it is."""
    gate = device.gate
    if gate.credentials is None:
        return None
    if FaultKind.DIGEST_ONLY not in device.faults:
        verdict = gate.token(security, now, device.clock(now))
        if verdict is Verdict.ALLOWED:
            return None
        if verdict is not Verdict.NOTHING:
            return _faulted(_NOT_AUTHORISED)
    authorization = request.headers.get("authorization")
    verdict = gate.http(authorization, request.method, request.target, now)
    if verdict is Verdict.ALLOWED:
        return None
    challenges = gate.challenges(now, stale=verdict is Verdict.STALE)
    headers = tuple(("WWW-Authenticate", each) for each in challenges)
    return replace(_faulted(_NOT_AUTHORISED), status=401, headers=headers)


def _snapshot(device: Device, request: HttpRequest, now: float, stills: Stills) -> Answer:
    number = request.path.removeprefix(SNAPSHOT_PATH + "/")
    channel = next((each for each in device.channels if str(each.number) == number), None)
    if request.method != "GET" or channel is None:
        return Answer(404, b"no such picture\n", "text/plain")
    refusal = _refusal(device, request, None, now)
    if refusal is not None:
        return refusal
    device.counters.snapshots += 1
    return Answer(200, stills[channel.camera % len(stills)], "image/jpeg")


def _redirect(device: Device, request: HttpRequest) -> Answer:
    there = f"http://{device.spec.address}:{device.spec.port}{_MOVED}{request.target}"
    # A target of one line: the parser takes no other.
    return Answer(302, b"", "text/plain", (("Location", there),))


def _faulted(fault: Fault) -> Answer:
    return Answer(fault.status, soap_envelope(fault.body()))


def _as_faults_have_it(device: Device, given: Answer) -> Answer:
    faults = device.faults
    body, status = given.body, given.status
    if FaultKind.FAULT_400 in faults and status == 500:
        status = 400
    is_soap = given.content_type.startswith("application/soap")
    if FaultKind.DTD in faults and is_soap:
        body = body.replace(b"?>\n", b"?>\n" + _DOCTYPE, 1)
        body = body.replace(b"</s:Body>", b"&e6;</s:Body>")
    if FaultKind.HUGE in faults:
        padding = b"x" * HUGE_BYTES
        end = b"</s:Envelope>"
        body = body.replace(end, b"<!--%s-->" % padding + end) if is_soap else body + padding
    after_s = faults.slow_s if FaultKind.SLOW in faults else 0.0
    return replace(given, status=status, body=body, after_s=after_s)


def _relates_to(message_id: str | None) -> str:
    """The header that WS-Addressing asks of an answer to a message that has an id."""
    return "" if message_id is None else f"<wsa5:RelatesTo>{escape(message_id)}</wsa5:RelatesTo>"

"""Every error as `application/problem+json` (RFC 9457) with a stable, machine-readable `code`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from camera_registry import errors as registry
from camera_registry.importers.rows import FileRefused
from camera_registry.importers.templates import TemplateInvalid
from camera_registry.importers.vendors import VendorRefused
from camera_registry.importers.writers import TooManyRows
from streamhub.access import errors as access
from streamhub.access.password_rules import PasswordTooWeak
from streamhub.delivery import errors as delivery
from streamhub.media import contract as media
from streamhub.steering import errors as steering

MEDIA_TYPE = "application/problem+json"

# What a client may do about an error that the framework itself raises.
_FRAMEWORK_CODES = {
    400: ("bad_request", "The request could not be read."),
    404: ("unknown_route", "There is no such address here."),
    413: ("too_large", "The body is too large."),
    405: ("method_not_allowed", "The address does not take this method."),
}


class Problem(Exception):
    """An error of the HTTP layer itself."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})

    def response(self) -> Response:
        body = {
            "type": f"urn:streamhub:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **self.extra,
        }
        return Response(
            json.dumps(body, ensure_ascii=False),
            status_code=self.status,
            media_type=MEDIA_TYPE,
            headers=self.headers,
        )


def internal_error() -> Problem:
    """What a client is told of a bug: nothing but that it is ours."""
    return Problem(500, "internal_error", "Something went wrong here; it has been logged.")


def problem_of(error: Exception) -> Problem:
    """The problem an error of any room stands for."""
    match error:
        case Problem():
            return error
        case access.AccessError():
            return _of_access(error)
        case registry.RegistryError():
            return _of_registry(error)
        case media.MediaError() | delivery.DeliveryError():
            return _of_media(error)
        case steering.SteeringError():
            return _of_steering(error)
        case PasswordTooWeak():
            return Problem(422, "password_too_weak", str(error), extra={"field": "password"})
        case RequestValidationError():
            return _of_validation(error)
        case HTTPException():
            code, detail = _FRAMEWORK_CODES.get(
                error.status_code, ("http_error", str(error.detail))
            )
            return Problem(error.status_code, code, detail, headers=error.headers)
    return internal_error()


def install(app: FastAPI) -> None:
    """Register the mapping for all that rooms raise; what is left over is a bug (500)."""

    async def handle(request: Request, error: Exception) -> Response:
        return problem_of(error).response()

    async def handle_text(request: Request, error: Exception) -> Response:
        # JSON can spell half of a surrogate pair, which no UTF-8 holds (RFC 8259 section 8.2): the
        # store can't take it. Any other text that fails is ours.
        if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
            detail = "A text holds half a character (a lone surrogate); send valid Unicode."
            return Problem(422, "text_malformed", detail).response()
        raise error

    for kind in (
        Problem,
        access.AccessError,
        registry.RegistryError,
        media.MediaError,
        delivery.DeliveryError,
        steering.SteeringError,
        PasswordTooWeak,
        RequestValidationError,
        HTTPException,
    ):
        app.add_exception_handler(kind, handle)
    app.add_exception_handler(UnicodeEncodeError, handle_text)


def _of_access(error: access.AccessError) -> Problem:
    match error:
        case access.Unauthenticated():
            return Problem(401, error.code, str(error), headers={"WWW-Authenticate": "Bearer"})
        case access.NotVisible():
            return Problem(404, error.code, str(error))
        case access.TooManyAttempts():
            retry = {"Retry-After": str(error.retry_after_s)}
            return Problem(429, error.code, str(error), headers=retry)
        case access.PurposeRequired():
            purposes = [
                {"code": p.code, "zh": p.zh, "en": p.en, "needs_note": p.needs_note}
                for p in error.purposes
            ]
            return Problem(403, error.code, str(error), extra={"purposes": purposes})
    return Problem(403, error.code, str(error))


def _of_registry(error: registry.RegistryError) -> Problem:
    match error:
        case registry.ValidationFailed():
            return Problem(422, error.code, error.sentence, extra={"field": error.field})
        case registry.Conflict():
            return Problem(409, error.code, error.sentence, extra={"field": error.field})
        case FileRefused() | TemplateInvalid() | TooManyRows() | VendorRefused():
            return Problem(422, error.code, str(error))
        case registry.NotFound():
            return Problem(404, "not_found", str(error))
        case registry.EntryRefused():
            problem = problem_of(error.cause)
            problem.extra["entry"] = error.entry
            return problem
        case registry.AuditError():
            return Problem(409, error.code, str(error))
        case registry.StoreBusy() | registry.StoreUnavailable():
            return Problem(503, error.code, str(error), headers={"Retry-After": "5"})
    return internal_error()


# What the doors out may refuse with; any other code of theirs is a 503 worth another try.
_MEDIA_STATUS = {
    "malformed_sdp": 400,
    "no_common_codec": 422,
    "quota_exceeded": 429,
    "channel_disabled": 409,
    "one_stream_only": 409,
    "not_found": 404,
    "no_keyframe": 504,
    "still_undecodable": 502,
}


def _of_media(error: media.MediaError | delivery.DeliveryError) -> Problem:
    status = _MEDIA_STATUS.get(error.code, 503)
    headers = {}
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        headers["Retry-After"] = str(getattr(error, "retry_after_s", 5))
    reason = getattr(error, "reason", None)
    extra: dict[str, Any] = {} if reason is None else {"reason": str(reason)}
    if isinstance(error, delivery.QuotaExceeded):
        extra["quota"] = error.quota
    codec = getattr(error, "codec", None)
    if codec is not None:
        extra["codec"] = str(codec)
    return Problem(status, error.code, str(error), headers=headers, extra=extra)


def _of_steering(error: steering.SteeringError) -> Problem:
    extra = {} if error.reason is None else {"reason": error.reason}
    match error:
        case steering.PtzHeld():
            extra |= {"held_by": error.held_by, "held_until": error.held_until.isoformat()}
            return Problem(409, error.code, str(error), extra=extra)
        case steering.PtzUnsupported():
            return Problem(409, error.code, str(error), extra=extra)
        case steering.DeviceUnreachable() | steering.DeviceRefused():
            return Problem(502, error.code, str(error), extra=extra)
    return Problem(503, error.code, str(error), headers={"Retry-After": "5"})


def _of_validation(error: RequestValidationError) -> Problem:
    # Neither the value nor the message's input: it may be a password.
    # A body that a right is looked up by, too, is read twice: each fault is told once.
    faults = dict.fromkeys(
        (".".join(str(part) for part in each["loc"]), each["msg"]) for each in error.errors()
    )
    fields = [{"field": field, "problem": what} for field, what in faults]
    names = dict.fromkeys(field.removeprefix("body.") for field, _ in faults)
    where = ", ".join([*names][:3])
    return Problem(
        422, "invalid_request", f"Correct the request: {where}.", extra={"fields": fields[:20]}
    )

"""What the doors out refuse. Each has a stable `code`; the api maps them to problems.

DeliveryError
├── UnknownProfile     the channel has no such stream profile      (404 not_found)
├── UnknownView        no such live view                           (404 not_found)
├── OneStreamOnly      an RTSP client has one SDP, of one stream   (409 one_stream_only)
├── AuditUnavailable   the audit row can't be written: not opened  (503 audit_unavailable)
├── ShuttingDown       the service is leaving                      (503 shutting_down)
├── QuotaExceeded      as many views, or as much, as is allowed    (429 quota_exceeded)
├── NoKeyframe         no picture before the deadline              (504 no_keyframe)
└── StillUndecodable   the keyframe came, and could not be decoded (502 still_undecodable)
Over capacity is `streamhub.media.contract.OverCapacity` (503, `retry_after_s`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class DeliveryError(Exception):
    """Root of this room's refusals."""

    code = "delivery_error"


class UnknownProfile(DeliveryError):
    code = "not_found"

    def __init__(self, channel_id: str, profile: str) -> None:
        super().__init__("The channel has no such stream profile.")
        self.channel_id = channel_id
        self.profile = profile


class UnknownView(DeliveryError):
    code = "not_found"

    def __init__(self) -> None:
        super().__init__("There is no such live view.")


class OneStreamOnly(DeliveryError):
    code = "one_stream_only"

    def __init__(self) -> None:
        super().__init__(
            "A view by RTSP shows the stream that was dialled; dial the other one's address."
        )


class AuditUnavailable(DeliveryError):
    code = "audit_unavailable"
    retry_after_s = 5

    def __init__(self) -> None:
        super().__init__("The audit row could not be written, so nothing was opened. Try again.")


class ShuttingDown(DeliveryError):
    code = "shutting_down"
    retry_after_s = 5

    def __init__(self) -> None:
        super().__init__("The service is stopping. Try again in a few seconds.")


class QuotaExceeded(DeliveryError):
    """`quota` says it to programs: `of` (subject, area, rtsp), `name`, `what` (views, bit_rate),
    `limit`, `used`, `asked` (a bit rate in bits per second), and `held_by`: rows of `of` (subject,
    area, others), `name` and `used`."""

    code = "quota_exceeded"

    def __init__(self, sentence: str, *, quota: Mapping[str, Any], retry_after_s: int) -> None:
        super().__init__(sentence)
        self.quota = quota
        self.retry_after_s = retry_after_s


class NoKeyframe(DeliveryError):
    """`reason`: the cause of the route's loss, `deadline`, or `too_old`."""

    code = "no_keyframe"

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"No picture came from the camera in time ({reason}).")
        self.reason = reason
        self.detail = detail


class StillUndecodable(DeliveryError):
    code = "still_undecodable"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The camera's picture could not be decoded ({reason}).")
        self.reason = reason

"""A pull-point subscription: when to pull, renew and let go. Messages and their machine. Sans-IO.

ONVIF Core section 9 (event handling), WS-BaseNotification 1.3, WS-Addressing 1.0. Times of devices
are not believed: what counts is when we asked.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from html import escape

from lxml import etree

from gateways.onvif.address import DeviceAddress, service_url
from gateways.onvif.errors import BadAnswer, quoted
from gateways.onvif.soap import (
    NAMESPACES,
    Operation,
    attribute,
    children,
    find,
    operation,
    text_of,
    xml,
)

# How long a subscription lives without a renewal: short, since a leaked one takes one of few
# places.
LIFETIME_S = 120
RENEW_AFTER_S = 60.0
# How long the device may hold a pull open, and how much it may send at once.
PULL_S = 5
PULL_TIMEOUT_S = 15.0
# From one pull to the next at least: some firmwares answer at once, empty.
PULL_EVERY_S = 0.5
MESSAGE_LIMIT = 50
# After an error: from the first to the last of these, then that again and again.
RETRY_S = (2.0, 5.0, 10.0, 40.0)
MAX_MESSAGES = 1000
MAX_ITEMS = 64
# Reference parameters are a number or two; more than this is not echoed at every request.
MAX_REFERENCE_BYTES = 4096

_EVENTS = f"{NAMESPACES['tev']}/"
_WSN = "http://docs.oasis-open.org/wsn/bw-2/"


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where to pull. `reference`: the device's reference parameters, as XML to be echoed."""

    url: str
    reference: str


@dataclass(frozen=True, slots=True)
class Notification:
    """One message of a device.

    `topic`: without namespace prefixes, e.g. "RuleEngine/CellMotionDetector/Motion". `operation`:
    "Initialized", "Changed", "Deleted" or "". `source`, `key`, `data`: the simple items, name to
    value as written. `device_time`: its UtcTime as written; often wrong, so note when it came.
    """

    topic: str
    operation: str
    source: dict[str, str]
    key: dict[str, str]
    data: dict[str, str]
    device_time: str


def create() -> Operation:
    content = f"<tev:InitialTerminationTime>PT{LIFETIME_S}S</tev:InitialTerminationTime>"
    body = operation("tev", "CreatePullPointSubscription", content).body
    return Operation(f"{_EVENTS}EventPortType/CreatePullPointSubscriptionRequest", body)


def pull() -> Operation:
    content = (
        f"<tev:Timeout>PT{PULL_S}S</tev:Timeout>"
        f"<tev:MessageLimit>{MESSAGE_LIMIT}</tev:MessageLimit>"
    )
    body = operation("tev", "PullMessages", content).body
    return Operation(f"{_EVENTS}PullPointSubscription/PullMessagesRequest", body)


def renew() -> Operation:
    content = f"<wsnt:TerminationTime>PT{LIFETIME_S}S</wsnt:TerminationTime>"
    body = operation("wsnt", "Renew", content).body
    return Operation(f"{_WSN}SubscriptionManager/RenewRequest", body)


def unsubscribe() -> Operation:
    body = operation("wsnt", "Unsubscribe").body
    return Operation(f"{_WSN}SubscriptionManager/UnsubscribeRequest", body)


def addressing(request: Operation, url: str, message_id: uuid.UUID, reference: str = "") -> str:
    """The headers that event services want (WS-Addressing 1.0 section 3), the echo included."""
    return (
        f'<wsa:Action s:mustUnderstand="1">{xml(request.action)}</wsa:Action>'
        f'<wsa:To s:mustUnderstand="1">{xml(url)}</wsa:To>'
        f"<wsa:MessageID>urn:uuid:{message_id}</wsa:MessageID>{reference}"
    )


def read_subscription(
    answer: etree._Element, address: DeviceAddress, fallback: str
) -> Subscription:
    """Of a CreatePullPointSubscriptionResponse, at the server that answered.

    `fallback`: the event service, for firmwares that name no address. Raises `BadAnswer`.
    """
    reference = find(answer, "SubscriptionReference")
    if reference is None:
        raise BadAnswer("bad_answer", "No SubscriptionReference")
    url = service_url(address, text_of(reference, "Address")) or fallback
    parameters = find(reference, "ReferenceParameters")
    echoed = "".join(_echo(one) for one in parameters) if parameters is not None else ""
    return Subscription(url, echoed if len(echoed) <= MAX_REFERENCE_BYTES else "")


def read_notifications(answer: etree._Element) -> list[Notification]:
    """Of a PullMessagesResponse. What has no topic is left out."""
    found: list[Notification] = []
    for element in children(answer, "NotificationMessage"):
        topic = "/".join(
            part.rpartition(":")[2] for part in quoted(text_of(element, "Topic")).split("/")
        )
        message = find(element, "Message/Message")
        if topic:
            found.append(
                Notification(
                    topic=topic,
                    operation=quoted(attribute(message, "PropertyOperation")),
                    source=_items(message, "Source"),
                    key=_items(message, "Key"),
                    data=_items(message, "Data"),
                    device_time=quoted(attribute(message, "UtcTime")),
                )
            )
        if len(found) == MAX_MESSAGES:
            break
    return found


def _items(message: etree._Element | None, group: str) -> dict[str, str]:
    items: dict[str, str] = {}
    for holder in children(message, group):
        for item in children(holder, "SimpleItem"):
            if len(items) < MAX_ITEMS:
                items[quoted(attribute(item, "Name"))] = quoted(attribute(item, "Value"))
    return items


def _echo(parameter: etree._Element) -> str:
    """A reference parameter as a header, marked as such (WS-Addressing SOAP binding 3.4)."""
    name = etree.QName(parameter)
    attributes = "".join(
        f' {key}="{escape(str(value))}"'
        for key, value in parameter.attrib.items()
        if not str(key).startswith("{")
    )
    inner = xml(parameter.text or "") + "".join(
        etree.tostring(child, encoding="unicode", with_tail=True) for child in parameter
    )
    tag, declared = name.localname, ""
    if name.namespace:
        tag, declared = f"rp:{tag}", f' xmlns:rp="{escape(name.namespace)}"'
    return f'<{tag}{declared} wsa:IsReferenceParameter="true"{attributes}>{inner}</{tag}>'


# --- the machine ----------------------------------------------------------------------------------


class Step(StrEnum):
    """What to ask the device now."""

    CREATE = "create"
    PULL = "pull"
    RENEW = "renew"
    UNSUBSCRIBE = "unsubscribe"


class PullPoint:
    """Keeps one subscription alive. `now`: monotonic seconds.

        none --create--> live --pull, pull, renew, pull...--> closing --unsubscribe--> over
        live --a pull or renewal fails--> unsubscribe --> none, after a while create again

    In: `done` or `failed` for the step that `poll` gave, `close`. Out: `poll`, `timeout`, `over`.
    """

    def __init__(self, jitter: Callable[[], float] = lambda: 1.0) -> None:
        """`jitter` in [0, 1] spreads a pause over its upper half."""
        self._jitter = jitter
        self._subscription: Subscription | None = None
        self._renewed_at = 0.0
        self._not_before = 0.0
        self._pulled_at = -PULL_EVERY_S
        self._failures = 0
        self._letting_go = False
        self._closed = False
        self._renew_refused = False

    @property
    def subscription(self) -> Subscription | None:
        return self._subscription

    @property
    def over(self) -> bool:
        return self._closed and self._subscription is None

    def poll(self, now: float) -> Step | None:
        """The next step, or None until `timeout`."""
        if self._subscription is not None:
            if self._closed or self._letting_go:
                return Step.UNSUBSCRIBE
            if now - self._renewed_at >= RENEW_AFTER_S and not self._renew_refused:
                return Step.RENEW
            if now < self._pulled_at + PULL_EVERY_S:
                return None
            self._pulled_at = now
            return Step.PULL
        return None if self._closed or now < self._not_before else Step.CREATE

    def timeout(self) -> float | None:
        """When to poll again, after `poll` gave None; None once it is over."""
        if self._subscription is not None:
            return self._pulled_at + PULL_EVERY_S
        return None if self._closed else self._not_before

    def created(self, now: float, subscription: Subscription) -> None:
        self._subscription = subscription
        self._renewed_at = now

    def done(self, now: float, step: Step) -> None:
        """The device has answered the step."""
        if step is Step.PULL:
            self._failures = 0
        elif step is Step.RENEW:
            self._renewed_at = now
        elif step is Step.UNSUBSCRIBE:
            self._gone(now)

    def failed(self, now: float, step: Step, *, refused: bool) -> None:
        """It has not. `refused`: by a fault, so that it is there and says no.

        Some firmwares know no Renew and prolong by pulling: then nothing is renewed any more.
        """
        if step is Step.RENEW and refused:
            self._renew_refused = True
            return
        self._failures += step is not Step.UNSUBSCRIBE
        if step is Step.UNSUBSCRIBE or self._subscription is None:
            self._gone(now)
        else:
            self._letting_go = True

    def close(self) -> None:
        """Nobody listens any more: unsubscribe, always, since places are few."""
        self._closed = True

    def _gone(self, now: float) -> None:
        self._subscription = None
        self._letting_go = False
        self._renew_refused = False
        wait_s = RETRY_S[min(self._failures, len(RETRY_S)) - 1] if self._failures else 0.0
        self._not_before = now + wait_s * (1.0 + self._jitter()) / 2.0

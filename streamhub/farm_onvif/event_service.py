"""Events (ver10, events.wsdl; WS-BaseNotification 1.3): pull points."""

from __future__ import annotations

from .device import PATHS, Device
from .operation import Call, Operation, Waiting
from .pullpoint import (
    DEFAULT_LIFE_S,
    INPUT,
    MAX_LIFE_S,
    MAX_MESSAGES,
    MAX_PULL_S,
    MAX_SUBSCRIPTIONS,
    Event,
    Subscription,
)
from .soap import WSNT, Fault
from .xsd import date_time, duration_s, unix_time

_DIALECT = "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet"


def create_pull_point_subscription(call: Call) -> str:
    device = call.device
    ends_at = _end(call, call.value("InitialTerminationTime"))
    made = device.pull_points.create(call.now, ends_at)
    if made is None:
        raise Fault("Receiver", f"There are {MAX_SUBSCRIPTIONS} subscriptions already.",
                    "ter:Action", "ter:MaxPullPoints")  # fmt: skip
    return (
        "<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference>"
        f"<wsa5:Address>{device.subscription_address(made.token)}</wsa5:Address>"
        f"</tev:SubscriptionReference>{_times('wsnt', call, made)}"
        "</tev:CreatePullPointSubscriptionResponse>"
    )


def pull_messages(call: Call) -> Waiting:
    subscription = _subscription(call)
    timeout_s = duration_s(call.value("Timeout") or "")
    limit = call.value("MessageLimit") or ""
    if timeout_s is None or not (limit.isascii() and limit.isdigit() and len(limit) < 9):
        raise Fault("Sender", "Timeout and MessageLimit are needed.", "ter:InvalidArgVal")
    subscription.pulls += 1
    return Waiting(
        subscription.token,
        subscription.pulls,
        call.now + min(timeout_s, MAX_PULL_S),
        min(max(int(limit), 1), MAX_MESSAGES),
        call.message_id,
    )


def poll(device: Device, waiting: Waiting, now: float) -> str | None:
    """The body of the answer to a pull, or None while it has to wait. Raises Fault when its
    subscription is gone."""
    subscription = device.pull_points.get(waiting.subscription, now)
    if subscription is None:
        raise _gone()
    overtaken = waiting.pull != subscription.pulls
    events = [] if overtaken else device.pull_points.take(subscription, waiting.limit, now)
    if not events and not overtaken and now < waiting.until:
        return None
    skew = device.clock(now) - now
    return (
        f"<tev:PullMessagesResponse><tev:CurrentTime>{date_time(now + skew)}</tev:CurrentTime>"
        f"<tev:TerminationTime>{date_time(subscription.ends_at + skew)}</tev:TerminationTime>"
        f"{''.join(_message(event, skew) for event in events)}</tev:PullMessagesResponse>"
    )


def renew(call: Call) -> str:
    subscription = _subscription(call)
    subscription.ends_at = _end(call, call.element.value((WSNT, "TerminationTime")))
    skew = call.device.clock(call.now) - call.now
    return (
        f"<wsnt:RenewResponse><wsnt:TerminationTime>{date_time(subscription.ends_at + skew)}"
        f"</wsnt:TerminationTime><wsnt:CurrentTime>{date_time(call.now + skew)}</wsnt:CurrentTime>"
        "</wsnt:RenewResponse>"
    )


def unsubscribe(call: Call) -> str:
    call.device.pull_points.remove(_subscription(call).token)
    return "<wsnt:UnsubscribeResponse/>"


def _subscription(call: Call) -> Subscription:
    token = call.path.removeprefix(PATHS["events"]).lstrip("/")
    found = call.device.pull_points.get(token, call.now)
    if found is None:
        raise _gone()
    return found


def _gone() -> Fault:
    return Fault("Sender", "No such subscription.", "ter:InvalidArgVal", "ter:NoSubscription")


def _end(call: Call, asked: str | None) -> float:
    """When a subscription ends, by the host's clock; asked as a duration or by the device's."""
    life_s = DEFAULT_LIFE_S
    if asked:
        relative = duration_s(asked)
        if relative is None:
            absolute = unix_time(asked)
            relative = None if absolute is None else absolute - call.device.clock(call.now)
        if relative is None or relative <= 0:
            raise Fault("Sender", "No time to come.", "ter:InvalidArgVal",
                        "ter:UnacceptableTerminationTime")  # fmt: skip
        life_s = relative
    return call.now + min(life_s, MAX_LIFE_S)


def _times(prefix: str, call: Call, subscription: Subscription) -> str:
    skew = call.device.clock(call.now) - call.now
    return (
        f"<{prefix}:CurrentTime>{date_time(call.now + skew)}</{prefix}:CurrentTime>"
        f"<{prefix}:TerminationTime>{date_time(subscription.ends_at + skew)}"
        f"</{prefix}:TerminationTime>"
    )


def _message(event: Event, skew: float) -> str:
    source, data = ("InputToken", "LogicalState") if event.topic == INPUT else ("Source", "State")
    return (
        f'<wsnt:NotificationMessage><wsnt:Topic Dialect="{_DIALECT}">{event.topic}</wsnt:Topic>'
        f'<wsnt:Message><tt:Message UtcTime="{date_time(event.at + skew)}" '
        f'PropertyOperation="{event.operation}">'
        f'<tt:Source><tt:SimpleItem Name="{source}" Value="{event.source}"/></tt:Source>'
        f'<tt:Data><tt:SimpleItem Name="{data}" Value="{str(event.value).lower()}"/></tt:Data>'
        "</tt:Message></wsnt:Message></wsnt:NotificationMessage>"
    )


OPERATIONS = {
    "CreatePullPointSubscription": Operation(create_pull_point_subscription),
    "PullMessages": Operation(pull_messages),
}
MANAGER_OPERATIONS = {"Renew": Operation(renew), "Unsubscribe": Operation(unsubscribe)}

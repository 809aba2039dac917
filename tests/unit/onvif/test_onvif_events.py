"""Events: one subscription is kept alive, and always given back."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import aclosing
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from camera_registry.secret import Secret
from gateways.onvif import (
    AuthRefused,
    BadAnswer,
    CredentialSet,
    DeviceAddress,
    DeviceClient,
    HttpTransport,
    OnvifError,
    listen,
)
from gateways.onvif import subscription as wire
from gateways.onvif.errors import Fault
from gateways.onvif.soap import attribute, body_of, envelope, find, parse, text_of
from gateways.onvif.subscription import PullPoint, Step, Subscription
from support import onvif_shapes as shapes
from support.onvif_device import PASSWORD, OnvifDevice, Request

US = DeviceAddress("10.1.2.3", 8106)
GOOD = CredentialSet("good", "admin", Secret(PASSWORD))
HELD = Subscription("http://10.1.2.3:8106/sub", "")


def element(message: bytes) -> etree._Element:
    answer = body_of(message)
    assert not isinstance(answer, Fault)
    return answer


# --- messages -------------------------------------------------------------------------------------


def test_the_subscription_is_asked_where_it_is_and_its_parameters_are_echoed() -> None:
    answer = element(shapes.envelope(shapes.SUBSCRIPTION.format(where="192.168.1.64")))
    held = wire.read_subscription(answer, US, "http://unused/")
    assert held.url == "http://10.1.2.3:8106/onvif/Events/PullSubManager_4711"
    header = wire.addressing(wire.pull(), held.url, uuid.uuid4(), held.reference)
    head = find(parse(envelope(wire.pull(), header)), "Header")
    echoed = find(head, "SubscriptionId")
    assert echoed is not None
    assert echoed.tag == "{http://example.com/2012/event}SubscriptionId"
    assert echoed.text == "8"
    assert attribute(echoed, "kind") == "a&b"
    assert attribute(echoed, "IsReferenceParameter") == "true"
    assert text_of(head, "To") == held.url
    assert text_of(head, "Action") == (
        "http://www.onvif.org/ver10/events/wsdl/PullPointSubscription/PullMessagesRequest"
    )
    assert text_of(head, "MessageID").startswith("urn:uuid:")


def test_reference_parameters_may_be_nested_and_without_a_namespace() -> None:
    written = shapes.SUBSCRIPTION.format(where="h").replace(">8<", "><a>1 &lt; 2</a>tail<")
    bare = written.replace("dom0:", "").replace(' xmlns:dom0="http://example.com/2012/event"', "")
    for answer in (written, bare):
        held = wire.read_subscription(element(shapes.envelope(answer)), US, "")
        header = wire.addressing(wire.renew(), held.url, uuid.uuid4(), held.reference)
        root = parse(envelope(wire.renew(), header))
        assert text_of(root, "Header/SubscriptionId/a") == "1 < 2"


def test_of_what_a_device_would_have_echoed_too_much_is_left_out() -> None:
    room = wire.MAX_REFERENCE_BYTES // 2
    for size, is_echoed in ((room, True), (2 * room, False)):
        written = shapes.SUBSCRIPTION.format(where="h").replace(">8<", f">{'8' * size}<")
        held = wire.read_subscription(element(shapes.envelope(written)), US, "")
        assert ("8" * size in held.reference) is is_echoed
        assert is_echoed or held.reference == ""


def test_of_too_many_messages_and_items_the_first_are_read() -> None:
    item = "<tt:SimpleItem Name='IsMotion' Value='true'/>"
    items = [f"<tt:SimpleItem Name='n{n}' Value='v'/>" for n in range(wire.MAX_ITEMS + 1)]
    motion = shapes.MOTION.replace(item, "".join(items))
    found = wire.read_notifications(element(shapes.pulled(motion)))
    assert list(found[0].data) == [f"n{n}" for n in range(wire.MAX_ITEMS)]
    many = wire.read_notifications(element(shapes.pulled(shapes.MOTION * (wire.MAX_MESSAGES + 1))))
    assert len(many) == wire.MAX_MESSAGES


def test_a_subscription_without_an_address_is_asked_at_the_event_service() -> None:
    empty = "<tev:R><tev:SubscriptionReference/></tev:R>"
    assert wire.read_subscription(element(shapes.envelope(empty)), US, HELD.url) == HELD
    with pytest.raises(BadAnswer):
        wire.read_subscription(element(shapes.envelope("<tev:R/>")), US, HELD.url)


def test_a_notification_is_read_loosely() -> None:
    answer = element(shapes.pulled(shapes.MOTION, shapes.MOTION.replace("Value='true'", "")))
    first, second = wire.read_notifications(answer)
    assert first == wire.Notification(
        topic="RuleEngine/CellMotionDetector/Motion",
        operation="Changed",
        source={"VideoSourceConfigurationToken": "VSC_1"},
        key={},
        data={"IsMotion": "true"},
        device_time="1970-01-01T00:00:09Z",
    )
    assert second.data == {"IsMotion": ""}


@settings(deadline=None)
@given(st.data())
def test_a_damaged_answer_is_notifications_or_a_typed_refusal(data: st.DataObject) -> None:
    whole = bytearray(shapes.pulled(shapes.MOTION))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=5))
    try:
        answer = body_of(bytes(whole))
    except BadAnswer:
        return
    if not isinstance(answer, Fault):
        assert len(wire.read_notifications(answer)) <= 1


# --- the machine ----------------------------------------------------------------------------------


def alive(now: float = 0.0) -> PullPoint:
    point = PullPoint()
    assert point.poll(now) is Step.CREATE
    point.created(now, HELD)
    return point


def test_it_pulls_and_renews_in_time() -> None:
    point, now, steps = alive(), 0.0, []
    while now < 200.0:
        step = point.poll(now)
        if step is None:
            at = point.timeout()
            assert at is not None
            assert at > now
            now = at
            continue
        steps.append((now, step))
        now += 5.0  # the device holds the pull open
        point.done(now, step)
    renewed = [at for at, step in steps if step is Step.RENEW]
    assert all(later - at < wire.LIFETIME_S for at, later in pairwise([0.0, *renewed]))
    assert len(renewed) == 3


def test_a_device_that_answers_at_once_is_not_pulled_in_a_circle() -> None:
    point = alive()
    assert point.poll(0.0) is Step.PULL
    point.done(0.01, Step.PULL)
    assert point.poll(0.01) is None
    assert point.timeout() == wire.PULL_EVERY_S


def test_a_device_without_renew_is_prolonged_by_pulling() -> None:
    point = alive()
    assert point.poll(61.0) is Step.RENEW
    point.failed(61.0, Step.RENEW, refused=True)
    assert point.poll(61.0) is Step.PULL
    point.done(66.0, Step.PULL)
    assert point.poll(300.0) is Step.PULL


def test_a_new_subscription_is_renewed_though_the_one_before_was_not() -> None:
    point = alive()
    assert point.poll(61.0) is Step.RENEW
    point.failed(61.0, Step.RENEW, refused=True)
    assert point.poll(61.0) is Step.PULL
    point.failed(62.0, Step.PULL, refused=True)
    point.done(62.0, Step.UNSUBSCRIBE)
    assert point.poll(70.0) is Step.CREATE
    point.created(70.0, HELD)
    assert point.poll(131.0) is Step.RENEW


def test_after_a_failure_the_place_is_given_back_before_a_new_one_is_taken() -> None:
    point, now = alive(), 0.0
    waits = []
    for _ in range(5):
        assert point.poll(now) is Step.PULL
        point.failed(now, Step.PULL, refused=False)
        assert point.poll(now) is Step.UNSUBSCRIBE
        point.failed(now, Step.UNSUBSCRIBE, refused=False)
        assert point.poll(now) is None
        at = point.timeout()
        assert at is not None
        waits.append(at - now)
        now = at
        assert point.poll(now) is Step.CREATE
        point.created(now, HELD)
        now += 1.0
    assert waits == [2.0, 5.0, 10.0, 40.0, 40.0]
    assert point.poll(now) is Step.PULL
    point.done(now, Step.PULL)
    assert point.poll(now + 1) is Step.PULL
    point.failed(now + 1, Step.PULL, refused=True)
    point.done(now + 1, Step.UNSUBSCRIBE)
    assert point.timeout() == now + 1 + 2.0  # all forgotten after one that went well


def test_closing_gives_the_place_back_and_takes_no_other() -> None:
    point = alive()
    point.close()
    assert point.poll(1.0) is Step.UNSUBSCRIBE
    assert not point.over
    point.failed(1.0, Step.UNSUBSCRIBE, refused=True)
    assert point.over
    assert point.poll(99.0) is None
    assert point.timeout() is None


# --- over HTTP ------------------------------------------------------------------------------------


def client_of(device: OnvifDevice, http: HttpTransport) -> tuple[DeviceClient, str]:
    address = DeviceAddress("127.0.0.1", device.port)
    return DeviceClient(address, http, [GOOD]), address.at("/onvif/event_service")


@pytest.mark.parametrize("wants", ["token", "digest"])
async def test_events_come_and_the_subscription_is_given_back(wants: str) -> None:
    device = OnvifDevice(wants=wants)
    async with (
        device.listening(),
        HttpTransport() as http,
        aclosing(listen(*client_of(device, http))) as events,
    ):
        event = await anext(events)
    assert event.notification.data == {"IsMotion": "true"}
    assert event.received_at.tzinfo is not None
    assert device.operations[-1] == "Unsubscribe"
    last = device.requests[-1]
    assert last.path == "/onvif/Events/PullSubManager_4711"
    assert last.value("SubscriptionId") == "8"
    assert "rp:SubscriptionId" in last.text
    assert last.value("To") == f"http://127.0.0.1:{device.port}{last.path}"
    assert device.failed_tries == 0


async def cancelled_at(operation: str, device: OnvifDevice) -> None:
    """Listen, and be cancelled while the device thinks about `operation`."""
    reached, may_answer = asyncio.Event(), asyncio.Event()
    usual = device.answers.get(operation, shapes.envelope("<x/>"))

    async def slow(_: Request) -> Any:
        reached.set()
        await may_answer.wait()
        return usual

    device.answers[operation] = slow
    async with device.listening(), HttpTransport() as http:

        async def all_of_them() -> None:
            async for _ in listen(*client_of(device, http)):
                pass

        task = asyncio.create_task(all_of_them())
        await reached.wait()
        task.cancel()
        await asyncio.sleep(0)
        may_answer.set()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_listener_that_is_cancelled_in_a_long_pull_unsubscribes() -> None:
    device = OnvifDevice(wants="nothing")
    await cancelled_at("PullMessages", device)
    assert device.operations[-1] == "Unsubscribe"


async def test_a_listener_that_is_cancelled_while_it_subscribes_unsubscribes() -> None:
    answer = shapes.envelope(shapes.SUBSCRIPTION.format(where="h"))
    device = OnvifDevice(wants="nothing", answers={"CreatePullPointSubscription": answer})
    await cancelled_at("CreatePullPointSubscription", device)
    assert device.operations[-2:] == ["CreatePullPointSubscription", "Unsubscribe"]


async def test_a_device_that_forgot_us_is_subscribed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "RETRY_S", (0.01,))
    pulls = iter([(400, shapes.fault("wsrf-rw:ResourceUnknownFault", "who are you"))])
    device = OnvifDevice(
        answers={"PullMessages": lambda _: next(pulls, shapes.pulled(shapes.MOTION))}
    )
    told: list[OnvifError] = []
    async with device.listening(), HttpTransport() as http:
        found = listen(*client_of(device, http), on_error=told.append)
        async with aclosing(found) as events:
            await anext(events)
    assert [error.code for error in told] == ["fault"]
    signed = [one.operation for one in device.requests if one.value("Username")]
    assert signed == [
        "CreatePullPointSubscription",
        "PullMessages",
        "Unsubscribe",
        "CreatePullPointSubscription",
        "PullMessages",
        "Unsubscribe",
    ]


async def test_a_refused_password_ends_the_listening() -> None:
    device = OnvifDevice(password="another")
    async with device.listening(), HttpTransport() as http:
        with pytest.raises(AuthRefused):
            await anext(listen(*client_of(device, http)))
    assert device.failed_tries == 1

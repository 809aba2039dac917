"""The client against a device in the same loop: bounded answers, and passwords that are safe."""

from __future__ import annotations

import asyncio
import gzip
import logging
from datetime import timedelta

import pytest

from camera_registry.secret import Secret
from gateways.onvif.address import DeviceAddress
from gateways.onvif.client import DeviceClient
from gateways.onvif.credentials import CredentialSet, TryLedger
from gateways.onvif.errors import AuthRefused, BadAnswer, Faulted, Unreachable
from gateways.onvif.services import GET_DEVICE_INFORMATION, read_device_information
from gateways.onvif.soap import operation
from gateways.onvif.transport import MAX_ANSWER_BYTES, HttpTransport, Timeouts
from support import onvif_shapes as shapes
from support.onvif_device import PASSWORD, OnvifDevice
from support.patience import PATIENCE_S

GOOD = CredentialSet("good", "admin", Secret(PASSWORD))
BAD = [CredentialSet(f"bad{number}", "admin", Secret(f"wr0ng{number}")) for number in range(6)]
GET_SCOPES = operation("tds", "GetScopes")
QUICK = Timeouts(connect_s=1.0, total_s=0.3)


async def asked(
    device: OnvifDevice,
    *sets: CredentialSet,
    ledger: TryLedger | None = None,
    times: int = 1,
    timeouts: Timeouts | None = None,
) -> DeviceClient:
    """A client that has asked `device` who it is, so many times."""
    async with device.listening(), HttpTransport() as http:
        address = DeviceAddress("127.0.0.1", device.port)
        client = DeviceClient(address, http, sets, ledger=ledger, timeouts=timeouts)
        for _ in range(times):
            answer = await client.ask(address.url, GET_DEVICE_INFORMATION)
            assert read_device_information(answer).manufacturer == "Example Vision"
    return client


@pytest.mark.parametrize("wants", ["nothing", "token", "digest", "both"])
async def test_every_way_to_sign_on_is_found_without_a_failed_try(wants: str) -> None:
    device = OnvifDevice(wants=wants)
    client = await asked(device, GOOD, times=3)
    assert device.failed_tries == 0
    assert client.credential_set == (None if wants == "nothing" else "good")
    assert device.operations[0] == "GetSystemDateAndTime"
    # The way in is learnt once: unsigned, signed (with both: digest, then both), and so on.
    handshake = {"nothing": 1, "token": 2, "digest": 2, "both": 3}[wants]
    assert len(device.requests) == 1 + handshake + 2
    carry_a_token = [bool(request.value("Username")) for request in device.requests]
    assert any(carry_a_token) == (wants in ("token", "both"))


@pytest.mark.parametrize("status", [200, 400, 401, 500])
async def test_a_fault_is_read_whatever_http_says(status: int) -> None:
    device = OnvifDevice(refuses_with=status)
    client = await asked(device, GOOD)
    assert client.credential_set == "good"


async def test_a_clock_an_hour_off_is_no_obstacle() -> None:
    device = OnvifDevice(clock_offset=timedelta(hours=-1))
    client = await asked(device, GOOD)
    assert client.clock is not None
    assert client.clock.offset_s == pytest.approx(-3600, abs=2)
    assert device.failed_tries == 0


async def test_a_device_that_restarts_in_1970_is_asked_for_its_clock_again() -> None:
    device = OnvifDevice()
    async with device.listening(), HttpTransport() as http:
        address = DeviceAddress("127.0.0.1", device.port)
        client = DeviceClient(address, http, [GOOD])
        await client.ask(address.url, GET_DEVICE_INFORMATION)
        device.clock_offset = timedelta(days=-20_000)
        await client.ask(address.url, GET_DEVICE_INFORMATION)
    assert device.failed_tries == 1
    assert device.operations[-3:] == [
        "GetDeviceInformation",
        "GetSystemDateAndTime",
        "GetDeviceInformation",
    ]


async def test_a_nonce_for_each_request_is_no_wrong_password() -> None:
    device = OnvifDevice(wants="digest", nonce_per_request=True)
    await asked(device, GOOD, times=3)
    assert device.failed_tries == 0


@pytest.mark.parametrize("wants", ["token", "digest", "both"])
async def test_sets_are_tried_in_order_each_once(wants: str) -> None:
    device = OnvifDevice(wants=wants)
    client = await asked(device, *BAD[:2], GOOD, times=2)
    assert client.credential_set == "good"
    assert device.failed_tries == 2


@pytest.mark.parametrize("wants", ["token", "digest"])
async def test_the_trying_stops_before_the_lock_and_is_remembered(wants: str) -> None:
    device, ledger = OnvifDevice(wants=wants), TryLedger()
    async with device.listening(), HttpTransport() as http:
        address = DeviceAddress("127.0.0.1", device.port)
        for _ in range(3):
            client = DeviceClient(address, http, [*BAD, GOOD], ledger=ledger)
            for _ in range(2):
                with pytest.raises(AuthRefused) as caught:
                    await client.ask(address.url, GET_DEVICE_INFORMATION)
                assert caught.value.code == "tries_spent"
        assert device.failed_tries == 3
        ledger.forget("127.0.0.1")
        client = DeviceClient(address, http, [GOOD], ledger=ledger)
        await client.ask(address.url, GET_DEVICE_INFORMATION)
    assert device.failed_tries == 3


@pytest.mark.parametrize("wants", ["token", "digest", "both"])
@pytest.mark.parametrize("sets", [[GOOD], [GOOD, *BAD]])
async def test_a_password_that_was_changed_is_not_tried_for_ever(
    wants: str, sets: list[CredentialSet]
) -> None:
    device = OnvifDevice(wants=wants)
    async with device.listening(), HttpTransport() as http:
        address = DeviceAddress("127.0.0.1", device.port)
        client = DeviceClient(address, http, sets)
        await client.ask(address.url, GET_SCOPES)
        device.password = "changed"
        for _ in range(10):
            with pytest.raises(AuthRefused) as caught:
                await client.ask(address.url, GET_SCOPES)
        assert caught.value.code == ("auth_failed" if sets == [GOOD] else "tries_spent")
        # The refusal, and one more to tell it from a missing right; then the other sets.
        assert device.failed_tries <= (2 if sets == [GOOD] else 4) < device.locks_after
        assert client.credential_set is None


async def test_what_one_client_has_learnt_another_does_not_try() -> None:
    device, ledger = OnvifDevice(), TryLedger()
    async with device.listening(), HttpTransport() as http:
        address = DeviceAddress("127.0.0.1", device.port)
        first = DeviceClient(address, http, [GOOD], ledger=ledger)
        await first.ask(address.url, GET_DEVICE_INFORMATION)
        second = first.another()
        await second.ask(address.url, GET_DEVICE_INFORMATION)
        device.password = "changed"
        for client in (first, second, first.another()):
            with pytest.raises(AuthRefused) as caught:
                await client.ask(address.url, GET_DEVICE_INFORMATION)
            assert caught.value.code == "auth_failed"
    assert device.failed_tries == 1  # what every user may ask leaves no doubt


async def test_a_right_that_is_missing_is_no_wrong_password() -> None:
    device, ledger = OnvifDevice(answers={"GetScopes": (400, shapes.NOT_AUTHORIZED)}), TryLedger()
    async with device.listening(), HttpTransport() as http:
        address = DeviceAddress("127.0.0.1", device.port)
        client = DeviceClient(address, http, [GOOD, *BAD], ledger=ledger)
        await client.ask(address.url, GET_DEVICE_INFORMATION)
        for _ in range(5):
            with pytest.raises(AuthRefused) as caught:
                await client.ask(address.url, GET_SCOPES)
            assert caught.value.code == "not_permitted"
        await client.ask(address.url, GET_DEVICE_INFORMATION)
    assert device.failed_tries == ledger.failures("127.0.0.1") == 0
    assert device.operations.count("GetScopes") == 1
    assert client.credential_set == "good"


async def test_who_was_refused_is_named_but_not_by_password() -> None:
    device = OnvifDevice()
    with pytest.raises(AuthRefused) as caught:
        await asked(device, *BAD[:2])
    assert caught.value.code == "auth_failed"
    assert caught.value.tried == ("bad0", "bad1")
    assert "wr0ng" not in str(caught.value) + repr(caught.value.args)


async def test_a_locked_account_ends_the_trying_at_once() -> None:
    device, ledger = OnvifDevice(locks_after=0), TryLedger()
    with pytest.raises(AuthRefused) as caught:
        await asked(device, *BAD[:2], ledger=ledger)
    assert caught.value.code == "account_locked"
    assert ledger.spent("127.0.0.1")


async def test_without_a_password_none_is_tried() -> None:
    device = OnvifDevice()
    with pytest.raises(AuthRefused) as caught:
        await asked(device)
    assert caught.value.code == "auth_required"


async def test_a_device_that_falls_silent_costs_no_try() -> None:
    async def silent(_: object) -> bytes:
        await asyncio.Event().wait()
        return b""

    device, ledger = OnvifDevice(answers={"GetDeviceInformation": silent}), TryLedger()
    with pytest.raises(Unreachable) as caught:
        await asked(device, GOOD, ledger=ledger, timeouts=QUICK)
    assert caught.value.code == "no_answer"
    assert ledger.failures("127.0.0.1") == 0


async def test_other_faults_are_told_as_the_device_says_them() -> None:
    broken = (500, shapes.fault("ter:Action", "sensor on fire", code="Receiver"))
    device = OnvifDevice(answers={"GetDeviceInformation": broken})
    with pytest.raises(Faulted) as caught:
        await asked(device, GOOD)
    assert str(caught.value).startswith("Receiver/Action: sensor on fire. The device refused")


def http(head: str, body: bytes = b"") -> bytes:
    return f"HTTP/1.1 {head}\r\nConnection: close\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (http("200 OK", b"x" * (MAX_ANSWER_BYTES + 1)), "answer_too_large"),
        (
            http("200 OK\r\nContent-Encoding: gzip", gzip.compress(shapes.DEVICE_INFORMATION)),
            "encoding_refused",
        ),
        (http("302 Found\r\nLocation: http://127.0.0.2/onvif"), "redirect_refused"),
        (http("307 Temporary Redirect\r\nLocation: http://127.0.0.2/onvif"), "redirect_refused"),
        (http("200 OK", b"<!DOCTYPE html><html>camera</html>"), "not_onvif"),
        (http("200 OK", b"<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>"), "doctype_refused"),
        (http("200 OK", b""), "bad_answer"),
        (b"SSH-2.0-dropbear\r\n\r\n", "bad_answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\nshort", "closed_by_peer"),
        (b"", "closed_by_peer"),
    ],
)
async def test_what_is_no_answer_is_refused_by_a_code(raw: bytes, code: str) -> None:
    with pytest.raises((BadAnswer, Unreachable)) as caught:
        await asked(OnvifDevice(raw=raw), GOOD)
    assert caught.value.code == code


async def test_a_web_server_without_onvif_is_told_from_a_broken_one() -> None:
    for status, code in ((404, "not_onvif"), (405, "not_onvif"), (502, "http_error")):
        device = OnvifDevice(answers={"GetDeviceInformation": (status, b"<html>no</html>")})
        with pytest.raises(BadAnswer) as caught:
            await asked(device, GOOD)
        assert (caught.value.code, caught.value.status) == (code, status)


async def test_a_redirect_is_not_followed_and_nothing_leaves_for_elsewhere() -> None:
    elsewhere = OnvifDevice(wants="nothing")
    async with elsewhere.listening():
        where = f"http://127.0.0.1:{elsewhere.port}/onvif/device_service"
        with pytest.raises(BadAnswer):
            await asked(OnvifDevice(raw=http(f"307 Gone\r\nLocation: {where}")), GOOD)
    assert elsewhere.requests == []


async def test_a_port_that_nobody_listens_on() -> None:
    device = OnvifDevice()
    async with device.listening():
        pass
    async with HttpTransport() as transport:
        client = DeviceClient(DeviceAddress("127.0.0.1", device.port), transport, [GOOD])
        with pytest.raises(Unreachable) as caught:
            await client.read_clock()
    assert caught.value.code == "connect_refused"


async def test_a_slow_drip_ends_at_the_deadline() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    with pytest.raises(Unreachable) as caught:
        async with asyncio.timeout(PATIENCE_S):
            await asked(OnvifDevice(raw=head, drips=True), timeouts=QUICK)
    assert caught.value.code == "no_answer"


async def test_nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for wants in ("token", "digest"):
        await asked(OnvifDevice(wants=wants), BAD[0], GOOD)
    assert "Example" not in caplog.text  # no bodies either
    assert PASSWORD not in caplog.text
    assert "wr0ng" not in caplog.text

"""A device described over HTTP: what is needed, what is a gap, and what stays secret."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest

from camera_registry.secret import Secret
from gateways.onvif import (
    AuthRefused,
    BadAnswer,
    CredentialSet,
    DeviceAddress,
    DeviceDescription,
    Faulted,
    HttpTransport,
    Timeouts,
    TryLedger,
    Unreachable,
    describe,
)
from support import onvif_shapes as shapes
from support.onvif_device import PASSWORD, OnvifDevice, Request
from support.onvif_shapes import profile, profile2

GOOD = CredentialSet("district-2026", "admin", Secret(PASSWORD))
BAD = CredentialSet("district-2020", "admin", Secret("wr0ng"))
NOT_SUPPORTED = (400, shapes.fault("ter:ActionNotSupported", "no such thing", code="Receiver"))


async def described(device: OnvifDevice, *sets: CredentialSet, **more: Any) -> DeviceDescription:
    async with device.listening(), HttpTransport() as http:
        return await describe(
            DeviceAddress("127.0.0.1", device.port), sets or (GOOD,), http=http, **more
        )


def codes(found: DeviceDescription) -> list[str]:
    return [note.code for note in found.notes]


@pytest.mark.parametrize("wants", ["nothing", "token", "digest", "both"])
async def test_a_camera_is_described(wants: str) -> None:
    device = OnvifDevice(wants=wants)
    found = await described(device, BAD, GOOD)
    assert (found.manufacturer, found.model, found.hardware_id) == (
        "Example Vision",
        "EV-D4 球机",
        "88",
    )
    assert found.mac == "c0:56:e3:0a:0b:0c"
    assert found.credential_set == (None if wants == "nothing" else "district-2026")
    assert device.failed_tries == (0 if wants == "nothing" else 1)
    [channel] = found.channels
    assert (channel.source_token, channel.name) == ("VideoSource_1", "mainStream")
    assert (channel.main.encoding, channel.main.width, channel.main.height) == ("H265", 2560, 1440)
    assert (channel.main.gov_length, channel.main.codec_profile) == (60, "Main")
    assert channel.main.stream_uri == "rtsp://127.0.0.1:554/main"
    assert channel.sub is not None
    assert (channel.sub.encoding, channel.sub.stream_uri) == ("H264", "rtsp://127.0.0.1:554/sub")
    # It believes to be on port 80, where we reached it on another one.
    assert channel.snapshot_uri == f"http://127.0.0.1:{device.port}/snap/main.jpg"
    assert found.snapshot_uri == channel.snapshot_uri
    assert channel.ptz_profile_token == "main"
    assert found.has_ptz
    assert found.has_events
    assert found.services.url("ptz") == f"http://127.0.0.1:{device.port}/onvif/ptz_service"
    assert codes(found) == []


async def test_a_description_holds_no_secret() -> None:
    found = await described(OnvifDevice())
    text = repr(found) + repr(asdict(found))
    assert PASSWORD not in text
    assert PASSWORD[:3] not in text  # of the userinfo that this device writes


async def test_an_old_camera_knows_only_capabilities_and_media() -> None:
    device = OnvifDevice()
    device.answers = {
        "GetServices": NOT_SUPPORTED,
        "GetCapabilities": lambda _: shapes.capabilities(device.claims_to_be_at),
    }
    found = await described(device)
    assert "media2" not in found.services.urls
    assert [one.main.encoding for one in found.channels] == ["H264"]
    assert found.channels[0].main.stream_uri == "rtsp://127.0.0.1:554/main"


async def test_a_camera_with_media2_alone() -> None:
    found = await described(OnvifDevice(service_names=("media2",)))
    assert found.channels[0].main.encoding == "H265"
    assert (found.has_ptz, found.has_events) == (False, False)


async def test_half_a_media2_is_completed_by_media() -> None:
    def half(request: Request) -> Any:
        if request.path.endswith("media2_service"):
            return NOT_SUPPORTED
        return shapes.uri(request.operation, "http://h/still.jpg")

    found = await described(OnvifDevice(answers={"GetSnapshotUri": half}))
    assert found.channels[0].snapshot_uri is not None
    assert found.channels[0].snapshot_uri.endswith("/still.jpg")
    assert codes(found) == []


async def test_gaps_are_notes_with_a_next_step() -> None:
    device = OnvifDevice(
        clock_offset=timedelta(hours=1),
        answers={
            "GetNetworkInterfaces": NOT_SUPPORTED,
            "GetSnapshotUri": NOT_SUPPORTED,
            "GetStreamUri": shapes.uri("GetStreamUri", "rtsp://h/user=a_password=b_ch=1.sdp"),
        },
        service_names=("media",),
    )
    found = await described(device)
    assert codes(found) == [
        "clock_off",
        "no_mac",
        "secret_left_out",
        "secret_left_out",
        "no_snapshot_uri",
    ]
    assert [note.where for note in found.notes] == ["", "", "main", "sub", "main"]
    assert all(note.sentence.endswith(".") for note in found.notes)
    assert found.clock_offset_s == pytest.approx(3600, abs=2)
    assert found.channels[0].main.stream_uri == "rtsp://127.0.0.1/user=a_password=_ch=1.sdp"


async def test_a_media_service_that_fails_beside_another_is_a_note() -> None:
    def broken_media(request: Request) -> Any:
        if request.path.endswith("media_service"):
            return 500, b"<html>oops</html>"
        return shapes.profiles(profile2("only"), media2=True)

    found = await described(OnvifDevice(answers={"GetProfiles": broken_media}))
    assert codes(found) == ["media_failed"]
    assert found.channels[0].main.profile_token == "only"


async def test_no_media_service_that_answers_is_an_error() -> None:
    with pytest.raises(Faulted) as caught:
        await described(OnvifDevice(answers={"GetProfiles": NOT_SUPPORTED}))
    assert caught.value.code == "not_supported"


async def test_a_recorder_that_is_too_slow_is_cut_short_and_says_so() -> None:
    written = [profile(f"p{n}", source=f"s{n}", encoder=f"e{n}") for n in range(4)]
    device = OnvifDevice(
        service_names=("media",), answers={"GetProfiles": shapes.profiles(*written)}
    )
    found = await described(device, deadline_s=-1.0)
    assert found.channels == ()
    assert codes(found) == ["cut_short"]


async def test_a_camera_that_hangs_over_its_stills_is_described_without() -> None:
    async def hang(_: Request) -> bytes:
        await asyncio.Event().wait()
        return b""

    found = await described(
        OnvifDevice(answers={"GetSnapshotUri": hang}), timeouts=Timeouts(total_s=3.0)
    )
    assert codes(found) == ["no_snapshot_uri"]
    assert found.channels[0].main.stream_uri is not None


async def test_a_camera_that_dies_meanwhile_is_not_described() -> None:
    async def hang(_: Request) -> bytes:
        await asyncio.Event().wait()
        return b""

    with pytest.raises(Unreachable):
        await described(OnvifDevice(answers={"GetStreamUri": hang}), timeouts=Timeouts(total_s=0.2))


async def test_a_user_who_may_not_see_the_network_may_be_described() -> None:
    device = OnvifDevice(answers={"GetNetworkInterfaces": (400, shapes.NOT_AUTHORIZED)})
    found = await described(device)
    assert codes(found) == ["no_mac"]
    assert device.failed_tries == 0


async def test_passwords_are_refused_by_name_and_remembered() -> None:
    ledger, device = TryLedger(), OnvifDevice(wants="digest")
    with pytest.raises(AuthRefused) as caught:
        await described(device, BAD, ledger=ledger)
    assert (caught.value.code, caught.value.tried) == ("auth_failed", ("district-2020",))
    assert ledger.failures("127.0.0.1") == 1


async def test_a_web_server_is_not_a_camera() -> None:
    nothing = (404, b"<!DOCTYPE html><html>nothing here</html>")
    usual = ("GetSystemDateAndTime", "GetServices", "GetCapabilities")
    with pytest.raises(BadAnswer) as caught:
        await described(OnvifDevice(answers=dict.fromkeys(usual, nothing)))
    assert caught.value.code == "not_onvif"

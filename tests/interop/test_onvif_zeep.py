"""A foreign ONVIF client as judge of the simulated devices: onvif-zeep-async, and its WSDLs."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.district import free_port
from support.onvif_client import PASSWORD, USER, devices, serving
from support.patience import PATIENCE_S

with warnings.catch_warnings():
    # Of its own imports; nothing else is forgiven.
    warnings.simplefilter("ignore", DeprecationWarning)
    from onvif import ONVIFCamera
    from zeep.exceptions import Fault

NETWORK = "127.77.16.0/29"


@asynccontextmanager
async def camera(
    number: int = 4,
    fault: str | None = None,
    clock: Callable[[], float] = time.time,
    **given: Any,
) -> AsyncIterator[Any]:
    """A client that has signed in to this device and knows its services."""
    served = devices(NETWORK, port=free_port(), **given)
    spec = served[number - 1].spec
    async with serving(served, clock=clock) as server:
        if fault is not None:
            await server.set_fault(number, fault)
        client = ONVIFCamera(spec.address, spec.port, USER, PASSWORD, adjust_time=True)
        try:
            await client.update_xaddrs()
            client.device = served[number - 1]
            client.server = server
            yield client
        finally:
            await client.close()


async def test_clock_sign_in_and_who_it_is() -> None:
    async with camera() as client:
        service = await client.create_devicemgmt_service()
        clock = (await service.GetSystemDateAndTime()).UTCDateTime
        shown = datetime(
            clock.Date.Year, clock.Date.Month, clock.Date.Day,
            clock.Time.Hour, clock.Time.Minute, clock.Time.Second, tzinfo=UTC,
        )  # fmt: skip
        assert abs(datetime.now(UTC) - shown) < timedelta(minutes=1)
        told = await service.GetDeviceInformation()
        assert (told.Manufacturer, told.Model, told.SerialNumber) == (
            "Tiandy", "TC-H324S", "TD000000004",
        )  # fmt: skip
        [interface] = await service.GetNetworkInterfaces()
        assert interface.Info.HwAddress == "02:53:48:00:00:04"
        assert interface.IPv4.Config.Manual[0].Address == "127.77.16.4"
        scopes = {each.ScopeItem for each in await service.GetScopes()}
        assert "onvif://www.onvif.org/hardware/TC-H324S" in scopes
        with pytest.raises(Fault, match="not supported"):
            await service.SystemReboot()


async def test_an_hour_off_is_made_up_for() -> None:
    async with camera(fault="clock-hour-off") as client:
        service = await client.create_devicemgmt_service()
        assert (await service.GetDeviceInformation()).SerialNumber == "TD000000004"
        assert client.dt_diff > timedelta(minutes=59)
        assert client.device.gate.failed_tries == 0


async def test_profiles_and_addresses() -> None:
    async with camera(3, channels=2) as client:
        media = await client.create_media_service()
        profiles = await media.GetProfiles()
        assert [each.token for each in profiles] == [
            f"media profile {channel} {name}" for channel in (1, 2) for name in ("main", "sub")
        ]
        sub = profiles[1]
        assert sub.VideoSourceConfiguration.SourceToken == "VideoSource_1"
        encoder = sub.VideoEncoderConfiguration
        assert (encoder.Encoding, encoder.Resolution.Width) == ("H264", 640)
        assert (encoder.RateControl.FrameRateLimit, encoder.H264.GovLength) == (15, 30)
        assert len(await media.GetVideoSources()) == 2
        setup = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
        uri = await media.GetStreamUri({"StreamSetup": setup, "ProfileToken": sub.token})
        assert uri.Uri == "rtsp://127.77.16.3:8554/cam/5/sub"
        picture = await client.get_snapshot(sub.token)
        assert picture.startswith(b"\xff\xd8")
        assert client.device.counters.snapshots == 1


async def test_ptz_moves_stops_and_keeps_places() -> None:
    async with camera() as client:
        ptz = await client.create_ptz_service()
        token = {"ProfileToken": "1-1"}
        [configuration] = await ptz.GetConfigurations()
        [node] = await ptz.GetNodes()
        assert configuration.NodeToken == node.token
        [space] = node.SupportedPTZSpaces.ContinuousPanTiltVelocitySpace
        assert (space.XRange.Min, space.XRange.Max) == (-1.0, 1.0)
        await ptz.ContinuousMove({**token, "Velocity": {"PanTilt": {"x": 0.5, "y": -0.5}}})
        async with asyncio.timeout(PATIENCE_S):
            while (status := await ptz.GetStatus(token)).Position.PanTilt.x < 0.02:
                pass
        assert status.MoveStatus.PanTilt == "MOVING"
        await ptz.Stop({**token, "PanTilt": True, "Zoom": True})
        stood = await ptz.GetStatus(token)
        assert stood.MoveStatus.PanTilt == "IDLE"
        kept = await ptz.SetPreset({**token, "PresetName": "东门"})
        assert [each.Name for each in await ptz.GetPresets(token)] == ["Home", "东门"]
        position = {"PanTilt": {"x": -1.0, "y": 0.0}, "Zoom": {"x": 1.0}}
        await ptz.AbsoluteMove({**token, "Position": position})
        await ptz.GotoPreset({**token, "PresetToken": kept})
        await ptz.RemovePreset({**token, "PresetToken": kept})
        assert [each.Name for each in await ptz.GetPresets(token)] == ["Home"]


async def test_a_pull_point_from_its_creation_to_its_end() -> None:
    # A clock that stands still: motion neither comes nor goes.
    begun = time.time()
    async with camera(clock=lambda: begun) as client:
        lost: list[bool] = []
        manager = await client.create_pullpoint_manager(
            timedelta(minutes=10), subscription_lost_callback=lambda: lost.append(True)
        )
        service = manager.get_service()
        pull = {"Timeout": timedelta(seconds=30), "MessageLimit": 10}
        first = (await service.PullMessages(pull)).NotificationMessage
        assert [each.Topic._value_1 for each in first] == [
            "tns1:VideoSource/MotionAlarm", "tns1:Device/Trigger/DigitalInput",
        ]  # fmt: skip
        asked = client.device.counters.requests
        waiting = asyncio.create_task(service.PullMessages(pull))
        async with asyncio.timeout(PATIENCE_S):
            while client.device.counters.requests == asked:
                await asyncio.sleep(0.01)
        client.server.switch_input(4, True)
        messages = (await waiting).NotificationMessage
        [data] = messages[-1].Message._value_1.Data.SimpleItem
        assert (data.Name, data.Value) == ("LogicalState", "true")
        renewed = await manager._subscription.Renew(
            client.get_next_termination_time(timedelta(minutes=20))
        )
        assert renewed.TerminationTime - renewed.CurrentTime == timedelta(minutes=20)
        await manager.shutdown()
        assert client.device.pull_points.open(begun) == 0
        assert lost == []


async def test_a_wrong_password_is_one_failed_try_and_a_fault() -> None:
    served = devices(NETWORK, port=free_port())
    spec = served[0].spec
    async with serving(served):
        client = ONVIFCamera(spec.address, spec.port, USER, "guess", adjust_time=True)
        try:
            await client.update_xaddrs()
            service = await client.create_devicemgmt_service()
            with pytest.raises(Fault, match="not authorized"):
                await service.GetDeviceInformation()
        finally:
            await client.close()
    assert served[0].gate.failed_tries == 1

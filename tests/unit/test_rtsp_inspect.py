"""A look at a camera in the test's own loop: its clock by the RTSP header, UDP in a bad order, and
what is no camera at all."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from gateways.rtsp.inspect import inspect
from gateways.rtsp.inspect_worker import LENGTH, REPLY, serve
from support.patience import PATIENCE_S, HeldUp
from support.scripted_camera import interleaved, scripted_camera


async def test_without_sender_reports_the_clock_is_the_date_headers() -> None:
    held_up = HeldUp()
    hour_ahead = datetime.now(UTC) + timedelta(hours=1)
    async with scripted_camera(date=format_datetime(hour_ahead, usegmt=True)) as camera:
        looked = await inspect(camera.url, look_s=1.0)
        assert camera.rtsp_requests[-1] == "TEARDOWN"
    facts = looked.facts
    assert facts.clock_source == "rtsp_date"
    assert facts.clock_skew_ms is not None
    assert abs(facts.clock_skew_ms - 3_600_000) < 60_000
    assert (facts.failure, facts.width, facts.fps_measured) == (None, 640, 15.0)
    assert facts.watched_ms < 1_500 + held_up.seconds() * 1000


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Nov 2026 25:61:00 GMT"])
async def test_a_date_that_does_not_read_is_no_clock(date: str) -> None:
    async with scripted_camera(date=date) as camera:
        facts = (await inspect(camera.url, look_s=0.5)).facts
    assert (facts.failure, facts.clock_skew_ms, facts.clock_source) == (None, None, None)


async def test_packets_that_overtake_each_other_are_no_b_frames_and_no_losses() -> None:
    async with scripted_camera(udp_only=True) as camera:
        facts = (await inspect(camera.url, look_s=3.0)).facts
    assert (facts.transport, facts.failure) == ("udp", None)
    assert (facts.b_frames, facts.gop_varies) == (False, False)
    assert facts.packets > 50
    assert facts.packets_lost <= 2  # those that had not come yet when the look ended


async def test_what_is_no_packet_and_no_message_ends_the_look_with_what_was_seen() -> None:
    async with scripted_camera() as camera:
        looking = asyncio.create_task(inspect(camera.url))
        async with asyncio.timeout(PATIENCE_S):
            while camera.playing == 0:
                await asyncio.sleep(0.01)
        camera.inject(interleaved(b"\x80\xc9 a report of our own kind", 1), b"\x00\xff rubbish")
        facts = (await looking).facts
    assert (facts.failed_step, facts.failure) == ("look", "bad_response")
    assert facts.codec == "H264"
    assert facts.packets > 0


async def test_an_address_that_is_none_is_said_without_dialling() -> None:
    facts = (await inspect("http://admin:letmein@camera/live")).facts
    assert (facts.failed_step, facts.failure, facts.connected) == ("address", "bad_address", False)


@pytest.mark.parametrize("host", ["camera..local", f"{'x' * 70}.local"])
async def test_a_name_that_is_none_is_said(host: str) -> None:
    facts = (await inspect(f"rtsp://{host}/live")).facts
    assert (facts.failed_step, facts.failure) == ("connect", "unknown_host")


async def test_a_fault_of_ours_at_one_camera_leaves_the_others_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    orders, answers = asyncio.StreamReader(), Answers()

    def order(**values: object) -> bytes:
        body = json.dumps(values).encode()
        return LENGTH.pack(len(body)) + body

    orders.feed_data(order(id=1))  # nothing of what is needed: a fault
    fine = {"url": "http://no", "username": None, "password": None}
    orders.feed_data(order(id=2, **fine, timeout_s=1.0, look_s=1.0))
    serving = asyncio.create_task(serve(orders, answers))  # type: ignore[arg-type]
    async with asyncio.timeout(PATIENCE_S):
        found = {1: await answers.next(), 2: await answers.next()}
    orders.feed_eof()
    await serving
    failures = {each["id"]: each["facts"]["failure"] for each in found.values()}
    assert failures == {1: "not_inspected", 2: "bad_address"}
    assert "KeyError" in capsys.readouterr().err


class Answers:
    """A writer that hands over what was written."""

    def __init__(self) -> None:
        self._written: asyncio.Queue[bytes] = asyncio.Queue()

    def write(self, data: bytes) -> None:
        self._written.put_nowait(data)

    async def drain(self) -> None:
        return None

    async def next(self) -> dict[str, dict[str, object]]:
        data = await self._written.get()
        facts_bytes, _ = REPLY.unpack(data[: REPLY.size])
        answer: dict[str, dict[str, object]] = json.loads(data[REPLY.size :][:facts_bytes])
        return answer

"""SIGTERM while people watch: they are told, the audit is closed, and the process is gone."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path

from support.district import ROOT, Farm, Service, copy_of, eventually, has_left
from support.patience import HeldUp
from support.view_events import events_of
from support.watching import PATIENCE_S, audit_rows, channels_of, watched

VIEWERS = 6
LEAVE_S = 3.0


async def test_sigterm_says_goodbye_closes_the_audit_and_leaves_in_time(service: Service) -> None:
    process = service.process
    assert process is not None
    async with service.client("yongshun") as client, AsyncExitStack() as stack:
        channels = await channels_of(client, VIEWERS - 1)
        ids = [channel["id"] for channel in channels]
        viewers = await stack.enter_async_context(watched(client, [*ids, ids[0]], decode=False))
        # Event streams are open, as a page has them; they must not hold the process.
        follows = [await stack.enter_async_context(events_of(client, v.location)) for v in viewers]
        for events in follows:
            await events.until("live", lambda s: s["state"] == "live", PATIENCE_S)

        held_up, started = HeldUp(process.pid), time.monotonic()
        process.send_signal(signal.SIGTERM)
        await eventually("the process is gone", lambda: has_left(process, held_up), PATIENCE_S)
        left_s = time.monotonic() - started - held_up.seconds()
        print(f"left {left_s:.2f} s after SIGTERM with {VIEWERS} viewers")
        assert left_s < LEAVE_S
        assert process.returncode == 0, service.log_path.read_text()[-2000:]

        for viewer, events in zip(viewers, follows, strict=True):
            await viewer.wait_goodbye(PATIENCE_S)
            async with asyncio.timeout(PATIENCE_S):
                while not events.ended:
                    await asyncio.sleep(0.01)
            assert events.state["state"] == "ended"
            assert events.state["reason"] == "shutdown"
            last_s = max(packet.at for packet in viewer.packets) - started
            assert last_s < LEAVE_S + held_up.seconds()

    log = service.log_path.read_text()
    assert "left_at_once" not in log
    assert "Traceback" not in log
    verified = service.cli("audit", "verify", check=False)
    assert verified.returncode == 0, verified.stdout + verified.stderr

    service.start()
    async with service.client("admin") as admin:
        starts = await audit_rows(admin, "view_start")
        ends = await audit_rows(admin, "view_end")
        opened = {row["detail"]["view_id"] for row in starts}
        assert len(opened) == VIEWERS
        assert {row["detail"]["view_id"] for row in ends} == opened
        for row in ends:
            assert row["detail"]["cause"] == "shutdown"
            assert row["detail"]["packets"] > 0
            assert {step for step, _ in row["detail"]["steps"]} >= {"permit", "dtls", "first_sent"}
        started_rows = await audit_rows(admin, "service_started")
        assert started_rows[0]["detail"]["views_closed"] == 0, "nothing was left open"


async def test_sigterm_without_viewers_and_with_a_still_under_way_leaves_in_time(
    service: Service,
) -> None:
    process = service.process
    assert process is not None
    async with service.client("yongshun") as client:
        [channel] = await channels_of(client, 1)
        path = f"/api/v1/channels/{channel['id']}/snapshot.jpg"
        assert (await client.get(path)).status_code == 200  # the decode worker runs
    assert service.stop() < LEAVE_S
    assert process.returncode == 0


async def test_a_service_whose_core_has_lost_a_part_leaves_in_order_and_starts_anew(
    farm: Farm, template: Path, tmp_path: Path
) -> None:
    fault = tmp_path / "fault"
    service = Service(
        copy_of(template, tmp_path / "data"),
        environment={"FAULTY_CORE": str(fault)},
        program=(str(ROOT / "tests/support/faulty_core.py"),),
    )
    service.start()
    process = service.process
    assert process is not None
    async with service.client("yongshun") as client:
        [channel] = await channels_of(client, 1)
        async with watched(client, [channel["id"]], decode=False) as [viewer]:
            await viewer.wait_packets(1, PATIENCE_S)
            fault.touch()
            await viewer.wait_goodbye(PATIENCE_S)
    held_up = HeldUp(process.pid)
    await eventually("the process is gone", lambda: has_left(process, held_up), PATIENCE_S)
    log = service.log_path.read_text()
    assert process.returncode == 1, "so that systemd starts it again (Restart=on-failure)"
    assert "core_fault" in log
    assert "report it" in log
    assert "Traceback" not in log

    fault.unlink()
    service.start()
    async with service.client("admin") as admin:
        [ended] = await audit_rows(admin, "view_end")
        assert ended["detail"]["cause"] == "shutdown"
    service.stop()

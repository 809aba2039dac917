"""The corpus of bad tickets (tests/support/bad_credentials.py) at the real core's RTSP door."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.bad_credentials import TICKETS, Tickets
from support.district import Farm, Service, copy_of, running_service
from support.patience import PATIENCE_S
from support.rtsp_viewer import RtspViewer
from support.watching import audit_rows, channels_of


@pytest.fixture
def open_door(farm: Farm, template: Path, tmp_path: Path) -> Iterator[Service]:
    environment = {"STREAMHUB_RTSP__LISTEN": "127.0.0.1:0"}
    with running_service(copy_of(template, tmp_path / "data"), environment) as service:
        yield service


async def _described(address: str, ticket: str, *, as_password: bool) -> int:
    """The status of a DESCRIBE with the ticket as an address's query, or as Basic's password."""
    viewer = RtspViewer(address, None if as_password else ticket)
    await viewer.connect()
    try:
        if not as_password:
            return (await viewer.describe()).status
        basic = base64.b64encode(f"ticket:{ticket}".encode()).decode()
        return (await viewer.ask("DESCRIBE", Authorization=f"Basic {basic}")).status
    finally:
        await viewer.close()


async def test_no_bad_ticket_shows_a_picture(open_door: Service) -> None:
    async with open_door.client("yongshun") as client, open_door.client("admin") as admin:
        [mine] = await channels_of(client, 1)
        listed = {row["id"] for row in await channels_of(client, 200)}
        foreign = next(row for row in await channels_of(admin, 200) if row["id"] not in listed)
        answer = await client.post(
            f"/api/v1/channels/{mine['id']}/rtsp-tickets", json={"profiles": ["sub"]}
        )
        assert answer.status_code == httpx.codes.CREATED, answer.text
        [stream] = answer.json()["streams"]
        hand = Tickets(
            now=time.time(),
            token_key=(open_door.data_dir / "token.key").read_bytes(),
            good=answer.json()["password"],
            token=open_door.token("yongshun"),
            foreign_channel=foreign["id"],
        )
        assert hand.signed() == hand.good
        for bad in TICKETS:
            for as_password in (False, True):
                status = await _described(
                    stream["address"], bad.make(hand), as_password=as_password
                )
                assert status == bad.status, f"{bad.name}, as password: {as_password}"
        # Each cause is told of once, with how often later; nobody's ticket stands in it.
        codes: set[str] = set()
        async with asyncio.timeout(PATIENCE_S):
            while not {"ticket_forged", "ticket_expired"} <= codes:
                refused = await audit_rows(admin, "credential_refused")
                codes = {row["detail"]["code"] for row in refused}
                assert {row["detail"]["came_with"] for row in refused} <= {"ticket"}
        assert hand.good not in str(refused)
        # A ticket is good until its subject's password is another.
        subjects = (await admin.get("/api/v1/subjects", params={"q": "yongshun"})).json()["items"]
        subject_id = next(row["id"] for row in subjects if row["username"] == "yongshun")
        body = {"password": "another one than before"}
        changed = await admin.patch(f"/api/v1/subjects/{subject_id}", json=body)
        assert changed.status_code == httpx.codes.OK, changed.text
        assert await _described(stream["address"], hand.good, as_password=False) == 401
        assert await audit_rows(admin, "view_start") == []
    assert hand.good not in open_door.log_path.read_text()

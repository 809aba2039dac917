"""What comes in broken, too early or not at all meant for us: refused or counted, and the views
that run do not notice."""

from __future__ import annotations

import asyncio
import random
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from streamhub.access.guard import utc_now
from streamhub.access.tokens import Tokens, load_key
from support.aiortc_viewer import AiortcViewer, new_peer
from support.district import Farm, Service, copy_of, eventually
from support.patience import KernelDrops
from support.scripted_camera import ScriptedCamera, interleaved, scripted_camera
from support.view_events import events_of
from support.watching import (
    PATIENCE_S,
    add_camera,
    assert_unharmed,
    channels_of,
    metric,
    view_of,
    watched,
)

DATAGRAMS = 10_000
# What is kept of a datagram is kept in each round; what the service needs besides is not.
MAX_GROWTH_KIB = 2 * 1024
ROUNDS = 3
UNROUTED = "streamhub_core_datagrams_unrouted_total"
REFUSED = "streamhub_core_viewer_datagrams_refused_total"
CAMERA_PACKETS_REFUSED = "streamhub_core_camera_packets_refused_total"
CAMERA_DESYNCS = "streamhub_core_camera_desyncs_total"


@pytest.fixture(scope="module")
def service(
    farm: Farm, template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One for all of them: whatever comes in, it goes on."""
    service = Service(copy_of(template, tmp_path_factory.mktemp("bad-input") / "data"))
    service.start()
    try:
        yield service
        assert service.process is not None
        assert service.process.poll() is None
        log = service.log_path.read_text()
        assert "Traceback" not in log
        assert '"exception"' not in log
    finally:
        service.stop()


@asynccontextmanager
async def a_bystander(client: httpx.AsyncClient) -> AsyncIterator[AiortcViewer]:
    """A view that runs all the while, and must not have noticed at the end."""
    [channel] = await channels_of(client, 1)
    async with watched(client, [channel["id"]], decode=False) as [viewer]:
        yield viewer
        await viewer.wait_packets(len(viewer.packets) + 60, PATIENCE_S)
        assert_unharmed(viewer)


async def offer_without(codec: str) -> str:
    """A browser's kind of offer that does not have this codec."""
    peer = new_peer()
    try:
        peer.addTransceiver("video", direction="recvonly")
        await peer.setLocalDescription(await peer.createOffer())
        sdp = peer.localDescription.sdp
    finally:
        await peer.close()
    gone = set(re.findall(rf"a=rtpmap:(\d+) {codec}/", sdp))
    assert gone
    gone |= {rtx for rtx, apt in re.findall(r"a=fmtp:(\d+) apt=(\d+)", sdp) if apt in gone}
    kept = []
    for line in sdp.split("\r\n"):
        named = re.match(r"a=(?:rtpmap|fmtp|rtcp-fb):(\d+) ", line)
        if named and named[1] in gone:
            continue
        if line.startswith("m=video"):
            head, formats = line.split(" ")[:3], line.split(" ")[3:]
            line = " ".join(head + [each for each in formats if each not in gone])
        kept.append(line)
    return "\r\n".join(kept)


async def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    body = answer.json()
    assert body["code"] == code
    assert body["status"] == status
    assert body["detail"]


async def test_bad_requests_are_named_and_open_nothing(service: Service) -> None:
    sdp = {"Content-Type": "application/sdp"}
    async with service.client("yongshun") as client, a_bystander(client) as bystander:
        [channel] = await channels_of(client, 1)
        async with service.client("liyuan") as other:
            [foreign] = await channels_of(other, 1)
        path = f"/whep/{channel['id']}"
        good = await offer_without("VP8")

        without = {
            name: "\r\n".join(line for line in good.split("\r\n") if not line.startswith(name))
            for name in ("m=video", "a=ice-ufrag", "a=ice-pwd", "a=fingerprint")
        }
        broken: list[str | bytes] = ["", "v=0", "v=0\r\nm=video", "\0\1\2", good[::-1], b"\xff\xfe"]
        for offer in [*broken, *without.values()]:
            answer = await client.post(path, content=offer, headers=sdp)
            await refused(answer, 400, "malformed_sdp")
        await refused(await client.post(path, content=good), 415, "not_sdp")
        await refused(await client.post(path, json={"sdp": good}), 415, "not_sdp")
        answer = await client.post(path, content=await offer_without("H264"), headers=sdp)
        await refused(answer, 422, "no_common_codec")
        for strange in ("ch_aaaaaaaaaaaaaaaaaaaaaaaa", "x", "%2e%2e", foreign["id"]):
            answer = await client.post(f"/whep/{strange}", content=good, headers=sdp)
            await refused(answer, 404, "not_found")
        answer = await client.post(path, params={"profile": "fifth"}, content=good, headers=sdp)
        assert answer.status_code in (404, 422)
        huge = good + "a=x:" + "y" * 100_000
        assert (await client.post(path, content=huge, headers=sdp)).status_code == 413

        async with httpx.AsyncClient(base_url=service.url, timeout=PATIENCE_S) as nobody:
            await refused(
                await nobody.post(path, content=good, headers=sdp), 401, "unauthenticated"
            )
            for header in ("Bearer", "Bearer not.a.token", "Basic YWRtaW46YWRtaW4="):
                headers = {**sdp, "Authorization": header}
                answer = await nobody.post(path, content=good, headers=headers)
                await refused(answer, 401, "token_invalid")
                assert answer.headers["WWW-Authenticate"]

        mine = (await client.get("/api/v1/views")).json()["items"]
        assert [view["id"] for view in mine] == [bystander.location.rpartition("/")[2]]


async def test_an_expired_token_opens_nothing(service: Service) -> None:
    key = load_key(service.data_dir)
    me = httpx.get(
        f"{service.url}/api/v1/me",
        headers={"Authorization": f"Bearer {service.token('yongshun')}"},
        timeout=PATIENCE_S,
    ).json()
    an_hour_ago = Tokens(key, lambda: utc_now() - timedelta(hours=1))
    for version in range(1, 4):
        token = an_hour_ago.issue(
            subject_id=me["id"], username="yongshun", version=version, sign_in_id="si_1"
        )
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
        async with httpx.AsyncClient(
            base_url=service.url, headers=headers, timeout=PATIENCE_S
        ) as late:
            answer = await late.post("/whep/ch_x", content="v=0")
            await refused(answer, 401, "token_expired")
            await refused(await late.get("/api/v1/channels"), 401, "token_expired")
    forged = Tokens(b"k" * 32, utc_now).issue(
        subject_id=me["id"], username="yongshun", version=1, sign_in_id="si_1"
    )
    answer = httpx.get(
        f"{service.url}/api/v1/me",
        headers={"Authorization": f"Bearer {forged}"},
        timeout=PATIENCE_S,
    )
    await refused(answer, 401, "token_invalid")


def truncated_rtp(camera: ScriptedCamera) -> list[bytes]:
    """Frames of the right length whose packet is none, or ends before its headers say so."""
    whole = camera.rtp(b"\x41" + bytes(40))
    return [
        interleaved(b""),
        *(interleaved(whole[:size]) for size in (1, 5, 11)),
        interleaved(b"\x40" + whole[1:]),  # version 1
        interleaved(b"\x8f" + whole[1:12] + bytes(8)),  # 15 CSRCs, room for two
        interleaved(b"\x90" + whole[1:12] + b"\xbe\xde\xff\xff"),  # an extension of 256 kB
        interleaved(b"\xa0" + whole[1:12] + b"\x41\xff"),  # padding longer than the payload
        interleaved(whole[:1] + b"\x7f" + whole[2:]),  # a payload type nobody announced
        interleaved(camera.rtp(b"\x1c")),  # FU-A without its header
        interleaved(camera.rtp(b"\x78\xff\xff\x41")),  # STAP-A with a NAL of 64 kB
        interleaved(whole, channel=7),
        interleaved(b"\x81\xc8\xff\xff\0", channel=1),  # RTCP of 256 kB, cut
    ]


async def test_truncated_rtp_of_a_camera_is_counted_and_dropped(service: Service) -> None:
    async with (
        service.client("yongshun") as client,
        service.client("admin") as admin,
        scripted_camera() as camera,
        a_bystander(client),
    ):
        [neighbour] = await channels_of(client, 1)
        channel = await add_camera(admin, camera.url, neighbour["area_id"])
        async with watched(client, [channel["id"]]) as [viewer]:
            await viewer.wait_pictures(10, PATIENCE_S)
            before = await metric(client, CAMERA_PACKETS_REFUSED)
            broken = truncated_rtp(camera)
            camera.inject(*broken)
            await eventually("the camera has sent it", lambda: camera.injected_all, PATIENCE_S)
            # What it broke is mended by the next keyframe, two seconds on at most.
            await viewer.wait_pictures(viewer.pictures + 60, PATIENCE_S)
            assert_unharmed(viewer)
            assert camera.dials == 1, "none of it costs the connection"
            # All but the RTCP one, which is no packet of pictures.
            assert await metric(client, CAMERA_PACKETS_REFUSED) - before >= len(broken) - 1


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(b"$\0\0\x20" + bytes(300), id="longer-than-said"),
        pytest.param(b"$\0\xff\xff" + bytes(100), id="shorter-than-said"),
        pytest.param(random.Random(1).randbytes(3000), id="noise"),
        pytest.param(b"RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n", id="endless-answer"),
    ],
)
async def test_a_wrong_interleaved_length_ends_at_most_that_connection(
    service: Service, wrong: bytes
) -> None:
    async with (
        service.client("yongshun") as client,
        service.client("admin") as admin,
        scripted_camera() as camera,
        a_bystander(client),
    ):
        [neighbour] = await channels_of(client, 1)
        channel = await add_camera(admin, camera.url, neighbour["area_id"])
        async with watched(client, [channel["id"]]) as [viewer]:
            await viewer.wait_pictures(10, PATIENCE_S)
            camera.inject(wrong)
            await eventually("the camera has sent it", lambda: camera.injected_all, PATIENCE_S)
            packets = len(viewer.packets)
            await viewer.wait_pictures(viewer.pictures + 60, PATIENCE_S)
            await viewer.wait_packets(packets + 100, PATIENCE_S)
            assert_unharmed(viewer)
            # Found its place again, or hung up and dialled once more; either is counted.
            desyncs = await metric(client, CAMERA_DESYNCS)
            refused_packets = await metric(client, CAMERA_PACKETS_REFUSED)
            assert desyncs + refused_packets + (camera.dials - 1) >= 1
            view = await view_of(client, viewer)
            assert view is not None
            assert view["state"] == "live"


def rss_kib(pid: int) -> int:
    """Resident memory of a process (proc(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0])


async def send_datagrams(port: int, datagrams: list[bytes]) -> None:
    """From four addresses in turn, no faster than a socket's buffer of the kernel's default."""
    senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
    try:
        for at, datagram in enumerate(datagrams):
            senders[at % 4].sendto(datagram, ("127.0.0.1", port))
            if at % 50 == 49:
                await asyncio.sleep(0.002)
    finally:
        for sender in senders:
            sender.close()


def random_datagrams(seed: int) -> list[bytes]:
    """Every first byte alike often: STUN, DTLS, SRTP and what is none of these."""
    rng = random.Random(seed)
    made = []
    for at in range(DATAGRAMS):
        body = rng.randbytes(rng.choice([0, 1, 3, 19, 20, 50, 200, 1200, 1472]))
        made.append(bytes((at % 256,)) + body)
        if at % 5 == 0:  # a well-formed STUN head over noise
            size = len(body) // 4 * 4
            made[-1] = b"\0\1" + size.to_bytes(2, "big") + b"\x21\x12\xa4\x42" + body[:size]
    return made


async def test_random_datagrams_cost_neither_memory_nor_a_view(service: Service) -> None:
    assert service.process is not None
    pid = service.process.pid
    async with service.client("yongshun") as client, a_bystander(client) as viewer:
        await send_datagrams(service.udp_port, random_datagrams(1))
        await viewer.wait_packets(len(viewer.packets) + 60, PATIENCE_S)
        unrouted, drops = await metric(client, UNROUTED), KernelDrops()
        rss = [rss_kib(pid)]
        for round_number in range(ROUNDS):
            await send_datagrams(service.udp_port, random_datagrams(2 + round_number))
            await viewer.wait_packets(len(viewer.packets) + 60, PATIENCE_S)
            rss.append(rss_kib(pid))
        counted, dropped = await metric(client, UNROUTED) - unrouted, drops.count()
        print(
            f"{ROUNDS} times {DATAGRAMS} random datagrams: {counted:.0f} counted, {dropped} too "
            f"many for the kernel, RSS {rss} kB"
        )
        assert min(after - before for before, after in pairwise(rss)) <= MAX_GROWTH_KIB
        assert counted + dropped >= ROUNDS * DATAGRAMS * 0.8


async def test_a_client_hello_before_its_time_is_counted(service: Service) -> None:
    hello = b"\x16\xfe\xfd" + bytes(8) + (200).to_bytes(2, "big") + b"\1" + bytes(199)
    async with service.client("yongshun") as client, a_bystander(client):
        before = await metric(client, UNROUTED)
        await send_datagrams(service.udp_port, [hello] * 20)
        async with asyncio.timeout(PATIENCE_S):
            while await metric(client, UNROUTED) - before < 20:
                await asyncio.sleep(0.05)


async def test_noise_from_a_viewers_own_address_does_not_end_its_view(service: Service) -> None:
    """A sender's address can be forged: what is not authenticated must not end a view."""
    rng = random.Random(3)
    async with service.client("yongshun") as client, a_bystander(client):
        _, channel = await channels_of(client, 2)
        async with (
            watched(client, [channel["id"]], decode=False) as [viewer],
            events_of(client, viewer.location) as events,
        ):
            before = await metric(client, REFUSED)
            for first in (0, 1, 20, 21, 22, 23, 25, 63, 64, 128, 200, 255):
                for size in (0, 1, 12, 60, 1200):
                    viewer.send_raw(bytes((first,)) + rng.randbytes(size))
                # Records with a right head: alert, handshake, ChangeCipherSpec, data.
                for epoch in (0, 1, 2):
                    body = rng.randbytes(40)
                    head = bytes((first, 0xFE, 0xFD, 0, epoch)) + bytes(6)
                    viewer.send_raw(head + len(body).to_bytes(2, "big") + body)
            # A fatal alert in the clear, as anybody could forge it (RFC 6347 section 4.1.2.7).
            viewer.send_raw(b"\x15\xfe\xfd" + bytes(8) + b"\0\2\2\x28")
            await viewer.wait_packets(len(viewer.packets) + 100, PATIENCE_S)
            assert_unharmed(viewer)
            assert events.state["state"] == "live"
            assert await metric(client, REFUSED) > before

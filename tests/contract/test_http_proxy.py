"""Behind a proxy: what it forwards is believed of those that are listed, and of nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from streamhub.cli.servers import PageServer
from streamhub.settings import HttpSettings
from support.http_kit import Running, a_service, problem

VIEWER = "198.51.100.7"
PROXY = "192.0.2.1"
SIGN_IN = {"username": "lister", "password": "lister-pass"}


@asynccontextmanager
async def reached(
    running: Running, trusted: list[str], peer: str, host: str = "hub.example", **headers: str
) -> AsyncIterator[httpx.AsyncClient]:
    """The server that `serve` runs with such settings, reached from an address by plain HTTP."""
    server = PageServer(running.app, HttpSettings(trusted_proxies=trusted), requests_s=1)
    server.config.load()
    transport = httpx.ASGITransport(app=server.config.loaded_app, client=(peer, 40_000))
    async with httpx.AsyncClient(
        transport=transport, base_url=f"http://{host}", headers=headers
    ) as client:
        yield client


async def seen(running: Running, trusted: list[str], peer: str, forwarded_for: str) -> str:
    """Whom the audit has for a sign-in that claims to come by https, with `tls` behind it where
    the service took it for that."""
    claims = {"X-Forwarded-For": forwarded_for, "X-Forwarded-Proto": "https"}
    async with reached(running, trusted, peer, **claims) as client:
        answer = await client.post("/api/v1/sign-in", json=SIGN_IN)
    assert answer.status_code == 200, answer.text
    is_tls = "strict-transport-security" in answer.headers
    assert ("Secure" in answer.headers["set-cookie"]) is is_tls
    remote = (await running.audit_rows("sign_in"))[0]["remote"]
    return f"{remote} tls" if is_tls else str(remote)


async def test_a_listed_proxy_is_believed_by_address_and_by_network(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        for trusted, peer in (
            ([PROXY], PROXY),
            (["203.0.113.1", "192.0.2.0/24"], "192.0.2.200"),
            (["2001:db8::/32"], "2001:db8::9"),
            (["127.0.0.1"], "127.0.0.1"),
        ):
            assert await seen(running, trusted, peer, VIEWER) == f"{VIEWER} tls", trusted


async def test_nobody_else_is(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        for trusted, peer in (
            ([], PROXY),
            ([], "127.0.0.1"),  # a program on this machine is no proxy until it is listed
            ([PROXY], "192.0.2.2"),
            ([PROXY], "127.0.0.1"),
            (["192.0.2.0/25"], "192.0.2.128"),
            (["2001:db8::/64"], "2001:db8:1::1"),
        ):
            assert await seen(running, trusted, peer, VIEWER) == peer, trusted


async def test_what_a_viewer_claims_to_a_proxy_is_not_believed(tmp_path: Path) -> None:
    """A proxy puts who asked it behind what it was told."""
    async with a_service(tmp_path) as running:
        claimed = f"203.0.113.9, {VIEWER}"
        assert await seen(running, [PROXY], PROXY, claimed) == f"{VIEWER} tls"
        by_two = f"203.0.113.9, {VIEWER}, 192.0.2.2"
        assert await seen(running, ["192.0.2.0/24"], PROXY, by_two) == f"{VIEWER} tls"
        assert await seen(running, [PROXY], PROXY, by_two) == "192.0.2.2 tls"


async def test_a_proxy_that_keeps_the_host_to_itself_lets_the_page_change_nothing(
    tmp_path: Path,
) -> None:
    page = {"Origin": "https://hub.example:8443", "X-Forwarded-Proto": "https"}
    async with a_service(tmp_path) as running:
        async with reached(running, [PROXY], PROXY, "hub.example:8443", **page) as client:
            answer = await client.post("/api/v1/sign-in", json=SIGN_IN)
            cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
        # The proxy's own, and without the port.
        for host in ("127.0.0.1:8080", "hub.example"):
            async with reached(running, [PROXY], PROXY, host, **page, **cookie) as client:
                assert (await client.get("/api/v1/me")).status_code == 200
                refused = await client.post("/api/v1/sign-out")
                assert problem(refused) == (403, "cross_origin"), host
        async with reached(running, [PROXY], PROXY, "hub.example:8443", **page, **cookie) as client:
            assert (await client.post("/api/v1/sign-out")).status_code == 204

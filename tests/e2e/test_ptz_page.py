"""The pad of an enlarged tile in Chromium steers a simulated dome, and lets it stand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
from playwright.async_api import Browser, expect

from streamhub.farm_onvif.ptz import Head
from support.district import Service, running_farm
from support.onvif_client import PASSWORD, USER, devices, serving
from support.page import Wall
from support.watching import PATIENCE_S, add_camera, channels_of

ONVIF_PORT, RTSP_PORT = 18_103, 18_104


async def until(what: str, ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not ready():
            await asyncio.sleep(0.02)
    assert ready(), what


async def a_dome(admin: httpx.AsyncClient, host: str) -> dict[str, object]:
    """A channel whose registry entry is as an import of a sweep leaves it."""
    [neighbour] = await channels_of(admin, 1)
    url = f"rtsp://{USER}@{host}:{RTSP_PORT}/cam/1"
    channel = await add_camera(admin, f"{url}/sub", neighbour["area_id"], main_url=f"{url}/main")
    detail = (await admin.get(f"/api/v1/channels/{channel['id']}")).json()
    facts = {"protocol": "ONVIF", "access_port": str(ONVIF_PORT)}
    for path, body in (
        (f"/api/v1/devices/{detail['device_id']}", {"password": PASSWORD}),
        (f"/api/v1/channels/{channel['id']}", {"facts": facts}),
    ):
        answer = await admin.patch(path, json=body)
        assert answer.is_success, answer.text
    return channel


async def test_a_held_key_and_a_held_button_turn_the_camera_and_letting_go_stops_it(
    service: Service, browser: Browser
) -> None:
    page = await browser.new_page(locale="zh-CN", viewport={"width": 1280, "height": 720})
    wall = Wall(page, service)
    simulated = devices("127.79.2.0/29", devices=4, port=ONVIF_PORT, rtsp_port=RTSP_PORT)
    dome = simulated[3]
    head: Head = dome.head(dome.channels[0])
    with running_farm("", cameras=4) as farm:
        async with (
            serving(simulated, rtsp_farm=("127.0.0.1", farm.port)),
            service.client("admin") as admin,
        ):
            channel = await a_dome(admin, dome.spec.address)
            await wall.sign_in("admin")
            await wall.open_channel(channel)
            await wall.wait_decoding()
            assert await page.get_by_test_id("tile-ptz").count() == 0  # one of four tiles
            await page.get_by_test_id("tile-0").press("Enter")
            await page.get_by_test_id("tile-0").hover()
            await page.get_by_test_id("tile-ptz").click()
            pad = page.get_by_test_id("ptz-pad")
            await expect(pad).to_be_focused()

            await page.keyboard.down("ArrowRight")
            await until("the key turns it", lambda: head.pan.velocity > 0)
            await page.keyboard.up("ArrowRight")
            await until("letting go stops it", lambda: head.pan.velocity == 0)

            moves = head.moves
            await page.get_by_test_id("ptz-up_left").hover()
            await page.mouse.down()
            await until("the button turns it", lambda: head.moves > moves)
            assert head.tilt.velocity > 0 > head.pan.velocity
            await page.mouse.up()
            await until("letting go stops it", lambda: head.tilt.velocity == 0)

            await expect(page.get_by_test_id("ptz-presets")).to_have_value("1")
            await page.get_by_test_id("ptz-go").click()
            await until("it goes to the preset", lambda: head.pan.target == 0)
            await expect(page.get_by_test_id("ptz-said")).to_have_count(0)

            await page.get_by_test_id("tile-ptz").click()
            await expect(pad).to_have_count(0)

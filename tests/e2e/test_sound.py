"""Chromium hears a camera when its operator asks for sound, in step with the picture."""

from __future__ import annotations

import time
from typing import Any

from playwright.async_api import Browser, Page

from support.district import Service, running_farm
from support.page import Wall
from support.patience import KernelDrops
from support.watching import PATIENCE_S, add_camera, channels_of

TONE_HZ = 500
# Chromium brings the two together by and by.
APART_MS = 300
# What a page does: one bundle of picture and sound, one element that plays both.
OPEN = """async (path) => {
  const peer = new RTCPeerConnection();
  for (const kind of ['video', 'audio']) peer.addTransceiver(kind, {direction: 'recvonly'});
  const stream = new MediaStream();
  peer.ontrack = (event) => stream.addTrack(event.track);
  await peer.setLocalDescription();
  const answer = await fetch(path, {method: 'POST', body: peer.localDescription.sdp,
    headers: {'Content-Type': 'application/sdp'}});
  await peer.setRemoteDescription({type: 'answer', sdp: await answer.text()});
  const video = document.createElement('video');
  video.srcObject = stream;
  document.body.append(video);
  await video.play();
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 4096;
  context.createMediaStreamSource(stream).connect(analyser);
  window.heard = {peer, context, analyser, video};
  return answer.headers.get('Location').split('/').pop();
}"""
# Read until both are there: the pitch that is loudest, and when what plays now was sent.
HEAR = """async () => {
  const {peer, context, analyser} = window.heard;
  const loudness = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(loudness);
  const loudest = loudness.reduce((best, db, at) => db > loudness[best] ? at : best, 0);
  const found = {pitch_hz: loudest * context.sampleRate / analyser.fftSize,
    loudest_db: loudness[loudest]};
  for (const row of (await peer.getStats()).values())
    if (row.type === 'inbound-rtp')
      found[row.kind] = {packets: row.packetsReceived, lost: row.packetsLost,
        playing_ms: row.estimatedPlayoutTimestamp, concealed: row.concealedSamples,
        samples: row.totalSamplesReceived, frames: row.framesDecoded};
  return found;
}"""
SET_AUDIO = """async ([view, on]) => (await fetch(`/api/v1/views/${view}/audio`, {method: 'PUT',
  body: JSON.stringify({on}), headers: {'Content-Type': 'application/json'}})).status"""


def apart_ms(found: dict[str, Any]) -> float:
    """By how much what is heard was sent later than what is seen."""
    return float(found["audio"]["playing_ms"] - found["video"]["playing_ms"])


async def heard(page: Page, what: str, ready: Any) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found: dict[str, Any] = await page.evaluate(HEAR)
        if ready(found):
            return found
        assert time.monotonic() < deadline, f"{what}: {found}"
        await page.wait_for_timeout(100)


async def test_chromium_hears_the_tone_after_asking_and_in_step_with_the_picture(
    service: Service, browser: Browser
) -> None:
    with running_farm("", cameras=3) as farm:
        async with service.client("admin") as admin, service.client("yongshun") as client:
            [known] = await channels_of(client, 1)
            url = f"rtsp://127.0.0.1:{farm.port}/sound/pcma/cam/3/sub"
            channel = await add_camera(admin, url, known["area_id"])
        page = await browser.new_page()
        await Wall(page, service).sign_in("yongshun")
        drops = KernelDrops()
        view = await page.evaluate(OPEN, f"/whep/{channel['id']}?profile=sub")
        before = await heard(
            page, "the picture", lambda f: f.get("video", {}).get("frames", 0) > 20
        )
        assert before.get("audio", {}).get("packets", 0) == 0

        assert await page.evaluate(SET_AUDIO, [view, True]) == 200
        found = await heard(
            page,
            "the tone, in step with the picture",
            lambda f: (
                f.get("audio", {}).get("packets", 0) > 200
                and f["loudest_db"] > -60
                and f["audio"]["playing_ms"]
                and f["video"]["playing_ms"]
                and abs(apart_ms(f)) < APART_MS
            ),
        )
        print(found)
        assert abs(found["pitch_hz"] - TONE_HZ) < 20
        assert found["audio"]["lost"] <= drops.count()
        print(f"sound and picture: {apart_ms(found):.0f} ms apart")

        assert await page.evaluate(SET_AUDIO, [view, False]) == 200
        quiet = await heard(page, "silence", lambda f: f["loudest_db"] < -100)
        assert quiet["video"]["frames"] > found["video"]["frames"]
        await page.evaluate("() => window.heard.peer.close()")

"""Two viewers of one channel in one document, read in the same task: which is behind which?

The second viewer is the page's own player on a `<video>` beside the tile, so both run the same code
in the same browser, and one animation frame reads both pictures' numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from playwright.async_api import Page

# The bar (docs/farm.md) is read from the luma plane of a VideoFrame: it costs no colour conversion
# of a whole picture, which on a small machine would itself delay the pictures.
_WATCH = """async ([tile, placeInGop, gopPictures, watchMs]) => {
  const glass = document.querySelector(`[data-testid="tile-${tile}"] video`);
  const first = window.__streamhub.players[tile];
  const animationFrame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const grab = (video) => video.readyState >= 2 ? new VideoFrame(video) : null;
  const readNumber = async (frame) => {
    if (frame === null) return null;
    const width = frame.visibleRect.width, rows = frame.visibleRect.height / 18;
    const rect = {x: frame.visibleRect.x, y: Math.ceil(rows / 8) * 2, width,
                  height: Math.ceil(rows / 8) * 4};
    const pixels = new Uint8Array(frame.allocationSize({rect}));
    const [luma] = await frame.copyTo(pixels, {rect});
    frame.close();
    let bits = 0;
    for (let cell = 0; cell < 24; cell++) {
      let sum = 0, count = 0;
      for (let x = Math.ceil((cell + .25) * width / 24); x < (cell + .75) * width / 24; x++)
        for (let y = 0; y < rect.height; y++) {
          sum += pixels[luma.offset + y * luma.stride + x]; count++;
        }
      const mean = sum / count;
      if (mean > 90 && mean < 165) return null;
      bits = bits * 2 + (mean >= 165 ? 1 : 0);
    }
    let crc = 0xFF;
    for (const byte of [bits >> 16 & 0xFF, bits >> 8 & 0xFF]) {
      crc ^= byte;
      for (let i = 0; i < 8; i++) crc = crc & 0x80 ? (crc << 1 ^ 0x07) & 0xFF : crc << 1;
    }
    return crc === (bits & 0xFF) ? bits >> 8 & 0xFFF : null;
  };
  const stats = async (player) => {
    for (const row of (await player.getStats()).values())
      if (row.type === 'inbound-rtp' && row.kind === 'video') return {
        decoded: row.framesDecoded, dropped: row.framesDropped, freezes: row.freezeCount,
        bufferMs: 1000 * row.jitterBufferDelay / row.jitterBufferEmittedCount,
        targetMs: 1000 * row.jitterBufferTargetDelay / row.jitterBufferEmittedCount,
        minimumMs: 1000 * row.jitterBufferMinimumDelay / row.jitterBufferEmittedCount,
        decodeMs: 1000 * row.totalDecodeTime / row.framesDecoded};
  };

  const target = Math.floor(placeInGop * gopPictures);
  for (;;) {
    await animationFrame();
    const number = await readNumber(grab(glass));
    // A browser may look less often than there are pictures: about the target will do.
    if (number !== null && (number - target + gopPictures) % gopPictures < 3) break;
  }
  const video = document.createElement('video');
  Object.assign(video, {autoplay: true, muted: true, playsInline: true});
  // On the screen, as a browser draws what is not seen less eagerly.
  video.style = 'position: fixed; right: 0; bottom: 0; width: 30%; z-index: 9';
  document.body.append(video);
  const {channelId, profile} = first;
  const second = new first.constructor({channelId, profile, onState: () => undefined});
  second.attach(video);
  let firstPictureAt = null;
  video.requestVideoFrameCallback((now) => (firstPictureAt = now));
  const askedAt = performance.now();
  second.open();
  const readings = [];
  while (firstPictureAt === null || performance.now() - firstPictureAt < watchMs) {
    await animationFrame();
    if (performance.now() - askedAt > 120000) break;
    const at = performance.now(), frames = [grab(glass), grab(video)];
    const [settled, joined] = await Promise.all(frames.map(readNumber));
    if (firstPictureAt !== null)
      readings.push({afterMs: at - firstPictureAt, atUnixMs: performance.timeOrigin + at,
        settled, joined});
  }
  const found = {askedToFirstMs: firstPictureAt === null ? null : firstPictureAt - askedAt,
    readings, settled: await stats(first), joined: await stats(second)};
  second.close();
  second.attach(null);
  video.remove();
  return found;
}"""


@dataclass(frozen=True)
class Reading:
    """Both viewers at one instant."""

    after_ms: float
    """Since the first picture of the viewer that joined."""
    at_unix_ms: float
    settled: int
    """The number of the picture on the glass of the viewer that had settled."""
    joined: int
    behind: int
    """Pictures by which the viewer that joined is behind the other; negative: ahead."""


@dataclass(frozen=True)
class SideBySide:
    """One join beside a viewer that had settled."""

    first_picture_ms: float
    """From the request to the first picture on the glass."""
    readings: list[Reading]
    drawn: dict[str, list[tuple[float, int]]]
    """What each viewer (`settled`, `joined`) by itself showed: `after_ms`, and the picture's
    number."""
    settled: dict[str, Any]
    joined: dict[str, Any]

    def behind(self, from_ms: float, until_ms: float) -> list[int]:
        """Of the readings in this window, each."""
        return [r.behind for r in self.readings if from_ms <= r.after_ms < until_ms]


async def watch_a_join(
    page: Page, *, place_in_gop: float, gop_pictures: int, loop_pictures: int, watch_ms: int
) -> SideBySide:
    """A second viewer joins the channel of tile 0 when that shows the picture at `place_in_gop`
    (0 to 1); both are read for `watch_ms`. The page needs `?debug`."""
    found = await page.evaluate(_WATCH, [0, place_in_gop, gop_pictures, watch_ms])
    assert found["askedToFirstMs"] is not None, "the second viewer never had a picture"
    half = loop_pictures // 2
    readings = [
        Reading(
            r["afterMs"],
            r["atUnixMs"],
            r["settled"],
            r["joined"],
            (r["settled"] - r["joined"] + half) % loop_pictures - half,
        )
        for r in found["readings"]
        if r["settled"] is not None and r["joined"] is not None
    ]
    drawn = {
        viewer: [(r["afterMs"], r[viewer]) for r in found["readings"] if r[viewer] is not None]
        for viewer in ("settled", "joined")
    }
    return SideBySide(found["askedToFirstMs"], readings, drawn, found["settled"], found["joined"])

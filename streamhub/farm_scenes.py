"""What the simulated cameras see: four procedural scenes, a running clock and a number bar.

Belongs here: drawing pictures as YUV 4:2:0 planes with numpy, and reading the number bar back.
Does not: encoding, files, networks. Called by `streamhub.farm_clips` and by tests only.

Coordinates are fractions of the picture's width and height, so that a scene looks alike at
1920x1080 and 640x360. Everything that moves comes back to its start after one loop of the clip.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.uint8]
Rgb = tuple[int, int, int]

SCENE_NAMES = ("STREET", "ALLEY", "HIGH VIEW", "PARKING")

BAR_CELLS = 24
BAR_HEIGHT_DIVISOR = 18  # 60 rows at 1080, 20 rows at 360
BAR_BLACK, BAR_WHITE = 16, 235
# A cell between these two is neither black nor white: the bar is unreadable, never guessed.
BAR_BLACK_MAX, BAR_WHITE_MIN = 90, 165

# 5x7 glyphs, one number per row, the highest of five bits is the leftmost dot.
_GLYPHS: dict[str, tuple[int, ...]] = {
    "0": (14, 17, 19, 21, 25, 17, 14), "1": (4, 12, 4, 4, 4, 4, 14),
    "2": (14, 17, 1, 6, 8, 16, 31), "3": (30, 1, 1, 14, 1, 1, 30),
    "4": (2, 6, 10, 18, 31, 2, 2), "5": (31, 16, 30, 1, 1, 17, 14),
    "6": (6, 8, 16, 30, 17, 17, 14), "7": (31, 1, 2, 4, 8, 8, 8),
    "8": (14, 17, 17, 14, 17, 17, 14), "9": (14, 17, 17, 15, 1, 2, 12),
    ":": (0, 4, 4, 0, 4, 4, 0), ".": (0, 0, 0, 0, 0, 6, 6), " ": (0,) * 7,
    "#": (10, 10, 31, 10, 31, 10, 10), "A": (14, 17, 17, 31, 17, 17, 17),
    "E": (31, 16, 16, 30, 16, 16, 31), "G": (14, 17, 16, 23, 17, 17, 15),
    "H": (17, 17, 17, 31, 17, 17, 17), "I": (14, 4, 4, 4, 4, 4, 14),
    "K": (17, 18, 20, 24, 20, 18, 17), "L": (16, 16, 16, 16, 16, 16, 31),
    "N": (17, 25, 21, 19, 17, 17, 17), "P": (30, 17, 17, 30, 16, 16, 16),
    "R": (30, 17, 17, 30, 20, 18, 17), "S": (15, 16, 16, 14, 1, 1, 30),
    "T": (31, 4, 4, 4, 4, 4, 4), "V": (17, 17, 17, 17, 17, 10, 4),
    "W": (17, 17, 17, 21, 21, 27, 17), "Y": (17, 17, 10, 4, 4, 4, 4),
}  # fmt: skip


def crc8(data: bytes) -> int:
    """CRC-8 (polynomial 0x07, start 0xFF) so that an all-black or all-white bar never passes."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc


def bar_word(scene: int, picture: int) -> int:
    """The bar's 24 bits: 4 bits scene, 12 bits picture number, 8 bits CRC of those 16."""
    value = (scene & 0xF) << 12 | (picture & 0xFFF)
    return value << 8 | crc8(value.to_bytes(2, "big"))


def read_bar(luma: npt.NDArray[np.uint8]) -> tuple[int, int] | None:
    """Read `(scene, picture)` from a luma plane of shape (height, width); None if unreadable."""
    height, width = luma.shape
    bar_height = height / BAR_HEIGHT_DIVISOR
    rows = slice(int(bar_height * 0.25), max(int(bar_height * 0.75), int(bar_height * 0.25) + 1))
    word = 0
    for cell in range(BAR_CELLS):
        left, right = (cell + 0.25) * width / BAR_CELLS, (cell + 0.75) * width / BAR_CELLS
        mean = float(luma[rows, int(left) : max(int(right), int(left) + 1)].mean())
        if BAR_BLACK_MAX < mean < BAR_WHITE_MIN:
            return None
        word = word << 1 | (mean >= BAR_WHITE_MIN)
    value = word >> 8
    if crc8(value.to_bytes(2, "big")) != word & 0xFF:
        return None
    return value >> 12, value & 0xFFF


def _yuv(rgb: Rgb) -> tuple[int, int, int]:
    """BT.709, limited range."""
    r, g, b = (channel / 255 for channel in rgb)
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    return (
        round(16 + 219 * y),
        round(128 + 224 * (b - y) / 1.8556),
        round(128 + 224 * (r - y) / 1.5748),
    )


class Canvas:
    """One picture. `planes` has the shape (height * 3 / 2, width): Y, then U, then V, packed."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.planes: Plane = np.empty((height * 3 // 2, width), np.uint8)
        chroma = (height // 2, width // 2)
        self.y = self.planes[:height]
        self.u = self.planes[height : height + height // 4].reshape(chroma)
        self.v = self.planes[height + height // 4 :].reshape(chroma)

    def rect(self, left: float, top: float, right: float, bottom: float, rgb: Rgb) -> None:
        """Fill a rectangle; parts outside the picture are cut off."""
        x0, x1 = (min(max(round(x * self.width), 0), self.width) for x in (left, right))
        y0, y1 = (min(max(round(y * self.height), 0), self.height) for y in (top, bottom))
        y, u, v = _yuv(rgb)
        self.y[y0:y1, x0:x1] = y
        self.u[y0 // 2 : y1 // 2, x0 // 2 : x1 // 2] = u
        self.v[y0 // 2 : y1 // 2, x0 // 2 : x1 // 2] = v

    def text(self, left: float, top: float, text: str) -> None:
        """White 5x7 text on a dark box, one dot = height / 180."""
        dot = max(self.height // 180, 1)
        x0, y0 = round(left * self.width) & ~1, round(top * self.height) & ~1
        width = (len(text) * 6 + 1) * dot
        self.rect(
            x0 / self.width,
            y0 / self.height,
            (x0 + width) / self.width,
            (y0 + 9 * dot) / self.height,
            (24, 28, 34),
        )
        for index, letter in enumerate(text):
            for row, bits in enumerate(_GLYPHS[letter]):
                for column in range(5):
                    if bits >> (4 - column) & 1:
                        x, y = x0 + (index * 6 + column + 1) * dot, y0 + (row + 1) * dot
                        self.y[y : y + dot, x : x + dot] = 225

    def bar(self, word: int) -> None:
        """The machine-readable bar over the whole width of the top."""
        rows = self.height // BAR_HEIGHT_DIVISOR
        for cell in range(BAR_CELLS):
            x0, x1 = (round(c * self.width / BAR_CELLS) for c in (cell, cell + 1))
            white = word >> (BAR_CELLS - 1 - cell) & 1
            self.y[:rows, x0:x1] = BAR_WHITE if white else BAR_BLACK
        self.u[: (rows + 1) // 2] = 128
        self.v[: (rows + 1) // 2] = 128

    def car(self, x: float, y: float, size: float, rgb: Rgb) -> None:
        """A car seen from the side; `y` is where the wheels stand, `size` its length."""
        tall = size * 0.55
        dark = (rgb[0] // 2, rgb[1] // 2, rgb[2] // 2)
        self.rect(x + size * 0.18, y - tall, x + size * 0.78, y - tall * 0.55, rgb)
        self.rect(x + size * 0.22, y - tall * 0.93, x + size * 0.46, y - tall * 0.58, (60, 78, 92))
        self.rect(x + size * 0.50, y - tall * 0.93, x + size * 0.74, y - tall * 0.58, (60, 78, 92))
        self.rect(x, y - tall * 0.6, x + size, y - tall * 0.16, rgb)
        self.rect(x, y - tall * 0.26, x + size, y - tall * 0.16, dark)
        self.rect(x, y - tall * 0.5, x + size * 0.04, y - tall * 0.38, (240, 226, 160))
        for wheel in (0.16, 0.7):
            self.rect(x + size * wheel, y - tall * 0.3, x + size * (wheel + 0.14), y, (22, 22, 24))

    def person(self, x: float, y: float, tall: float, rgb: Rgb, step: float) -> None:
        """A person whose feet stand at `y`; `step` (radians) swings the legs."""
        wide = tall * 0.16 * self.height / self.width
        swing = wide * 0.7 * math.sin(step)
        self.rect(x - wide * 0.35, y - tall, x + wide * 0.35, y - tall * 0.84, (205, 168, 140))
        self.rect(x - wide, y - tall * 0.82, x + wide, y - tall * 0.42, rgb)
        for leg in (swing, -swing):
            self.rect(x + leg - wide * 0.4, y - tall * 0.42, x + leg + wide * 0.4, y, (40, 44, 58))


def _fractal(
    rng: np.random.Generator, height: int, width: int, finest: int
) -> npt.NDArray[np.float32]:
    """Smooth noise of several scales, about -1 to 1; `finest` is the smallest feature in rows."""
    out = np.zeros((height, width), np.float32)
    cell, weight = max(height // 4, finest), 1.0
    while cell >= finest:
        grid = rng.uniform(-1, 1, (height // cell + 2, width // cell + 2)).astype(np.float32)
        rows, columns = np.arange(height) / cell, np.arange(width) / cell
        r, c = rows.astype(int), columns.astype(int)
        fr = (rows - r).astype(np.float32)[:, None]
        fc = (columns - c).astype(np.float32)[None, :]
        top = grid[r][:, c] * (1 - fc) + grid[r][:, c + 1] * fc
        bottom = grid[r + 1][:, c] * (1 - fc) + grid[r + 1][:, c + 1] * fc
        out += weight * (top * (1 - fr) + bottom * fr)
        cell, weight = cell // 2, weight * 0.75
    return out * np.float32(0.5)


@dataclass(frozen=True)
class _Mover:
    """Something that crosses the picture `laps` times in one loop (negative: to the left)."""

    kind: str
    lane: float
    size: float
    rgb: Rgb
    laps: int
    start: float

    def draw(self, canvas: Canvas, phase: float) -> None:
        along = (self.start + self.laps * phase) % 1.0
        if self.kind == "down":  # cars seen from above on a road that runs down the picture
            y = along * 1.2 - 0.1
            canvas.rect(self.lane, y, self.lane + self.size * 0.45, y + self.size * 1.5, self.rgb)
            return
        x = along * (1 + 2 * self.size) - self.size
        if self.kind == "car":
            canvas.car(x, self.lane, self.size, self.rgb)
        elif self.kind == "across":
            canvas.rect(x, self.lane, x + self.size, self.lane + self.size * 0.7, self.rgb)
        else:
            step = 2 * math.pi * abs(self.laps) * phase * 16
            canvas.person(x, self.lane, self.size, self.rgb, step)


_PAINT: tuple[Rgb, ...] = (
    (186, 44, 40), (214, 214, 208), (44, 74, 140), (70, 72, 76), (206, 168, 60), (58, 118, 88),
)  # fmt: skip


def _street(canvas: Canvas, rng: np.random.Generator) -> list[_Mover]:
    for band in range(20):
        shade = 150 + band * 3
        canvas.rect(0, band / 50, 1, (band + 1) / 50, (shade - 26, shade, min(shade + 34, 255)))
    x = 0.0
    while x < 1:
        wide, top = float(rng.uniform(0.07, 0.14)), float(rng.uniform(0.1, 0.3))
        tone = int(rng.integers(96, 176))
        canvas.rect(x, top, x + wide, 0.58, (tone, tone - 8, tone - 18))
        for row in np.arange(top + 0.02, 0.54, 0.036):
            for column in np.arange(x + 0.008, x + wide - 0.012, 0.017):
                lit = (228, 214, 160) if rng.random() < 0.15 else (64, 80, 96)
                canvas.rect(column, row, column + 0.009, row + 0.02, lit)
        x += wide
    canvas.rect(0, 0.56, 1, 0.64, (150, 146, 138))
    canvas.rect(0, 0.64, 1, 1, (84, 86, 90))
    for lane in (0.75, 0.87):
        for dash in np.arange(0, 1, 0.08):
            canvas.rect(dash, lane, dash + 0.045, lane + 0.009, (224, 222, 210))
    movers = [
        _Mover("person", 0.63, 0.13, _PAINT[i % 6], (1, -1)[i % 2], i * 0.21) for i in range(4)
    ]
    lanes = ((0.735, 0.11, -2), (0.855, 0.15, 2), (0.975, 0.2, 3))
    for index in range(6):
        lane, size, laps = lanes[index % 3]
        movers.append(_Mover("car", lane, size, _PAINT[index], laps, index * 0.37 % 1))
    return movers


def _alley(canvas: Canvas, rng: np.random.Generator) -> list[_Mover]:
    canvas.rect(0, 0, 1, 1, (58, 54, 52))
    for row in range(26):
        for column in range(-1, 22):
            tone = int(rng.integers(70, 112))
            x, y = column / 21 + (row % 2) / 42, row * 0.027
            canvas.rect(x, y, x + 0.044, y + 0.022, (tone + 16, tone - 6, tone - 22))
    for door in (0.08, 0.36, 0.7):
        canvas.rect(door, 0.36, door + 0.1, 0.7, (66, 88, 84))
        canvas.rect(door + 0.01, 0.2, door + 0.09, 0.31, (226, 194, 122))
        canvas.rect(door + 0.048, 0.2, door + 0.052, 0.31, (60, 48, 40))
    canvas.rect(0, 0.7, 1, 1, (78, 76, 74))
    ys, xs = np.mgrid[0 : canvas.height, 0 : canvas.width]
    for lamp in (0.25, 0.6, 0.9):
        away = ((xs / canvas.width - lamp) / 0.18) ** 2 + ((ys / canvas.height - 0.3) / 0.5) ** 2
        canvas.y[:] = np.clip(canvas.y + 46 * np.exp(-away), 24, 220).astype(np.uint8)
        canvas.rect(lamp - 0.012, 0.1, lamp + 0.012, 0.125, (250, 238, 190))
    return [
        _Mover("person", 0.78 + 0.05 * i, 0.3 + 0.05 * i, _PAINT[i], (1, -1, 2, -2)[i], i * 0.27)
        for i in range(4)
    ] + [_Mover("car", 0.97, 0.26, (190, 190, 186), 1, 0.5)]


def _high_view(canvas: Canvas, rng: np.random.Generator) -> list[_Mover]:
    canvas.rect(0, 0, 1, 1, (92, 94, 96))
    for row in range(4):
        for column in range(6):
            x, y = column / 6 + 0.02, row / 4 + 0.035
            canvas.rect(x, y, x + 0.127, y + 0.18, (96, 124, 82))
            for _ in range(7):
                tone = int(rng.integers(110, 200))
                left, top = x + rng.uniform(0, 0.09), y + rng.uniform(0, 0.13)
                roof = (tone, tone - int(rng.integers(0, 50)), tone - int(rng.integers(10, 60)))
                size = rng.uniform(0.02, 0.036)
                canvas.rect(
                    left + 0.004, top + 0.008, left + size + 0.004, top + size * 1.5, (50, 54, 58)
                )
                canvas.rect(left, top, left + size, top + size * 1.4, roof)
                canvas.rect(
                    left, top, left + size, top + size * 0.3, (tone - 20, tone - 30, tone - 40)
                )
    movers = []
    for index in range(30):
        paint, start = _PAINT[index % 6], float(rng.random())
        if index % 2:
            lane = (index // 2 % 4) / 4 + (0.005 if index % 4 == 1 else 0.02)
            movers.append(_Mover("across", lane, 0.013, paint, 1 if index % 4 == 1 else -1, start))
        else:
            lane = (index // 2 % 6) / 6 + (0.004 if index % 4 else 0.012)
            movers.append(_Mover("down", lane, 0.013, paint, 1 if index % 4 else -1, start))
    return movers


def _parking(canvas: Canvas, rng: np.random.Generator) -> list[_Mover]:
    canvas.rect(0, 0, 1, 0.3, (128, 130, 128))
    for pipe in (0.09, 0.13, 0.2):
        canvas.rect(0, pipe, 1, pipe + 0.018, (172, 170, 160))
    canvas.rect(0, 0.3, 1, 1, (112, 114, 110))
    for pillar in np.arange(0.05, 1, 0.18):
        canvas.rect(pillar, 0.06, pillar + 0.03, 0.52, (166, 164, 156))
        for stripe in range(4):
            tone = (206, 176, 50) if stripe % 2 else (44, 44, 44)
            canvas.rect(pillar, 0.4 + stripe * 0.03, pillar + 0.03, 0.43 + stripe * 0.03, tone)
    for slot in range(6):
        canvas.rect(slot / 6, 0.5, slot / 6 + 0.006, 0.66, (222, 220, 208))
        if slot != 3:
            canvas.car(slot / 6 + 0.02, 0.64, 0.13, _PAINT[int(rng.integers(6))])
    canvas.rect(0, 0.9, 1, 0.908, (214, 184, 60))
    return [
        _Mover("car", 0.84, 0.22, _PAINT[0], 2, 0.1),
        _Mover("car", 0.995, 0.27, _PAINT[2], -1, 0.6),
        _Mover("person", 0.74, 0.22, _PAINT[4], 1, 0.3),
        _Mover("person", 0.8, 0.25, _PAINT[5], -1, 0.8),
    ]


_SCENES: tuple[Callable[[Canvas, np.random.Generator], list[_Mover]], ...] = (
    _street, _alley, _high_view, _parking,
)  # fmt: skip


class Scene:
    """One camera's view at one size; `picture(index)` draws into a canvas that is used again."""

    def __init__(self, scene: int, width: int, height: int, fps: int, pictures: int) -> None:
        self._scene, self._fps, self._pictures = scene, fps, pictures
        rng = np.random.default_rng(1000 + scene)
        self._background = Canvas(width, height)
        self._movers = _SCENES[scene](self._background, rng)
        detail = _fractal(rng, height, width, max(height // 360, 1) * 2) * 22
        detail += rng.normal(0, 3.5, (height, width)).astype(np.float32)
        lit = self._background.y.astype(np.float32) + detail
        self._background.y[:] = np.clip(lit, 26, 222).astype(np.uint8)
        # Sensor noise is added with wrap-around arithmetic, safe because luma stays in 26..225.
        noise = np.clip(np.rint(rng.normal(0, 1.3, (3, height, width))), -6, 6)
        self._noise = noise.astype(np.int8).view(np.uint8)
        self._canvas = Canvas(width, height)

    def picture(self, index: int) -> Plane:
        """The planes (see `Canvas`) of picture `index`; valid until the next call."""
        canvas = self._canvas
        canvas.planes[:] = self._background.planes
        for mover in self._movers:
            mover.draw(canvas, index / self._pictures)
        canvas.y += np.roll(self._noise[index % 3], (index * 37) % 211, axis=0)
        elapsed_ms = index * 1000 // self._fps
        clock = f"{elapsed_ms // 60000:02}:{elapsed_ms // 1000 % 60:02}.{elapsed_ms % 1000:03}"
        canvas.text(0.015, 0.075, f"{SCENE_NAMES[self._scene]} {clock}")
        canvas.text(0.8, 0.93, f"#{index:04}")
        canvas.bar(bar_word(self._scene, index))
        return canvas.planes

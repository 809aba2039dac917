"""A farm of the test's own that writes down which picture it sent when (docs/farm.md)."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from streamhub.bench.processes import binary
from streamhub.cli.farm import CLIPS_DIR
from streamhub.farm_clips import ClipUnit, ensure_clips, read_index
from support.district import ROOT, free_port
from support.patience import PATIENCE_S

PICTURES_NEEDED = 50


@dataclass(frozen=True)
class LoggedFarm:
    """Asks for no password."""

    port: int
    log: Path
    clips: Path

    def url(self, path: str) -> str:
        return f"rtsp://127.0.0.1:{self.port}/{path}"

    def sent_unix_ms(self, clip: str) -> dict[int, list[float]]:
        """Picture number of `clip` to the times at which it was sent, oldest first."""
        lines = [line.split() for line in self.log.read_text(encoding="ascii").splitlines()]
        sizes = [int(words[2]) for words in lines]
        units = read_index(self.clips / f"{clip}.index")
        shift = _shift(sizes, units)
        sent: dict[int, list[float]] = {}
        for place, words in enumerate(lines):
            picture = units[(place + shift) % len(units)].picture
            sent.setdefault(picture, []).append(int(words[4]) / 1000)
        return sent


def _shift(sizes: list[int], units: list[ClipUnit]) -> int:
    """Which unit of the clip the first line is, were the farm to begin there: found by the sizes.
    The lines before the first keyframe of the loop proper may tell otherwise: a camera begins with
    a keyframe at once, wherever it is."""
    assert len(sizes) >= PICTURES_NEEDED, f"the farm sent {len(sizes)} pictures"
    fitting: Counter[int] = Counter()
    for place, size in enumerate(sizes):
        for index, unit in enumerate(units):
            # A picture that is no keyframe is one slice behind a start code.
            if not unit.keyframe and unit.size_bytes - size in (3, 4):
                fitting[(index - place) % len(units)] += 1
    (shift, votes), *_ = fitting.most_common(1)
    assert votes > len(sizes) / 2, "the send log does not fit the clip"
    return shift


@contextmanager
def logged_farm(camera: int, log: Path) -> Iterator[LoggedFarm]:
    """One that keeps the log of `camera`; 0 is the hazard streams."""
    port, clips = free_port(), ensure_clips(ROOT / CLIPS_DIR)
    words = [binary("farm"), "--listen", f"127.0.0.1:{port}", "--clips", str(clips)]
    words += ["--cameras", "8", "--send-log", str(log), "--send-log-camera", str(camera)]
    environment = {k: v for k, v in os.environ.items() if k != "STREAMHUB_FARM_PASSWORD"}
    with subprocess.Popen(
        words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("farm: listening"), line
            yield LoggedFarm(port, log, clips)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)

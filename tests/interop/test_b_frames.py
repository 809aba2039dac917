"""B-frames, which browsers show out of order, are told of: once for each dial."""

from __future__ import annotations

import os
import select
import time
from collections import Counter

import pytest

from streamhub import _core
from support.patience import PATIENCE_S

from .farm_process import PASSWORD, running_farm


@pytest.mark.parametrize(("path", "told"), [("hazard/bframes", 1), ("hazard/slices4", 0)])
def test_a_camera_with_b_frames_is_told_of_once(path: str, told: int) -> None:
    heard: Counter[str] = Counter()
    with running_farm("--cameras", "1", password=PASSWORD) as farm:
        core = _core.Core()
        try:
            core.open_source("ch_1/main", f"rtsp://127.0.0.1:{farm.port}/{path}", "admin", PASSWORD)
            # Two groups of pictures: it is known with the second keyframe.
            deadline = time.monotonic() + PATIENCE_S
            while core.source_stats()[0]["keyframes"] < 3:
                assert time.monotonic() < deadline, heard
                if select.select([core.event_fd], [], [], 0.1)[0]:
                    os.eventfd_read(core.event_fd)
                heard.update(kind for kind, _, _ in core.drain_events(100))
            heard.update(kind for kind, _, _ in core.drain_events(100))
        finally:
            core.shutdown(1000)
    assert heard["source_live"] == 1
    assert heard["source_has_b_slices"] == told

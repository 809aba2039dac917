"""`streamhub camera inspect` as a user types it, over the farm's hazards: without a service, and
with one that is killed in the middle."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from camera_registry.domain import Actor
from camera_registry.drafts import AreaDraft, ChannelDraft, DeviceDraft
from camera_registry.feed import ChangeFeed
from camera_registry.secret import Secret
from camera_registry.service import Registry
from camera_registry.store import open_store
from camera_registry.vault import open_vault
from support.district import ROOT, Farm, running_farm, running_service, wait_until
from support.patience import PATIENCE_S

PASSWORD = "farm-s3cret-word"
BY = Actor(None, "local:test")
# Path on the farm, verdict, findings.
CAMERAS = (
    ("cam/1/main", "plays", []),
    ("hazard/bframes", "fails", ["b_frames"]),
    ("hazard/gop10", "limited", ["gop_long"]),
    ("cam/3/main_h265", "limited", ["h265"]),
    ("sound/pcma/cam/4/sub", "plays", []),
    ("fault/udp-only/cam/5/sub", "limited", ["by_udp"]),
    ("fault/mjpeg/cam/6/main", "fails", ["codec_unsupported"]),
    ("fault/silent/cam/7/main", "fails", ["no_packets"]),
    ("cam/9999/main", "fails", ["not_found"]),
)


@pytest.fixture(scope="module")
def own_farm() -> Iterator[Farm]:
    with running_farm(PASSWORD, cameras=16) as farm:
        yield farm
    for pipe in (farm.process.stdin, farm.process.stdout):
        if pipe is not None:
            pipe.close()


def code(number: int) -> str:
    return f"11011200001321{number:06d}"


async def seed(data_dir: Path, port: int) -> None:
    """One recorder that all can be pulled from at once."""
    store = await open_store(data_dir / "registry.db")
    feed = ChangeFeed(store)
    await feed.start()
    registry = Registry(store, await open_vault(store, data_dir / "secret.key"), feed)
    await registry.start()
    area = await registry.create_area(AreaDraft(None, "district", "110112", "通州"), BY)
    box = await registry.create_device(
        DeviceDraft("farm", "127.0.0.1", port, "admin", Secret(PASSWORD), max_dials=len(CAMERAS)),
        BY,
    )
    for number, (path, _, _) in enumerate(CAMERAS, 1):
        draft = ChannelDraft(
            code=code(number),
            name=f"路口{number}",
            area_id=area.id,
            device_class="police_hd",
            main_url=f"rtsp://127.0.0.1:{port}/{path}",
            device_id=box.id,
        )
        await registry.create_channel(draft, BY)
    await registry.stop()
    await feed.stop()
    await store.close()


@pytest.fixture
def data_dir(tmp_path: Path, own_farm: Farm) -> Path:
    asyncio.run(seed(tmp_path / "data", own_farm.port))
    return tmp_path / "data"


def inspect(data_dir: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streamhub.cli", "camera", "inspect", *words],
        cwd=ROOT,
        env={**os.environ, "STREAMHUB_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
    )


def by_number(answer: dict[str, Any]) -> list[tuple[str, list[str]]]:
    cards = sorted(answer["cards"], key=lambda card: str(card["code"]))
    return [(c["verdict"], [f["code"] for f in c["findings"]]) for c in cards]


def test_each_hazard_of_the_farm_gives_its_finding(data_dir: Path) -> None:
    done = inspect(data_dir, "--all", "--json")
    answer = json.loads(done.stdout)
    assert by_number(answer) == [(verdict, codes) for _, verdict, codes in CAMERAS]
    assert done.returncode == 1  # some do not play
    assert (answer["state"], answer["done"]) == ("done", len(CAMERAS))
    good = next(card for card in answer["cards"] if card["code"] == code(1))
    assert good["has_picture"]
    assert good["facts"]["picture"] == "kept"
    assert (good["facts"]["width"], good["facts"]["gop_ms"]) == (1920, 2000)
    assert PASSWORD not in done.stdout + done.stderr

    one = inspect(data_dir, code(1))
    assert one.returncode == 0
    head, *lines, last = one.stdout.splitlines()
    assert last == "1 of 1 inspected: 1 play."
    assert head == f"{code(1)}  路口1  main  plays"
    card = dict(line.strip().split(maxsplit=1) for line in lines if line)
    assert re.fullmatch(
        r"H264 [A-Z][A-Za-z ]+ 1920x1080 25 fps [0-9.]+ Mbit/s, GOP 2\.0 s", card["video"]
    ), card
    assert card["audio"] == "none"
    # Told where a sender report came while it was looked at: the farm sends one each 5 s.
    assert re.fullmatch(r"[0-9.]+ s (ahead|behind)", card.get("clock", "0.0 s ahead")), card
    assert re.fullmatch(r"after \d+ ms", card["keyframe"]), card
    told = inspect(data_dir, code(2), "--language", "zh")
    assert told.returncode == 1
    assert "  b_frames (error): 码流含 B 帧" in told.stdout
    stopped = inspect(data_dir, code(9)).stdout.splitlines()
    assert stopped[:2] == [f"{code(9)}  路口9  main  fails", "  stopped   at describe: not_found"]
    assert PASSWORD not in told.stdout + told.stderr


def test_a_killed_service_goes_on_with_what_was_left(data_dir: Path) -> None:
    with running_service(data_dir) as service:
        following = subprocess.Popen(
            [sys.executable, "-m", "streamhub.cli", "camera", "inspect", "--all"],
            cwd=ROOT,
            env={**os.environ, "STREAMHUB_DATA_DIR": str(data_dir)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with following:
            wait_until("something is inspected", lambda: progress(data_dir)[1] > 0)
            service.kill()
            said = following.communicate(timeout=PATIENCE_S)[0]
        assert following.returncode == 1
        assert "did not answer" in said
        state, done = progress(data_dir)
        assert state == "running"
        assert 0 < done < len(CAMERAS)
        service.start()
        wait_until("it goes on", lambda: progress(data_dir)[1] > done)
        assert service.stop() < 3.0  # a look that is under way holds nobody up
        assert progress(data_dir)[0] == "running"
        service.start()
        again = inspect(data_dir, "--follow", "--json")
        answer = json.loads(again.stdout)
        assert by_number(answer) == [(verdict, codes) for _, verdict, codes in CAMERAS]
        nothing = inspect(data_dir, "--stop")
        assert nothing.returncode == 1
        assert "No inspection is under way" in nothing.stderr
        assert PASSWORD not in service.log_path.read_text()


def progress(data_dir: Path) -> tuple[str, int]:
    """State and cards, from the file itself."""
    with closing(sqlite3.connect(data_dir / "registry.db", timeout=PATIENCE_S)) as db:
        runs = db.execute("SELECT state FROM inspection_runs").fetchall()
        cards = db.execute("SELECT count(*) FROM channel_inspections").fetchone()
    return (runs[0][0] if runs else "", cards[0])


def test_a_wrong_command_is_said(data_dir: Path) -> None:
    for words in ((), (code(1), "--all"), ("--all", "--profile", "third")):
        done = inspect(data_dir, *words)
        assert (done.returncode, done.stdout) == (2, "")

"""The bench against servers that are not ours: aiortc, and some that are no use."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from streamhub.cli.farm import CLIPS_DIR, make_clips
from support.district import wait_until
from support.patience import PATIENCE_S, KernelDrops

ROOT = Path(__file__).resolve().parents[2]
VIEWERS = 3
DROPS = KernelDrops()  # since this file was read


@dataclass
class Foreign:
    url: str
    pid: int
    send_log: Path


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    send_log = tmp_path_factory.mktemp("foreign") / "send.log"
    clip = make_clips(ROOT / CLIPS_DIR) / "sub0"
    words = [sys.executable, "-m", "support.aiortc_whep_server", str(clip), str(send_log)]
    with subprocess.Popen(words, cwd=ROOT / "tests", stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            word, _, url = process.stdout.readline().strip().rpartition(" ")
            assert word == "listening on"
            yield Foreign(url, process.pid, send_log)
        finally:
            process.terminate()


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streamhub.cli", "bench", *words, "--runs", "1", "--no-pin"],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "500"},
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE_S,
        check=False,
    )


def row(done: subprocess.CompletedProcess[str], playing: int = VIEWERS) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    [only] = json.loads(done.stdout)["rows"]
    assert only["playing"] == playing
    assert only["lost"] <= DROPS.count()
    return dict(only)


def test_fanout_counts_what_a_foreign_server_sends(foreign: Foreign) -> None:
    words = ["fanout", "-n", str(VIEWERS), "--url", foreign.url, "--measure-s", "4", "--json"]
    done = bench(*words)
    seen = row(done)
    # 15 pictures a second to each of them.
    assert 40 <= seen["load"]["steady"]["units"] / VIEWERS <= 80
    assert seen["load"]["opened"] > 0
    assert seen["load"]["refused"] == 0
    assert seen["us_per_packet"] is None
    assert seen["share_of_limit"] is None
    assert "share_of_limit are empty: give --pid" in done.stderr
    seen = row(bench(*words, "--pid", str(foreign.pid)))
    assert seen["us_per_packet"] > 0
    assert 0 < seen["share_of_limit"] < 1


def test_join_and_delay_give_real_figures(foreign: Foreign) -> None:
    url = ["--url", foreign.url, "-n", str(VIEWERS), "--json"]
    done = bench("join", *url)
    seen = row(done, VIEWERS + 1)  # one is there before them
    # It begins with the next keyframe: one every 2 s.
    assert 0 < seen["first_keyframe_ms"]["p50"] < 3_000
    assert seen["live_ms"]["n"] == VIEWERS
    assert seen["cpu_ms_per_join"] is None
    assert "cpu_ms_per_join are empty" in done.stderr
    seen = row(bench("delay", *url, "--measure-s", "4", "--send-log", str(foreign.send_log)))
    assert seen["added_ms"]["n"] > 100
    assert 0 < seen["added_ms"]["p50"] < 1_000
    assert seen["viewers_unplaced"] == 0


def test_the_viewers_said_goodbye(foreign: Foreign) -> None:
    """Else a server goes on sending to those who are gone, and the next row pays."""
    done = bench("fanout", "-n", "1", "--url", foreign.url, "--measure-s", "1", "--json")
    assert done.returncode == 0
    wait_until("its sockets are closed", lambda: udp_sockets_of(foreign.pid) == [])


def udp_sockets_of(pid: int) -> list[str]:
    datagram = Path(f"/proc/{pid}/net/udp").read_text(encoding="ascii")
    names = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            names.append(os.readlink(descriptor))
    return [name for name in names if name.removeprefix("socket:[")[:-1] in datagram]


def answer_of(port: int) -> str:
    """An answer like a real one, whose candidate is `port`."""
    fingerprint = ":".join(["0A"] * 32)
    return (
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
        "m=video 9 UDP/TLS/RTP/SAVPF 108\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\n"
        "a=ice-ufrag:abcd\r\na=ice-pwd:aPasswordOfTwentyTwoChars\r\na=rtcp-mux\r\n"
        f"a=fingerprint:sha-256 {fingerprint}\r\na=setup:passive\r\na=rtpmap:108 H264/90000\r\n"
        f"a=candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host\r\n"
    )


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/whep"
        finally:
            server.shutdown()
            thread.join()


def refused(url: str, scenario: str, *more: str) -> str:
    done = bench(scenario, "-n", "2", "--url", url, "--patience-s", "2", "--json", *more)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("scenario", "status", "body", "said"),
    [
        ("fanout", 404, "no such stream", "POST was answered 404: no such stream (2 of 2)"),
        ("join", 500, "", "POST was answered 500"),
        ("fanout", 201, "\x00\xffgarbage", "the answer is no SDP"),
        ("join", 201, "", "the answer is no SDP"),
        ("fanout", 201, answer_of(9).replace("108", "96"), "another payload type"),
        ("fanout", 201, answer_of(9).replace("a=ice-pwd", "a=pwd"), "the answer has no ice-pwd"),
    ],
)
def test_an_answer_of_no_use_is_said_and_fails(
    scenario: str, status: int, body: str, said: str
) -> None:
    with answering(status, body) as url:
        stderr = refused(f"{url}?token=hush", scenario)
    assert said in stderr
    assert f"None of 2 viewers got a picture from {url}:" in stderr
    assert "hush" not in stderr


def test_a_server_that_never_connects_is_said(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        with answering(201, answer_of(mute.getsockname()[1])) as url:
            assert "answered no ICE check" in refused(url, "fanout")
            log = tmp_path / "log"
            log.touch()
            assert "answered no ICE check" in refused(url, "delay", "--send-log", str(log))


def test_nobody_there_and_wrong_options_are_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"http://127.0.0.1:{port}/whep"
    assert "POST failed" in refused(url, "fanout")
    assert "no process" in refused(url, "fanout", "--pid", "4194304")
    for words, said in [
        (["delay"], "--send-log"),
        (["join", "--no-hot"], "Nothing is left"),
        (["fanout", "--memory"], "--memory"),
    ]:
        done = bench(*words, "--url", url)
        assert done.returncode == 2
        assert said in done.stderr

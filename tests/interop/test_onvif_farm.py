"""`streamhub farm --onvif` as a user runs it: both halves by one command, and one end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from gateways.rtsp import check
from support.district import free_port
from support.onvif_client import request, text_of, token
from support.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
NETWORK = "127.77.20.0/29"
PASSWORD = "p@ss:w/rd#1"
START_S = 120.0  # the clips may have to be made


class Farm:
    """The command's process, read line by line."""

    def __init__(self, process: subprocess.Popen[str], onvif_port: int, rtsp_port: int) -> None:
        self.process = process
        self.onvif_port = onvif_port
        self.rtsp_port = rtsp_port

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def command(self, line: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.line()

    def ask(self, number: int, service: str, operation: str) -> bytes:
        url = f"http://127.77.20.{number}:{self.onvif_port}/onvif/{service}"
        body = request(operation, token(time.time(), password=PASSWORD))
        with httpx.Client(trust_env=False, timeout=PATIENCE_S) as client:
            return client.post(url, content=body).raise_for_status().content


@contextmanager
def running(
    *options: str, rtsp_port: int | None = None, stdin: int = subprocess.PIPE
) -> Iterator[Farm]:
    onvif_port, rtsp_port = free_port(), rtsp_port or free_port()
    words = ["--listen", f"127.0.0.1:{rtsp_port}", "--cameras", "2", "--onvif", NETWORK]
    words += ["--onvif-port", str(onvif_port), "--onvif-discovery-port", "0", *options]
    with subprocess.Popen(
        [sys.executable, "-m", "streamhub.cli", "farm", *words],
        cwd=ROOT,
        env={**os.environ, "STREAMHUB_FARM_PASSWORD": PASSWORD},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        try:
            yield Farm(process, onvif_port, rtsp_port)
        finally:
            if process.poll() is None:
                process.kill()


def ready(farm: Farm) -> None:
    assert {farm.line() for _ in range(2)} == {
        f"farm: onvif listening on 127.77.20.1:{farm.onvif_port} to 127.77.20.6, devices=6, "
        "discovery=none",
        # Three channels each: more than were asked for.
        f"farm: listening on 127.0.0.1:{farm.rtsp_port}, cameras=18",
    }


async def test_both_halves_by_one_command_and_one_end() -> None:
    with running("--onvif-channels", "3") as farm:
        ready(farm)
        serial = text_of(
            farm.ask(5, "device_service", "<tds:GetDeviceInformation/>"), "tds:SerialNumber"
        )
        assert serial == "DS-2CD000000005"
        profiles = farm.ask(5, "media", "<trt:GetProfiles/>").decode()
        name = re.findall(r'Profiles token="([^"]+)"', profiles)[5]
        uri = text_of(
            farm.ask(
                5,
                "media2",
                "<tr2:GetStreamUri><tr2:Protocol>RTSP</tr2:Protocol>"
                f"<tr2:ProfileToken>{name}</tr2:ProfileToken></tr2:GetStreamUri>",
            ),
            "tr2:Uri",
        )
        assert uri == f"rtsp://127.77.20.5:{farm.rtsp_port}/cam/15/sub"
        report = await check(
            uri.replace("//", f"//admin:{quote(PASSWORD, safe='')}@"), timeout_s=START_S
        )
        assert report.ok, report.lines()
        # Lines of both halves.
        assert farm.command("onvif-fault 2 dead") == "ok"
        with pytest.raises(httpx.ConnectError):
            farm.ask(2, "device_service", "<tds:GetDeviceInformation/>")
        assert farm.command("fault 15 unauthorized") == "ok"
        assert farm.command("stats").startswith("stats connections=")
        assert " requests=3 " in farm.command("onvif-stats all")
        assert farm.command("onvif-fault 7 dead").startswith("error: 7 is no device number")
        farm.process.send_signal(signal.SIGTERM)
        left, errors = farm.process.communicate(timeout=START_S)
    assert farm.process.returncode == 0
    assert left.split("\n")[:-1] == ["farm: stopped", "farm: onvif stopped"]
    assert errors.strip() == ""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", farm.rtsp_port), timeout=START_S)


@pytest.mark.parametrize("stdin", [subprocess.PIPE, subprocess.DEVNULL])
def test_without_input_it_serves_until_a_signal(stdin: int) -> None:
    with running("--onvif-channels", "3", stdin=stdin) as farm:
        ready(farm)
        if farm.process.stdin is not None:
            farm.process.stdin.close()
        farm.ask(1, "device_service", "<tds:GetDeviceInformation/>")
        farm.process.send_signal(signal.SIGINT)
        assert farm.process.wait(PATIENCE_S) == 0


def test_where_its_port_is_taken_nothing_is_announced() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with running(rtsp_port=port) as farm:
            left, errors = farm.process.communicate(timeout=START_S)
    assert (farm.process.returncode, left) == (1, "")
    assert errors.lstrip() == (
        f"streamhub: 127.0.0.1:{port} can't be listened on (Address already in use); "
        "stop what is there, or choose another port in --listen.\n"
    )


def test_an_end_of_the_rtsp_farm_is_the_end_of_all() -> None:
    with running("--onvif-channels", "3") as farm:
        ready(farm)
        process = farm.process.pid
        [child] = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        os.kill(int(child), signal.SIGKILL)
        left, errors = farm.process.communicate(timeout=START_S)
    assert farm.process.returncode == 1
    assert "streamhub: The RTSP farm ended by itself (-9); the lines above say why." in errors
    assert "Traceback" not in errors + left


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--onvif-fault", "tired=0.5"], "There is no fault tired"),
        (["--onvif-devices", "9"], "has addresses for 6 devices, not for 9"),
        (["--onvif-plan", "/nowhere.yaml"], "The plan /nowhere.yaml can't be read"),
        (["--listen", "127.0.0.1:0"], "give --listen a port"),
        (["--listen", "here"], "--listen takes an address and a port"),
    ],
)
def test_a_mistake_is_one_sentence(options: list[str], sentence: str) -> None:
    with running(*options) as farm:
        left, errors = farm.process.communicate(timeout=START_S)
    assert (farm.process.returncode, left) == (2, "")
    assert errors.startswith("streamhub: ")
    assert sentence in errors
    assert errors.count("\n") == 1


def test_faults_without_devices_are_a_mistake() -> None:
    words = [sys.executable, "-m", "streamhub.cli", "farm", "--onvif-fault", "dead=0.5"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=START_S)
    assert (done.returncode, done.stdout) == (2, "")
    assert "as --onvif 127.20.0.0/22" in done.stderr

"""`streamhub serve` as a process, the command line through its control socket, and its leaving."""

from __future__ import annotations

import json
import signal
import stat
import time
from collections.abc import Iterator

import httpx
import pytest

from support.command import Command
from support.district import has_left, wait_until
from support.http_kit import OFFER, SDP
from support.patience import PATIENCE_S, HeldUp

LEAVE_S = 3.0


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """A registry made by the command line, with no service running."""
    made = Command(tmp_path_factory.mktemp("control") / "data")
    made.ok("area", "add", "110112", "通州区", "--kind", "district")
    made.ok("area", "add", "110112001", "永顺镇", "--kind", "street", "--parent", "110112")
    made.ok(
        "camera", "add", "11011200111310000001", "路口1", "--area", "永顺镇",
        "--url", "rtsp://cam:s3cret-word@127.0.0.1:9/main", "--sub-url", "rtsp://127.0.0.1:9/sub",
    )  # fmt: skip
    made.ok("subject", "add", "operator", "--keep", "--password-stdin", given="operator-pass\n")
    yield made
    made.end()


def test_the_whole_life_of_a_service(command: Command) -> None:
    camera = command.json("camera", "show", "11011200111310000001")["id"]
    with command.serving() as process:
        socket_path = command.data_dir / "control.sock"
        assert stat.S_IMODE(socket_path.stat().st_mode) == 0o600

        second = command.run_alone("serve")
        assert second.returncode == 1
        assert "already runs" in second.stderr

        # Given and taken through the running service.
        headers = {"Authorization": f"Bearer {command.token()}"}
        with httpx.Client(base_url=command.url, headers=headers, timeout=PATIENCE_S) as client:
            path = f"/whep/{camera}"
            assert client.post(path, content=OFFER, headers=SDP).status_code == 404
            grant = command.json("grant", "add", "operator", "list,live", "--area", "永顺镇")
            opened = client.post(path, content=OFFER, headers=SDP)
            assert opened.status_code == 201
            views = command.json("views")
            assert [each["subject"]["username"] for each in views] == ["operator"]
            command.ok("grant", "revoke", grant["id"])
            assert command.json("views") == []
            assert client.get(opened.headers["location"]).status_code == 404

            # SIGTERM with a view and a reader of its events.
            command.ok("grant", "add", "operator", "list,live", "--camera", camera)
            opened = client.post(path, content=OFFER, headers=SDP)
            events = f"{opened.headers['location']}/events"
            with client.stream("GET", events) as stream:
                lines = stream.iter_lines()
                assert next(lines).startswith("event: ")
                held_up, began = HeldUp(process.pid), time.monotonic()
                process.send_signal(signal.SIGTERM)
                rest = list(lines)
                wait_until("the service is gone", lambda: has_left(process, held_up))
                assert time.monotonic() - began - held_up.seconds() < LEAVE_S
        assert process.returncode == 0
        assert '"reason":"shutdown"' in "".join(rest)
        assert not socket_path.exists()

    log = command.log()
    assert "s3cret-word" not in log
    assert "operator-pass" not in log
    for line in log.splitlines():
        json.loads(line)
    ends = command.json("audit", "list", "--act", "view_end")
    assert ends[0]["detail"]["cause"] == "shutdown"
    assert "unbroken" in command.ok("audit", "verify")


def test_a_killed_service_leaves_nothing_that_stops_the_next(command: Command) -> None:
    with command.serving() as process:
        process.kill()
        process.wait(PATIENCE_S)
    assert (command.data_dir / "control.sock").exists()
    # The stale socket is no service: the command goes to the store.
    assert len(command.json("camera", "list")) == 1
    with command.serving() as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        (("views",), 1, "start `streamhub serve`"),
        (("camera", "show", "ch_nowhere"), 1, "not_found"),
        (("camera", "show", "11011200111310000077"), 1, "camera list"),
        (("grant", "add", "nobody", "live", "--area", "永顺镇"), 2, "subject list"),
        (("grant", "add", "operator", "live"), 2, "--area or --camera"),
        (("grant", "add", "operator", "fly", "--area", "永顺镇"), 2, "actions"),
        (("area", "add", "1", "x", "--kind", "district"), 2, "code"),
        (("subject", "disable", "nobody"), 2, "subject list"),
    ],
)
def test_errors_are_a_sentence_with_the_next_step(
    arguments: tuple[str, ...], exit_code: int, sentence: str, command: Command
) -> None:
    done = command.run(*arguments)
    assert done.returncode == exit_code, done.stderr
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_wrong_setting_is_named(command: Command) -> None:
    command_2 = Command(command.data_dir)
    command_2.environment["STREAMHUB_HTTP__PORT"] = "eighty"
    done = command_2.run_alone("serve")
    assert done.returncode == 2
    assert "http.port" in done.stderr


def test_a_camera_that_is_not_there_fails_its_check(command: Command) -> None:
    done = command.run("camera", "check", "rtsp://u:s3cret-word@127.0.0.1:1/x")
    assert done.returncode == 1
    assert "FAILED" in done.stdout
    assert "s3cret-word" not in done.stdout + done.stderr
    as_json = command.run("camera", "check", "rtsp://127.0.0.1:1/x", "--json")
    assert json.loads(as_json.stdout)["ok"] is False

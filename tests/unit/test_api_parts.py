"""The small parts of the API that need no service: logs, settings, events, figures, paging."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from pydantic import BaseModel

from camera_registry.errors import StoreBusy, StoreError, StoreUnavailable
from camera_registry.secret import Secret
from streamhub import logs
from streamhub.api.idempotency import KEEP_S, MAX_KEPT, Idempotency
from streamhub.api.metrics import Metrics
from streamhub.api.paging import page_in_memory
from streamhub.api.problems import Problem, problem_of
from streamhub.api.whep import event_stream
from streamhub.delivery import ViewEvent
from streamhub.settings import LogSettings, SettingsError, load_settings


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("password", "hunter2"),
        ("farm_password", "hunter2"),
        ("access_token", "hunter2"),
        ("cookie", "hunter2"),
        ("authorization", "hunter2"),
        ("url", "rtsp://admin:hunter2@192.0.2.1/main"),
        ("message", "dial rtsp://admin:hunter2@192.0.2.1 failed, then rtsp://a:hunter2@b"),
        ("header", "Authorization: Bearer hunter2hunter2.abc"),
        ("header", "Authorization: Digest username=hunter2hunter2, response=hunter2"),
        ("url", "rtsp://192.0.2.1:8554/ch_a/sub?ticket=rt1.live.1800000060.mzxw6ytb.sub.hunter2"),
        ("message", "no such path: /ch_a/sub%3Fticket%3Drt1.live.1800000060.a.main-sub.hunter2&x"),
        ("message", "the ticket rt1.live.1800000060.mzxw6ytb.main.ch_a.su_a.3.hunter2 is refused"),
        ("nested", {"deep": [{"password": "hunter2"}, "http://x:hunter2@y/"]}),
        ("secret_thing", Secret("hunter2")),
    ],
)
def test_logs_strike_secrets_out(key: str, value: object) -> None:
    text = str(logs.redact(None, "info", {"event": "x", key: value}))
    assert "hunter2" not in text
    assert "***" in text


def test_logs_keep_what_is_no_secret() -> None:
    event = {"event": "listening", "address": "127.0.0.1:8080", "url": "rtsp://h/a@b", "tokens": 3}
    assert logs.redact(None, "info", dict(event)) == event


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_does_not_show_locals_or_userinfo(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        logs.configure(LogSettings.model_validate({"format": form}))
        try:
            password = "hunter2"
            raise ValueError(f"rtsp://u:{password}@camera/")
        except ValueError:
            structlog.get_logger("test").exception("failed")
        logging.getLogger("library").warning("GET http://u:hunter2@camera/")
    finally:
        root.handlers, root.level = handlers, level
        structlog.reset_defaults()
        logging.getLogger("uvicorn.access").disabled = False
    text = capsys.readouterr().err
    assert "failed" in text
    assert "ValueError" in text
    assert "hunter2" not in text


def test_settings_come_from_a_file_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "hub.toml"
    file.write_text('data_dir = "/srv/hub"\n[http]\nhost = "0.0.0.0"\nport = 9000\n')
    monkeypatch.setenv("STREAMHUB_CONFIG", str(file))
    monkeypatch.setenv("STREAMHUB_HTTP__PORT", "9001")
    monkeypatch.setenv("STREAMHUB_FARM_PASSWORD", "not a setting")
    settings = load_settings()
    assert (settings.http.host, settings.http.port) == ("0.0.0.0", 9001)
    assert settings.control_socket == Path("/srv/hub/control.sock")


def test_it_listens_on_this_machine_only_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("STREAMHUB_CONFIG", "STREAMHUB_HTTP__HOST"):
        monkeypatch.delenv(name, raising=False)
    assert load_settings().http.host == "127.0.0.1"
    assert load_settings().media.udp_host == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[http]\nport = 90000\n", "http.port"),
        ("[http]\nprot = 1\n", "http.prot"),
        ("nothing = 1\n", "nothing"),
        ("[http\n", "can't be read"),
    ],
)
def test_wrong_settings_are_named(
    text: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "hub.toml"
    file.write_text(text)
    monkeypatch.setenv("STREAMHUB_CONFIG", str(file))
    with pytest.raises(SettingsError, match=named):
        load_settings()


def test_a_settings_file_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMHUB_CONFIG", "/nonexistent.toml")
    with pytest.raises(SettingsError, match="no settings file"):
        load_settings()


async def test_a_quiet_stream_says_that_it_is_alive_and_closes_its_watch() -> None:
    more = asyncio.Event()
    closed = asyncio.Event()

    async def watch() -> AsyncIterator[ViewEvent]:
        try:
            yield ViewEvent("step", {"step": "dial"})
            await more.wait()
            yield ViewEvent("state", {"state": "ended", "reason": "永"})
        finally:
            closed.set()

    stream = event_stream(watch(), keep_alive_s=0.01)
    assert await anext(stream) == 'event: step\ndata: {"step":"dial"}\n\n'
    assert await anext(stream) == ": quiet\n\n"
    more.set()
    rest = [text async for text in stream if not text.startswith(":")]
    assert rest == ['event: state\ndata: {"state":"ended","reason":"永"}\n\n']
    assert closed.is_set()


async def test_a_client_that_leaves_ends_its_stream() -> None:
    closed = asyncio.Event()

    async def watch() -> AsyncIterator[ViewEvent]:
        try:
            yield ViewEvent("step", {})
            await asyncio.Event().wait()
        finally:
            closed.set()

    stream = event_stream(watch(), keep_alive_s=60)
    await anext(stream)
    following = asyncio.ensure_future(anext(stream))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
    assert closed.is_set()


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (StoreBusy("Another process."), 503, "store_busy"),
        (StoreUnavailable("No server."), 503, "store_unavailable"),
        (StoreError("A bug."), 500, "internal_error"),
    ],
)
def test_a_store_that_cannot_now_is_worth_another_try(
    error: StoreError, status: int, code: str
) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.code) == (status, code)
    assert ("Retry-After" in problem.headers) is (status == 503)


def test_figures_have_their_kind_and_one_label() -> None:
    metrics = Metrics()
    figures = {"views": 3, "views_ended_total.revoked": 2, "views_ended_total.shutdown": 1}
    metrics.add_figures(lambda: {**figures, "routes.live": 4})
    text = metrics.text().decode()
    assert "# TYPE streamhub_views gauge" in text
    assert "# TYPE streamhub_views_ended_total counter" in text
    assert 'streamhub_views_ended_total{cause="revoked"} 2.0' in text
    assert 'streamhub_routes{state="live"} 4.0' in text


def test_pages_in_memory_survive_what_goes_between() -> None:
    rows = ["a", "b", "c", "d"]
    page, cursor = page_in_memory(rows, str, limit=2, cursor=None)
    assert page == ["a", "b"]
    page, cursor = page_in_memory(["a", "c", "d"], str, limit=2, cursor=cursor)
    assert (page, cursor) == (["c", "d"], None)
    with pytest.raises(Problem):
        page_in_memory(rows, str, limit=2, cursor="\x00\xff")


class Body(BaseModel):
    name: str = "x"


async def test_keys_are_bounded_and_forgotten_after_a_day() -> None:
    now_s = 0.0
    idempotency = Idempotency(lambda: now_s)
    calls = 0

    async def create() -> int:
        nonlocal calls
        calls += 1
        return calls

    async def once(key: str) -> int:
        return await idempotency.once(key, subject_id="su_1", route="r", body=Body(), create=create)

    assert [await once("k"), await once("k")] == [1, 1]
    now_s = KEEP_S
    assert await once("k") == 2
    for number in range(MAX_KEPT + 5):
        await once(f"key{number}")
    assert len(idempotency._kept) <= MAX_KEPT
    with pytest.raises(Problem):
        await once("x" * 200)


async def test_a_creation_outlives_the_client_that_asked() -> None:
    idempotency = Idempotency()
    go = asyncio.Event()

    async def create() -> str:
        await go.wait()
        return "made"

    def once() -> asyncio.Task[str]:
        return asyncio.ensure_future(
            idempotency.once("k", subject_id="su_1", route="r", body=Body(), create=create)
        )

    first = once()
    await asyncio.sleep(0)
    first.cancel()
    second = once()
    go.set()
    assert await second == "made"

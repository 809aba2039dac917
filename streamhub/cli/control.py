"""How commands reach the service: its control socket, or the store itself when none runs.

Both ways speak to the same HTTP application as the local operator, so rules and audit are one.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Annotated, Any, TypeVar

import httpx
import typer

from streamhub import logs
from streamhub.settings import LogSettings, Settings, SettingsError, load_settings

TIMEOUT_S = 15.0
LONG_S = 300.0  # what works on 100,000 cameras at once
PAGE = 500
# A mutation that passes this many rows on one command is a mistake in the command.
MAX_PAGES = 200

AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]

# For the help of options that are parsed by `moment`.
MOMENT_HELP = "e.g. 2035-01-01 (its 00:00) or '2035-01-01 08:00', Beijing time; or RFC 3339."

T = TypeVar("T")


class CliError(Exception):
    """One sentence with the next step. Exit code 1: it failed; 2: the command was wrong."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def moment(text: str) -> str:
    """A time as it is typed, with its offset: Beijing's where none is said. Raises
    typer.BadParameter, which names the option."""
    from camera_registry.audit.model import SHANGHAI

    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time; write e.g. 2035-01-01 or '2035-01-01 08:00' (Beijing time), "
            "or 2035-01-01T00:00:00Z."
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=SHANGHAI)).isoformat()


class Api:
    """The HTTP API as the local operator sees it; errors become `CliError`."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Any:
        """The decoded answer, None when it is empty."""
        answer = await self._ask(method, path, params, timeout_s, json=body)
        return answer.json() if answer.content else None

    async def upload(self, path: str, file: bytes, *, params: Mapping[str, Any]) -> Any:
        """Send a file as it is; the decoded answer."""
        headers = {"Content-Type": "application/octet-stream"}
        answer = await self._ask("POST", path, params, LONG_S, content=file, headers=headers)
        return answer.json()

    async def download(self, path: str, *, params: Mapping[str, Any] | None = None) -> bytes:
        """An answer that is a file."""
        return (await self._ask("GET", path, params, LONG_S)).content

    async def save(
        self, path: str, into: IO[bytes], *, params: Mapping[str, Any] | None = None
    ) -> None:
        """An answer that is a file, written as it comes."""
        given = {key: value for key, value in (params or {}).items() if value is not None}
        try:
            async with self._client.stream("GET", path, params=given, timeout=LONG_S) as answer:
                if not answer.is_success:
                    await answer.aread()
                    raise _error(answer)
                async for part in answer.aiter_bytes():
                    into.write(part)
        except httpx.TransportError as error:
            raise CliError(f"The service did not answer ({error}); see its log.") from None

    async def _ask(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        timeout_s: float,
        **request: Any,
    ) -> httpx.Response:
        given = {key: value for key, value in (params or {}).items() if value is not None}
        try:
            answer = await self._client.request(
                method, path, params=given, timeout=timeout_s, **request
            )
        except httpx.TransportError as error:
            raise CliError(f"The service did not answer ({error}); see its log.") from None
        if answer.is_success:
            return answer
        raise _error(answer)

    async def all(self, path: str, *, limit: int, **params: Any) -> list[dict[str, Any]]:
        """The items of a list, over its pages, at most `limit`."""
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            ask = {**params, "limit": min(PAGE, limit - len(items)), "cursor": cursor}
            page = await self.call("GET", path, params=ask)
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None or len(items) >= limit:
                break
        return items


def run(work: Callable[[Api], Awaitable[T]], *, begins: bool = False) -> T:
    """Run a command's work against the service, or the store. `begins`: where there is none yet,
    it makes one in a data directory that was named, or is there."""
    settings = settings_or_fail()
    # The command's output is its own: of the rooms below only trouble is heard.
    logs.configure(LogSettings(format=settings.log.format, level="warning"))

    async def main() -> T:
        async with connect(settings, begins=begins) as api:
            return await work(api)

    return asyncio.run(main())


def settings_or_fail() -> Settings:
    try:
        return load_settings()
    except SettingsError as error:
        raise CliError(str(error), exit_code=2) from None


@asynccontextmanager
async def connect(settings: Settings, *, begins: bool = False) -> AsyncIterator[Api]:
    """The running service's API, or one over the store. Raises CliError when there is neither; with
    `begins` only when nobody named a data directory and the usual one is not there."""
    if service_runs(settings.control_socket):
        transport = httpx.AsyncHTTPTransport(uds=str(settings.control_socket))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", timeout=TIMEOUT_S
        ) as client:
            yield Api(client)
        return
    place = settings.registry_place
    if isinstance(place, Path) and not place.exists():
        meant = "data_dir" in settings.model_fields_set or settings.data_dir.is_dir()
        if not (begins and meant):
            raise no_registry(settings)
    async with _over_the_store(settings) as api:
        yield api


def no_registry(settings: Settings) -> CliError:
    """What to do where none is."""
    return CliError(
        f"There is no registry in {settings.data_dir}; set STREAMHUB_DATA_DIR.", exit_code=2
    )


@asynccontextmanager
async def _over_the_store(settings: Settings) -> AsyncIterator[Api]:
    from camera_registry.errors import RegistryError
    from streamhub.app import LocalOperatorApp, build_app

    app = build_app(settings, with_media=False)
    transport = httpx.ASGITransport(app=LocalOperatorApp(app))
    try:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
        ):
            yield Api(client)
    except RegistryError as error:
        raise CliError(str(error)) from None
    except OSError as error:
        raise CliError(
            f"The data directory {settings.data_dir} can't be used ({error.strerror}); "
            "set STREAMHUB_DATA_DIR."
        ) from None


def service_runs(path: Path) -> bool:
    """Whether a service answers on its control socket. Raises CliError when it is another
    user's."""
    if not path.exists():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(str(path))
        except PermissionError:
            raise CliError(
                f"The service's control socket {path} belongs to another user; "
                "run the command as that user."
            ) from None
        except OSError:
            return False
    return True


def _error(answer: httpx.Response) -> CliError:
    try:
        problem = answer.json()
        text, code = str(problem["detail"]), str(problem["code"])
    except (ValueError, KeyError, TypeError):
        return CliError(f"The service answered {answer.status_code}; see its log.")
    faults = [
        f"{each['field'].removeprefix('body.')}: {each['problem']}"
        for each in problem.get("fields", [])
    ]
    if faults:  # they name what the sentence names, and say why
        text = f"Correct the request: {'; '.join(faults)}"
    wrong_input = answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    return CliError(f"{text} ({code})", exit_code=2 if wrong_input else 1)

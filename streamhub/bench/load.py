"""`loadgen`, asked from Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from .machine import Cores
from .processes import BenchError, ask_binary, binary

TOKEN_VARIABLE = "STREAMHUB_LOAD_TOKEN"  # noqa: S105  (a name, not a token)
LIMIT_SECONDS = 3


@dataclass(frozen=True)
class Load:
    """Viewers to bring. Times in milliseconds; `rate` in joins a second, 0 is all at once.
    `cameras`: the farm's number of each URL's, where the send log has several."""

    urls: Sequence[str]
    viewers: int
    rate: float = 0.0
    steady: int = 0
    settle_ms: int = 4_000
    measure_ms: int = 10_000
    kernel_times: bool = False
    send_log: Path | None = None
    cameras: Sequence[int] | None = None
    rows: bool = False
    patience_ms: int = 30_000


def watch(
    load: Load,
    cores: Cores,
    *,
    token: str | None,
    pid: int | None,
    urls_file: Path,
    on_phase: Callable[[str], None] | None = None,
    abandon: bool = True,
) -> dict[str, Any]:
    """Bring the viewers, and give what `loadgen watch` counted. `on_phase` hears "joining",
    "settling", "measuring", "measured". `abandon`: leave without a word, since the server is
    stopped right after.

    Raises BenchError when none of those who join gets a picture.
    """
    lines = load.urls
    if load.cameras is not None:
        lines = [f"{url} {camera}" for url, camera in zip(load.urls, load.cameras, strict=True)]
    urls_file.write_text("\n".join(lines), encoding="utf-8")
    words = [binary("loadgen"), "watch", "--urls", str(urls_file)]
    words += ["--viewers", str(load.viewers), "--rate", str(load.rate)]
    words += ["--steady", str(load.steady), "--settle-ms", str(load.settle_ms)]
    words += ["--measure-ms", str(load.measure_ms), "--patience-ms", str(load.patience_ms)]
    if load.kernel_times:
        words.append("--kernel-times")
    if load.rows:
        words.append("--rows")
    if load.send_log is not None:
        words += ["--send-log", str(load.send_log)]
    if pid is not None:
        words += ["--pid", str(pid)]
    if abandon:
        words.append("--abandon")

    def heard(line: str) -> None:
        if on_phase is not None and line.startswith("loadgen: "):
            on_phase(line.removeprefix("loadgen: "))

    seen = ask_binary(words, cores.load, {TOKEN_VARIABLE: token or ""}, heard)
    if seen["join"]["first_keyframe_ms"] is None:
        raise BenchError(
            f"None of {load.viewers} viewers got a picture from {_public(load.urls[0])}: "
            f"{why_not(seen) or 'nothing was decodable'}."
        )
    return seen


def why_not(seen: Mapping[str, Any]) -> str:
    """The most frequent failure of viewers, and of how many; empty without any."""
    failures: Mapping[str, int] = seen["failures"]
    if not failures:
        return ""
    reason, count = max(failures.items(), key=lambda failure: failure[1])
    return f"{reason} ({count} of {seen['viewers']})"


def _public(url: str) -> str:
    """Without what may hold a secret: user, query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _on_cores(cores: Cores) -> list[str]:
    if cores.service is None or cores.load is None:
        return []
    return ["--sender-core", str(cores.service), "--receiver-core", str(cores.load)]


def limit(
    viewers: int, cores: Cores, *, cipher: str, seconds: int = LIMIT_SECONDS, rate: int = 0
) -> dict[str, Any]:
    """The bare loop of sending: cipher and GSO, nothing else. `rate`: access units a second to each
    viewer; 0 is as fast as they are taken."""
    words = [binary("loadgen"), "limit", "--viewers", str(viewers), "--cipher", cipher]
    words += ["--seconds", str(seconds), "--rate", str(rate), *_on_cores(cores)]
    return ask_binary(words, None)


def limit_ingest(
    farm: str, cameras: int, profile: str, cores: Cores, *, seconds: int = LIMIT_SECONDS
) -> dict[str, Any]:
    """The bare loop of receiving: the farm's bytes, read and walked, nothing else."""
    words = [binary("loadgen"), "limit-ingest", "--farm", farm, "--cameras", str(cameras)]
    words += ["--profile", profile, "--seconds", str(seconds)]
    if cores.service is not None:
        words += ["--core", str(cores.service)]
    return ask_binary(words, None)

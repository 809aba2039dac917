"""go2rtc: `streams` by name, each a source or a list of them; `#` begins a source's options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from . import urls
from .config import ForeignConfig, Gathering, heading, label
from .yaml_file import Node

FFMPEG: Final = "ffmpeg:"
# A stream may be made of another, and that of a third; nobody goes further.
MAX_REFERENCES: Final = 4


def cameras(root: Node) -> ForeignConfig:
    """One camera per stream with rtsp:// sources: the first is main, the next sub."""
    found = Gathering("go2rtc")
    streams = root.at("streams").mapping
    for name, stream in streams.items():
        column = heading("streams", name)
        row = found.named(stream.line, name, column)
        texts = sources(stream)
        plain = [text for text in texts if urls.scheme(text) == "rtsp"]
        # Through ffmpeg only: the camera is the same, what ffmpeg made of it is not taken along.
        addresses = plain or [t for t in map(direct, texts) if urls.scheme(t) == "rtsp"]
        if addresses:
            if urls.put(found, row, column, [(column, text) for text in addresses], name):
                found.take(row)
            continue
        other = next((r for r in map(direct, texts) if r in streams and r != name), None)
        if other is not None:
            found.skip(
                row,
                column,
                "made_of_another",
                f"{label(name)} is made of the stream {label(other)}, which is read by itself.",
                "warning",
            )
        elif not texts:
            found.skip(row, column, "empty", f"{label(name)} has no source.", "warning")
        else:
            found.skip(
                row,
                column,
                "not_rtsp",
                f"{label(name)} is left out: {urls.not_rtsp(urls.scheme(texts[0]))}",
            )
    return found.done()


def sources(stream: Node) -> list[str]:
    """The sources of a stream, without their options."""
    texts = [stream.text] if stream.text else [item.text for item in stream.items]
    return [text.strip().partition("#")[0] for text in texts if text]


def direct(source: str) -> str:
    """What ffmpeg is asked to read: an address, or another stream's name."""
    return source.removeprefix(FFMPEG) if source.startswith(FFMPEG) else ""


def addresses_of(streams: dict[str, Node], name: str, left: int = MAX_REFERENCES) -> Iterator[str]:
    """The rtsp:// addresses behind a stream's name, through the streams that it is made of."""
    for source in sources(streams[name]) if left and name in streams else ():
        inner = direct(source)
        if urls.scheme(source) == "rtsp":
            yield source
        elif urls.scheme(inner) == "rtsp":
            yield inner
        elif inner != name:
            yield from addresses_of(streams, inner, left - 1)

"""Signed roots written apart from the registry: a directory, meant for another disk, with a file
per day that only grows. Blocking; for a thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from ..errors import RootsUnfit
from ..key_file import sync_directory
from .model import Segment
from .segment import from_line, line_of

SUFFIX: Final = ".jsonl"


class RootFiles:
    """`<day>.jsonl` each. Every method raises OSError when the disk does."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def days(self) -> list[str]:
        """Those that have a file; none where there is no directory."""
        if not self.directory.is_dir():
            return []
        return sorted(path.stem for path in self.directory.glob(f"*{SUFFIX}"))

    def lines(self, day: str) -> list[str]:
        """Of a day, as they are; a last one may be torn."""
        try:
            return self._path(day).read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def last_number(self) -> int:
        """The highest number that was ever written here; 0 for none."""
        return max((segment.number for segment in self._newest()), default=0)

    def write(self, segments: Sequence[Segment]) -> int:
        """Adds what is not there yet, in order; how many. On the disk when it returns.

        Raises RootsUnfit when another root has such a number: nothing is signed twice differently.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        written = 0
        for day, group in groupby(segments, key=lambda each: each.day):
            written += self._write_day(day, list(group))
        return written

    def has(self, segment: Segment) -> bool:
        return line_of(segment) in self.lines(segment.day)

    def _write_day(self, day: str, segments: Sequence[Segment]) -> int:
        path = self._path(day)
        before = path.read_bytes() if path.exists() else b""
        torn = before[before.rfind(b"\n") + 1 :]
        there = before[: len(before) - len(torn)].decode(errors="replace").splitlines()
        known = set(there)
        missing = [each for each in segments if line_of(each) not in known]
        if not missing:
            return 0
        taken = {each.number for each in _parsed(there)}
        for each in missing:
            if each.number in taken:
                raise RootsUnfit(
                    f"{path} has another root for segment {each.number}: the registry was put "
                    "back, or rewritten. Keep the file, and name another roots_dir."
                )
        content = "".join(f"{line_of(each)}\n" for each in missing).encode()
        # A power cut in the middle of a line: the rest of that very line, else a new one.
        content = content[len(torn) :] if content.startswith(torn) else b"\n" + content
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(handle, view) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        sync_directory(self.directory)
        return len(missing)

    def _newest(self) -> Iterator[Segment]:
        """The segments of the last day that has one; days do not go back."""
        for day in reversed(self.days()):
            found = _parsed(self.lines(day))
            if found:
                yield from found
                return

    def _path(self, day: str) -> Path:
        return self.directory / f"{day}{SUFFIX}"


def _parsed(lines: Sequence[str]) -> list[Segment]:
    found = []
    for text in lines:
        try:
            found.append(from_line(text))
        except ValueError:
            continue
    return found

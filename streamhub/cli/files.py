"""Files that a command sends on."""

from __future__ import annotations

import os
from pathlib import Path

from .control import CliError


def read_file(file: Path, max_bytes: int) -> bytes:
    """All of a file within the limit. Of a larger one nothing is read, nor of what has no end more
    than the limit. Raises CliError."""
    try:
        with file.open("rb") as source:
            size = os.fstat(source.fileno()).st_size
            content = b"" if size > max_bytes else source.read(max_bytes + 1)
    except OSError as error:
        raise CliError(f"{file} can't be read ({error.strerror}).", exit_code=2) from None
    if max(size, len(content)) > max_bytes:
        raise CliError(
            f"{file} is larger than {max_bytes >> 20} MiB; divide it into several files.",
            exit_code=2,
        )
    return content

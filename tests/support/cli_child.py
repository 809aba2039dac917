"""Runs `streamhub` commands one after another in one process: starting Python for each takes
seconds on a busy machine. A JSON line `[arguments, given]` in, `[exit code, what it said]` out."""

from __future__ import annotations

import json
import sys

from typer.testing import CliRunner

from streamhub import cli
from streamhub.cli.control import CliError


def main() -> None:
    runner, real = CliRunner(), sys.stdout
    for line in sys.stdin:
        arguments, given = json.loads(line)
        sys.argv = ["streamhub", *arguments]
        result = runner.invoke(cli.build(), arguments, input=given)
        code, said = result.exit_code, result.output
        if isinstance(result.exception, CliError):
            code, said = result.exception.exit_code, f"{said}streamhub: {result.exception}\n"
        elif result.exception is not None and not isinstance(result.exception, SystemExit):
            said = f"{said}{result.exception!r}"
        print(json.dumps([code, said]), file=real, flush=True)


if __name__ == "__main__":
    main()

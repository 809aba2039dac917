"""Runs `streamhub` commands one after another in one process: starting Python for each takes
seconds on a busy machine. A JSON line `[arguments, given]` in, `[exit code, what it printed, what
it said to stderr]` out."""

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
        code, errors = result.exit_code, result.stderr
        if isinstance(result.exception, CliError):
            code, errors = result.exception.exit_code, f"{errors}streamhub: {result.exception}\n"
        elif result.exception is not None and not isinstance(result.exception, SystemExit):
            errors = f"{errors}{result.exception!r}"
        print(json.dumps([code, result.stdout, errors]), file=real, flush=True)


if __name__ == "__main__":
    main()

"""What libraries may say in the service's log."""

from __future__ import annotations

import subprocess
import sys

LOADS_ALEMBIC = """
from streamhub import logs
from streamhub.settings import LogSettings
logs.configure(LogSettings())
from alembic import command
"""


def test_a_first_start_does_not_tell_alembics_own_extensions() -> None:
    done = subprocess.run([sys.executable, "-c", LOADS_ALEMBIC], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")

"""The command line, with a core of which a part has ended as soon as the file FAULTY_CORE is there:
what ends a shard in earnest is mended when it is known."""

from __future__ import annotations

import os
from pathlib import Path

from streamhub.cli import main
from streamhub.delivery import Delivery

if __name__ == "__main__":
    fault = Path(os.environ["FAULTY_CORE"])
    Delivery.core_is_whole = property(lambda self: not fault.exists())  # type: ignore[method-assign,assignment]
    main()

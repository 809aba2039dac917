"""Times on the wire: RFC 3339 with an offset; a time without one is refused, not guessed."""

from __future__ import annotations

from pydantic import AwareDatetime

Time = AwareDatetime

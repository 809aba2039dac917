"""The stream profiles, as a query parameter or in a body."""

from __future__ import annotations

from typing import Literal

Profile = Literal["main", "sub"]

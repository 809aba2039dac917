"""The stream profiles as a query parameter."""

from __future__ import annotations

from typing import Literal

Profile = Literal["main", "sub"]

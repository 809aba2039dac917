"""What `camera discover` shows of a sweep."""

from __future__ import annotations

from typing import Any

import pytest

from streamhub.cli.camera_discover import _devices, _tell
from streamhub.cli.control import Api
from streamhub.discovery.found import by_address


class Pages(Api):
    """Two pages of devices, as the service gives them."""

    def __init__(self) -> None:
        pass

    async def call(self, method: str, path: str, **asked: Any) -> Any:
        if asked["params"]["after"]:
            return {"items": [{"host": "10.1.1.5", "port": 80}], "next_after": None}
        items = [{"host": host, "port": 80} for host in ("10.1.1.1", "10.1.1.10")]
        return {"items": items, "next_after": "10.1.1.10 80"}


async def test_devices_come_by_address_and_not_as_texts() -> None:
    found = [each["host"] for each in await _devices(Pages(), "/sweep")]
    assert found == ["10.1.1.1", "10.1.1.5", "10.1.1.10"]


def test_names_come_behind_addresses_and_ports_within_them() -> None:
    places = [("b", 1), ("a", 9), ("::5", 1), ("10.0.0.9", 81), ("10.0.0.9", 80), ("9.9.9.10", 1)]
    ordered = [*reversed(places[4:]), places[3], places[2], places[1], places[0]]
    assert sorted(places, key=lambda place: by_address(*place)) == ordered


def test_a_sweep_that_found_nothing_has_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    _tell({"done": 14, "total": 14, "state": "done"}, [], None)
    assert capsys.readouterr().out == "14 of 14 asked, 0 found (done).\n"

"""Fixtures that several suites share: the farm, a seeded district, a service on it."""

from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from camera_registry import units

pytest_plugins = ["support.fixtures"]

# A busy machine is no counterexample: neither an example nor the making of them has a time.
settings.register_profile(
    "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")

# A change is answered once this process's caches show it, or after a second. A busy machine may
# take longer, and then what is asked next is answered by the facts of before.
units.CATCH_UP_MS = 10_000

# Services that had been started before the test that runs began.
_before = pytest.StashKey[int]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    from support import district

    item.stash[_before] = len(district.started)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure comes with what the services said that the test had."""
    from support import district

    report = yield
    if report.failed:
        given = getattr(item, "funcargs", {}).values()
        mine = district.started[item.stash.get(_before, 0) :]
        mine += [value for value in given if isinstance(value, district.Service)]
        for service in {id(service): service for service in mine}.values():
            report.sections.append((f"service at {service.url}", service.last_words()))
    return report

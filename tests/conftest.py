"""Fixtures that several suites share: the farm, a seeded district, a service on it."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["support.fixtures"]

# A busy machine is no counterexample: neither an example nor the making of them has a time.
settings.register_profile(
    "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")

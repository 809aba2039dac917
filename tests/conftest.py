"""Fixtures that several suites share: the farm, a seeded district, a service on it."""

pytest_plugins = ["support.fixtures"]

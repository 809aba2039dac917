"""Figures for `/metrics`. Labels are bounded: routes, status classes, outcomes; never a channel,
a user or an address."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

# Below 1 ms is the join path's decision, 50 to 200 ms is argon2, above is trouble.
DURATION_BUCKETS_S = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 3.0, 10.0)

# Twice the lines, and no reader: the time of a restart is in the process's own figures.
disable_created_metrics()  # type: ignore[no-untyped-call]

Figures = Callable[[], Mapping[str, int | float]]


class Metrics:
    """One registry of its own per application: nothing global."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "streamhub_http_requests",
            "Requests by route template and status class.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self.durations = Histogram(
            "streamhub_http_request_seconds",
            "Time to the first byte of the answer.",
            ("route",),
            buckets=DURATION_BUCKETS_S,
            registry=self._registry,
        )
        self.refusals = Counter(
            "streamhub_refusals",
            "Decisions that refused, by reason.",
            ("action", "reason"),
            registry=self._registry,
        )

    def add_figures(self, figures: Figures) -> None:
        """Pull a room's flat figures at each scrape. Names that end in `_total` are counters; what
        follows a dot is a label: `views_ended_total.shutdown`, `routes.live`."""
        self._registry.register(_FiguresCollector(figures))

    def text(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self._registry)


class _FiguresCollector(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for key, value in sorted(self._figures().items()):
            name, dot, label = key.partition(".")
            family = families.get(name)
            if family is None:
                text = name.replace("_", " ")
                if name.endswith("_total"):
                    family = CounterMetricFamily(
                        f"streamhub_{name}", text, labels=["cause"] if dot else []
                    )
                else:
                    family = GaugeMetricFamily(
                        f"streamhub_{name}", text, labels=["state"] if dot else []
                    )
                families[name] = family
            family.add_metric([label] if dot else [], value)
        return families.values()

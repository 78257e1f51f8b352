"""Instruments of the process, in Prometheus form with OpenTelemetry's names; served on a port of their own."""

import itertools
import random
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import REGISTRY, Gauge
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

# OpenTelemetry's own boundaries lack 0.08 and 0.2, and a target that is no boundary cannot be judged from a histogram.
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.08, 0.1, 0.2, 0.25, 0.5, 0.75, 1, 2.5, 5, 10)


class Durations(Collector):
    """A histogram that one thread writes. prometheus_client's takes two locks for an observation and looks for the
    bucket one by one: 0.8 to 1.0 µs by its bucket, where this takes 0.35. It is registered when it is made.
    """

    def __init__(self, name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> None:
        self._name, self._text, self._labels, self._buckets = name, text, labels, buckets
        self._series: dict[tuple[str | int, ...], list[float]] = {}
        REGISTRY.register(self)

    def observe(self, values: tuple[str | int, ...], duration_s: float) -> None:
        """``values`` of the labels, in their order."""
        series = self._series.get(values)
        if series is None:
            # Observations by bucket, those beyond the last, and their sum.
            series = self._series[values] = [0.0] * (len(self._buckets) + 2)
        series[bisect_left(self._buckets, duration_s)] += 1
        series[-1] += duration_s

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        bounds = [*(str(float(bound)) for bound in self._buckets), "+Inf"]
        for values, series in list(self._series.items()):
            *counts, total_s = series
            buckets = list(zip(bounds, itertools.accumulate(counts), strict=True))
            family.add_metric([str(value) for value in values], buckets, total_s)
        return [family]


_durations = Durations(
    "http_server_request_duration_seconds",
    "Time from the request's headers to the end of its answer.",
    ("http_route", "http_request_method", "http_response_status_code"),
    BUCKETS,
)
ACTIVE_REQUESTS = Gauge("http_server_active_requests", "Requests under way.")

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED: Final = "__unmatched__"


def observe_request(route: str, method: str, status: int, duration_s: float) -> None:
    """``route`` is a template and ``method`` one of METHODS or _OTHER: nothing a client can invent."""
    _durations.observe((route, method, status), duration_s)


_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


def is_traceparent(traceparent: str) -> bool:
    """W3C Trace Context, version 00."""
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return match is not None and match[1] != "0" * 32 and match[2] != "0" * 16


def trace_id_of(traceparent: str | None) -> str:
    """The caller's trace id, or a new one when there is none or it is not valid."""
    if traceparent and is_traceparent(traceparent):
        return traceparent[3:35]
    return new_id()


def new_id() -> str:
    """32 hexadecimal digits to tell requests apart by; unpredictable to nobody but chance."""
    return f"{random.getrandbits(128):032x}"


class Gauges(Collector):
    """Values that are read when they are scraped, from a process's live parts."""

    def __init__(self, pools: Callable[[], dict[str, tuple[int, int]]], revocation_age_s: Callable[[], float]) -> None:
        self._pools = pools
        self._revocation_age_s = revocation_age_s

    def collect(self) -> Iterable[Metric]:
        used = GaugeMetricFamily(
            "db_client_connection_count", "Database connections in use.", labels=("db_client_connection_pool_name",)
        )
        most = GaugeMetricFamily(
            "db_client_connection_max", "Database connections allowed.", labels=("db_client_connection_pool_name",)
        )
        for name, (in_use, size) in self._pools().items():
            used.add_metric((name,), in_use)
            most.add_metric((name,), size)
        age = GaugeMetricFamily("tasks_revocations_age_seconds", "Time since revoked tokens were last read.")
        age.add_metric((), self._revocation_age_s())
        return used, most, age

    def register(self, registry: CollectorRegistry = REGISTRY) -> None:
        registry.register(self)

    def unregister(self, registry: CollectorRegistry = REGISTRY) -> None:
        registry.unregister(self)

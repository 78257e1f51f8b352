"""What the server says of itself: its /metrics before and after, and the checks that follow from the difference."""

import http.client
import math
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]
Samples = Mapping[tuple[str, Labels], float]


class ScrapeError(RuntimeError):
    """The metrics could not be read."""


def scrape(host: str, port: int) -> Samples:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise ScrapeError(f"the metrics on port {port} cannot be read: {error}") from error
    finally:
        connection.close()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@dataclass(frozen=True)
class Deltas:
    """What was counted between two scrapes. Shares are None without anything to share."""

    requests: float
    errors: float
    hits: float
    misses: float
    statements: float
    pool_wait_p95_s: float

    @property
    def hit_ratio(self) -> float | None:
        asked = self.hits + self.misses
        return self.hits / asked if asked else None

    @property
    def statements_per_request(self) -> float | None:
        return self.statements / self.requests if self.requests else None


def deltas(before: Samples, after: Samples) -> Deltas:
    def moved(name: str, **labels: str) -> float:
        wanted = labels.items()
        return sum(
            value - before.get(key, 0.0)
            for key, value in after.items()
            if key[0] == name and wanted <= dict(key[1]).items()
        )

    duration = "http_server_request_duration_seconds_count"
    return Deltas(
        requests=moved(duration),
        errors=sum(moved(duration, http_response_status_code=str(code)) for code in range(500, 600)),
        hits=moved("tasks_cache_hits_total"),
        misses=moved("tasks_cache_misses_total"),
        statements=moved("db_client_operation_duration_seconds_count"),
        pool_wait_p95_s=bucket_quantile(before, after, "db_client_connection_wait_time_seconds", 0.95),
    )


def bucket_quantile(before: Samples, after: Samples, name: str, share: float) -> float:
    """The upper bound of the bucket in which the quantile lies: at most so much. Infinite beyond the last; 0 without
    an observation.
    """
    counts: dict[float, float] = {}
    for (sample, labels), value in after.items():
        if sample == f"{name}_bucket":
            bound = float(dict(labels)["le"])
            counts[bound] = counts.get(bound, 0.0) + value - before.get((sample, labels), 0.0)
    whole = counts.get(math.inf, 0.0)
    return next((bound for bound in sorted(counts) if counts[bound] >= share * whole), 0.0) if whole else 0.0

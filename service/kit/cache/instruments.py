"""What the cache tells: by tier (process, valkey) and kind of answer."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

LABELS: Final = ("tier", "kind")

HITS = Counter("tasks_cache_hits", "Answers taken from a tier.", LABELS)
MISSES = Counter("tasks_cache_misses", "Answers that had to be loaded from PostgreSQL.", ("kind",))
STALE = Counter("tasks_cache_stale", "Answers served while a newer one was being loaded.", ("kind",))
EVICTED = Counter("tasks_cache_evictions", "Answers dropped to stay within the bound of bytes.", LABELS)
LOAD = Histogram(
    "tasks_cache_load_seconds",
    "Time to load what was missing.",
    ("kind",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
BYTES = Gauge("tasks_cache_bytes", "Size of the tier in the process.")

"""The figures of the design (section 2), written out a second time: a promise cannot change unnoticed."""

from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest

from roadmap.phases import _NEEDS, Features, Topology, Trigger, load
from roadmap.reader import RoadmapError

ROADMAP = load()
NAMES = ("current", "1", "2", "3", "4")

# Each row as in the design, one value a phase.
TARGETS: dict[str, tuple[Any, ...]] = {
    "users": (500, 5_000, 50_000, 500_000, 500_000),
    "open_ended": (False, False, False, False, True),
    "p95_ms": (200, 50, 100, 80, 80),
    "availability": (0.99, 0.995, 0.999, 0.9999, 0.9999),
    "database_gb": (1, 10, 100, 1_000, 1_000),
    "inherits": (None, None, None, None, "3"),
}
BUDGETS: dict[str, list[tuple[int, str]]] = {
    "current": [(80, "targets table")],
    "1": [(200, "targets table")],
    "2": [(800, "targets table"), (400, "cost table")],
    "3": [(5_000, "targets table"), (1_500, "cost table")],
    "4": [],
}
TOPOLOGY: dict[str, tuple[Any, ...]] = {
    "api_servers": (1, 1, 3, None, None),
    "services": (1, 1, 1, 4, 4),
    "autoscaled": (False, False, False, True, True),
    "load_balancer": (False, False, True, True, True),
    "postgres_shards": (1, 1, 1, 1, None),
    "postgres_primaries": (1, 1, 1, 1, 1),
    "postgres_replicas": (0, 0, 2, 2, 1),
    "postgres_cross_region_replicas": (0, 0, 0, 0, 1),
    "valkey_nodes": (0, 1, 2, 3, 3),
    "cdn": (False, False, True, True, True),
    "queue": (False, False, False, True, True),
    "workers": (False, False, False, True, True),
    "regions": (1, 1, 1, 1, 2),
    "schema": ("0001", "head", "head", "head", "head"),
}
FEATURES_SINCE = {
    "indexes": "1",
    "cache": "1",
    "shared_rate_limits": "1",
    "read_replicas": "2",
    "automatic_failover": "2",
    "events": "3",
    "sharding": "4",
    "region_failover": "4",
}


@pytest.mark.parametrize(
    ("part", "key", "row"),
    [(part, key, row) for part, rows in (("targets", TARGETS), ("topology", TOPOLOGY)) for key, row in rows.items()],
)
def test_row_is_the_one_of_the_design(part: str, key: str, row: tuple[Any, ...]) -> None:
    assert tuple(getattr(getattr(phase, part), key) for phase in ROADMAP.phases) == row


@pytest.mark.parametrize("name", NAMES)
def test_budgets_keep_every_figure_with_its_source(name: str) -> None:
    assert [(b.usd_per_month, b.source) for b in ROADMAP.phase(name).targets.budgets] == BUDGETS[name]


@pytest.mark.parametrize("name", NAMES)
def test_features_come_with_their_phase_and_stay(name: str) -> None:
    features = ROADMAP.phase(name).features
    on = {feature for feature in FEATURES_SINCE if getattr(features, feature)}
    assert on == {feature for feature, since in FEATURES_SINCE.items() if NAMES.index(since) <= NAMES.index(name)}


def test_no_figure_escapes_the_tables_above() -> None:
    assert ROADMAP.names == NAMES
    assert {field.name for field in fields(ROADMAP.phases[0].targets)} == {*TARGETS, "budgets"}
    assert {field.name for field in fields(Topology)} == set(TOPOLOGY)
    assert {field.name for field in fields(Features)} == set(FEATURES_SINCE)


def test_every_feature_says_what_it_needs() -> None:
    assert set(_NEEDS) == {field.name for field in fields(Features)}


def test_facts_and_the_load_that_follows_from_them() -> None:
    facts = ROADMAP.facts
    assert (facts.percentile, facts.think_time_s, facts.mean_load_share) == ("p95", 10, 0.10)
    assert [phase.peak_requests_per_s for phase in ROADMAP.phases] == [50, 500, 5_000, 50_000, 50_000]
    assert [phase.mean_requests_per_s for phase in ROADMAP.phases] == pytest.approx([5, 50, 500, 5_000, 5_000])


def test_when_to_scale() -> None:
    def key(trigger: Trigger) -> tuple[str, str | None, float | None, str, str]:
        return trigger.signal, trigger.comparison, trigger.threshold, trigger.to, trigger.brings

    assert [key(trigger) for trigger in ROADMAP.when_to_scale] == [
        ("p95_ms", ">", 500, "1", "cache and indexes"),
        ("cpu_share", ">", 0.70, "2", "more servers"),
        ("slow_queries", None, None, "2", "replicas"),
        ("downtime_share", ">", 0.01, "2", "load balancing"),
        ("users_in_other_regions", None, None, "2", "CDN"),
        ("users_in_other_regions", None, None, "4", "regions"),
        ("users", ">=", 50_000, "3", "services"),
    ]
    assert [trigger.wording for trigger in ROADMAP.triggers_into("2")] == [
        "CPU > 70 % sustained",
        "slow queries",
        "downtime > 1 %",
        "users growing in other regions",
    ]
    assert ROADMAP.triggers_into("current") == ()


def test_unknown_phase_names_the_known_ones() -> None:
    with pytest.raises(RoadmapError) as caught:
        ROADMAP.phase("5")
    assert str(caught.value) == "phases.5: no such phase; there are current, 1, 2, 3, 4"


def test_values_are_frozen() -> None:
    attribute = "users"  # not a literal, or mypy would rightly refuse the line below
    with pytest.raises(FrozenInstanceError):
        setattr(ROADMAP.phases[0].targets, attribute, 1)


def test_loads_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load() == ROADMAP

"""The measurement once, tiny, on real servers: that everything is counted and nothing is left. Times are not judged."""

import os
from pathlib import Path

import pytest

from loadtests.capacity.cores import apart
from loadtests.capacity.measure import WRITE_SHARE, measure
from loadtests.capacity.measured import Measured
from loadtests.capacity.simulate import Routing
from loadtests.capacity.size import Size
from loadtests.gate.machine import place
from loadtests.servers import process_tree

TINY = Size(
    loads=(0.1, 0.2),
    rounds=1,
    seconds=0.3,
    emulated_s=0.3,
    fleet_s=0.3,
    users=20,
    tasks=800,
    emulated_mean_ms=5.0,
    fleets=((2, Routing.LEAST_BUSY),),
    patience_s=0.0,
    tries=1,
)


def test_a_measurement_counts_all_there_is() -> None:
    before = set(process_tree(os.getpid()))
    lines: list[str] = []
    found = measure(TINY, lines.append)
    assert set(process_tree(os.getpid())) == before
    assert all(line.startswith("measuring: ") for line in lines)
    # A busy machine may disturb a generator; requests are neither lost nor wrong.
    assert [problem for problem in found.problems if "without" in problem] == []
    assert sorted((step.servers, step.load) for step in found.product) == [(1, 0.1), (1, 0.2)]
    assert sorted((s.servers, s.routing) for s in found.emulated) == [(1, "random"), (1, "random"), (2, "least busy")]
    for step in (*found.product, *found.emulated):
        assert step.answered > 0
        assert step.rate_per_s == pytest.approx(step.answered / step.seconds)
        assert 0 < step.p50_ms <= step.p95_ms
        assert step.busy == pytest.approx(step.service_ms * step.rate_per_s / 1_000 / step.servers)
    (writes,) = found.writes
    assert writes.row_writes == pytest.approx(1.0)
    assert writes.commits >= 1
    assert writes.held_ms > 0
    assert len(found.mixed) == len(found.product)
    for work in found.mixed:
        assert 0 < work.row_writes < 3 * WRITE_SHARE
        assert work.statements > work.row_writes
        assert work.cpu_ms > 0
    assert found.capacity_per_s > 0
    assert Measured.from_json(found.to_json()) == found


def test_what_is_measured_has_a_core_of_its_own() -> None:
    before = os.sched_getaffinity(0)
    with apart() as core:
        if core is None:
            assert len(before) == 1
        else:
            assert core not in os.sched_getaffinity(0)
            place(os.getpid(), frozenset({core}))
            threads = [int(thread.name) for thread in Path("/proc/self/task").iterdir()]
            assert {frozenset(os.sched_getaffinity(thread)) for thread in threads} == {frozenset({core})}
            for thread in threads:
                os.sched_setaffinity(thread, before)
    assert os.sched_getaffinity(0) == before

"""Whose CPU is whose."""

import os
import subprocess
import sys

import pytest

from loadtests.gate.machine import Cores, Reading, apart, place, read, usage


def test_shares_of_the_core_and_of_what_others_took() -> None:
    before = Reading((10, 100), (50, 200), {"api": {1: 5.0}, "gate": {2: 1.0}})
    after = Reading((14, 110), (62, 220), {"api": {1: 8.0, 3: 1.0}, "gate": {2: 2.0}})
    used = usage(before, after)
    assert used.core == 0.4
    assert used.neighbours == pytest.approx((12 - 5) / 20)
    assert used.cpu_s == {"api": 4.0, "gate": 1.0}


def test_a_process_that_belongs_to_two_parts_is_counted_once() -> None:
    before = Reading((0, 0), (0, 0), {"gate": {1: 0.0, 2: 0.0}, "crowd": {2: 0.0}})
    after = Reading((5, 10), (10, 20), {"gate": {1: 2.0, 2: 6.0}, "crowd": {2: 6.0}})
    assert usage(before, after).neighbours == pytest.approx((10 - 8) / 20)


def test_two_readings_of_one_moment_are_refused() -> None:
    same = Reading((1, 2), (1, 2), {})
    with pytest.raises(ValueError, match="no time has passed"):
        usage(same, same)


def test_a_reading_sees_this_process() -> None:
    reading = read({"me": os.getpid()}, Cores.of_this_machine())
    assert reading.own_s["me"][os.getpid()] > 0
    assert 0 <= reading.core_s[0] <= reading.core_s[1] <= reading.machine_s[1]


def test_servers_are_set_apart_from_the_generators_and_put_back() -> None:
    allowed = frozenset(os.sched_getaffinity(0))
    cores = Cores.of_this_machine()
    assert cores.servers | cores.generators == allowed
    assert len(allowed) == 1 or not cores.servers & cores.generators
    sleeper = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(sleeper, stdin=subprocess.PIPE) as process:
        with apart([process.pid], cores):
            assert os.sched_getaffinity(process.pid) == cores.servers
        assert os.sched_getaffinity(process.pid) == allowed
        place(process.pid, cores.generators)
        assert os.sched_getaffinity(process.pid) == cores.generators

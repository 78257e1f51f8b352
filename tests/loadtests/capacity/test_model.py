"""What a phase needs follows from its users, its topology and what a request costs."""

from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.capacity.model import ModelError, enough, predict
from loadtests.capacity.prices import PRICES_FILE, load_prices
from roadmap.phases import Phase, load
from roadmap.reader import RoadmapError
from tests.support.capacity import PRODUCT, measured

MEASURED = measured()
PRICES = load_prices()
PHASES = load()


def with_users(name: str, users: int) -> Phase:
    phase = PHASES.phase(name)
    return replace(phase, targets=replace(phase.targets, users=users))


def test_needs_grow_with_the_users() -> None:
    few, many = (predict(MEASURED, PRODUCT, with_users("3", users), PRICES).middle for users in (50_000, 500_000))
    # 0.76 ms a request at 60 % of a core: 786 a second each.
    assert (few.servers, many.servers) == (7, 64)
    assert many.data.writes_per_s == pytest.approx(11_000) == 10 * few.data.writes_per_s
    assert many.data.connections == 64 * 12
    assert many.data.connections_to_primaries == 64 * 6
    assert many.data.primary_cores == pytest.approx(11_000 * 0.4 / 1_000 / 0.6)
    assert many.data.connections_in_use == pytest.approx(50_000 * 0.2 / 1_000)
    assert many.usd_per_month > few.usd_per_month
    assert many.busy <= 0.6
    assert many.times.p95_ms < many.times_random.p95_ms


def test_the_interval_comes_from_the_repetitions() -> None:
    prediction = predict(MEASURED, PRODUCT, PHASES.phase("3"), PRICES)
    servers = prediction.of(lambda plan: plan.servers)
    assert servers.low < servers.median < servers.high
    assert servers.high / servers.low < 1.1
    usd = prediction.of(lambda plan: plan.usd_per_month)
    assert usd.low <= usd.median <= usd.high


def test_the_phase_decides_where_the_servers_stand() -> None:
    second, third, fourth = (predict(MEASURED, PRODUCT, PHASES.phase(name), PRICES) for name in "234")
    assert second.middle.machines == 3
    assert second.middle.machine.cores * 3 >= second.middle.servers > second.middle.machine.cores * 3 / 2
    assert third.middle.machines == -(-third.middle.servers // 8)
    assert fourth.middle.regions == 2
    assert fourth.middle.servers == 2 * fourth.middle.servers_a_region
    assert second.surviving is None
    assert fourth.surviving is not None
    assert fourth.surviving.servers == pytest.approx(2 * fourth.middle.servers, abs=2)
    # 7.3 cores of writes, and replicas that need somewhat more, in shards of two cores.
    assert fourth.middle.data.shards == 6
    assert fourth.middle.data.primary_cores <= 2 * fourth.middle.data.shards
    assert third.middle.data.shards == 1


def test_a_core_twice_as_fast_halves_the_servers() -> None:
    fast = predict(MEASURED, PRODUCT, PHASES.phase("3"), replace(PRICES, core_ratio=2.0)).middle
    slow = predict(MEASURED, PRODUCT, PHASES.phase("3"), PRICES).middle
    assert fast.servers == pytest.approx(slow.servers / 2, abs=2)
    assert fast.data.primary_cores == pytest.approx(slow.data.primary_cores / 2)


def test_more_servers_are_taken_where_the_response_time_asks_for_them() -> None:
    usual, at_ease = enough(PRODUCT, 1_000, 100, 0.6)
    most_ms = at_ease.p95_ms - 0.5
    more, times = enough(PRODUCT, 1_000, most_ms, 0.6)
    assert more > usual == 2
    assert times.p95_ms <= most_ms
    with pytest.raises(ModelError, match="even 8 servers, 4 times what the load asks for, miss 1 ms"):
        enough(PRODUCT, 1_000, 1, 0.6)


def test_the_bill_is_the_sum_of_its_rows_at_list_prices() -> None:
    plan = predict(MEASURED, PRODUCT, PHASES.phase("2"), PRICES).middle
    assert plan.usd_per_month == pytest.approx(sum(row.usd_per_month for row in plan.bill))
    rows = {row.what: row for row in plan.bill}
    assert rows["API servers, c7g.xlarge"].usd_per_month == pytest.approx(3 * 2 * 0.0725 * 730)
    assert rows["its disks, GB"].usd_per_month == pytest.approx(3 * 120 * 0.115)
    assert "Kubernetes control planes" not in rows


def test_every_price_says_where_it_is_from_and_sizes_double() -> None:
    sizes = PRICES.sizes("c7g")
    assert [size.cores for size in sizes] == [2, 4, 8, 16, 32, 64]
    assert sizes[1].usd_per_month == 2 * sizes[0].usd_per_month
    assert PRICES.sizes("c7g.2xlarge") == [sizes[2]]
    assert set(PRICES.phases) == {"2", "3", "4"}


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("usd_of_large = 0.0725", "usd_of_large = 0", "instances.c7g.usd_of_large"),
        ('database = "m7g.large"', 'database = "m7g.huge"', "phases.4.database"),
        ('valkey = "valkey_small"', 'valkey = "none"', "phases.2.valkey"),
        ("core_ratio = 1.0", "", "core_ratio"),
        ("core_ratio = 1.0", "core_ratio = 1.0\ntax = 1", "tax"),
    ],
)
def test_a_fault_in_the_prices_is_refused_by_its_key(old: str, new: str, key: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(PRICES_FILE.read_text().replace(old, new))
    with pytest.raises(RoadmapError) as refused:
        load_prices(path)
    assert refused.value.key == key

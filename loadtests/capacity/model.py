"""What a phase needs, by the fitted model: servers, database, connections and money, each with an interval.

The interval is that of the measured costs (CPU of a request, of a write): the whole reckoning is done three times,
with the cheapest, the middle and the dearest of them. The model's own error is not in it; see `validate`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from loadtests.capacity.fit import Fit, Line, Times, resampled
from loadtests.capacity.measured import Measured
from loadtests.capacity.prices import Instance, Prices
from loadtests.capacity.simulate import Fleet, Routing
from loadtests.capacity.size import HELD_OUT
from loadtests.stats import CONFIDENCE, Interval, median_interval
from roadmap.phases import Phase

RESAMPLES = 1_000
# More servers than their load asks for, by this much at most, if that brings the response time down.
MOST_SERVERS = 4
# Of a phase that the strategy gives several without a number.
FEWEST_SHARDS = 2


class ModelError(ValueError):
    """The phase cannot be reckoned; the text says why."""


@dataclass(frozen=True)
class Costs:
    """What requests cost on the measured machine: CPU of a server by its rate, CPU of the database a read and a write
    (as people mix them), and by request of the mix time in statements, by write INSERTs, UPDATEs and DELETEs.
    """

    line: Line
    read_ms: float
    write_ms: float
    held_ms: float
    rows_a_write: float
    commits_a_write: float


@dataclass(frozen=True)
class Priced:
    what: str
    count: float
    usd_per_month: float


@dataclass(frozen=True)
class Data:
    """The databases, all shards and regions together unless the name says otherwise. `primary_cores` and those of one
    replica are what keeps them at most `most_busy`. `connections_in_use` by Little's law: requests/s times the time
    that each spends in statements; those that are held between the statements of a transaction come on top.
    """

    writes_per_s: float
    row_writes_per_s: float
    commits_per_s: float
    primary_cores: float
    writes_one_primary_takes_per_s: float
    shards: int
    replicas: int
    replica_cores: float
    reads_a_replica_per_s: float
    instance: Instance
    connections: int
    connections_to_primaries: int
    connections_in_use: float


@dataclass(frozen=True)
class Plan:
    """All regions together, but `servers_a_region`. A server is a process on a core of its own; `machines` hold
    several. `times` with requests routed to the least busy server.
    """

    regions: int
    servers_a_region: int
    busy: float
    times: Times
    times_random: Times
    machine: Instance
    machines: int
    data: Data
    bill: Sequence[Priced]

    @property
    def servers(self) -> int:
        return self.servers_a_region * self.regions

    @property
    def usd_per_month(self) -> float:
        return sum(row.usd_per_month for row in self.bill)


@dataclass(frozen=True)
class Prediction:
    """`surviving`: as `middle`, with each region able to carry the whole peak; None where there is one region."""

    phase: Phase
    low: Plan
    middle: Plan
    high: Plan
    surviving: Plan | None

    def of(self, figure: Callable[[Plan], float]) -> Interval:
        values = [figure(plan) for plan in (self.low, self.middle, self.high)]
        return Interval(values[1], min(values), max(values))


def predict(measured: Measured, fit: Fit, phase: Phase, prices: Prices) -> Prediction:
    """ModelError or FitError when no number of servers, or no database instance, is enough."""
    low, middle, high = costs(measured, fit, prices)
    return Prediction(
        phase=phase,
        low=plan(low, measured, fit, phase, prices),
        middle=plan(middle, measured, fit, phase, prices),
        high=plan(high, measured, fit, phase, prices),
        surviving=plan(middle, measured, fit, phase, prices, carry_all=True) if phase.topology.regions > 1 else None,
    )


def costs(measured: Measured, fit: Fit, prices: Prices) -> tuple[Costs, Costs, Costs]:
    """The cheapest, the middle and the dearest, within 95 % of what resampled repetitions say."""
    seed, tail = measured.setup.seed, (1 - CONFIDENCE) / 2
    steps = [step for step in measured.product if step.load != HELD_OUT]
    at = fit.line.rate(prices.most_busy)
    lines = sorted(resampled(steps, resamples=RESAMPLES, seed=seed), key=lambda line: line.service_ms(at))
    chosen = (lines[round(tail * (len(lines) - 1))], fit.line, lines[round((1 - tail) * (len(lines) - 1))])
    share = measured.write_share
    write = median_interval([work.cpu_ms for work in measured.writes], seed=seed, resamples=RESAMPLES)
    mixed = median_interval([work.cpu_ms for work in measured.mixed], seed=seed, resamples=RESAMPLES)
    held = median_interval([work.held_ms for work in measured.mixed], seed=seed, resamples=RESAMPLES)
    read = max(0.0, (mixed.median - share * write.median) / (1 - share))
    rows = median(work.row_writes for work in measured.writes)
    commits = median(work.commits for work in measured.writes)

    def made(line: Line, write_ms: float, mixed_ms: float, held_ms: float) -> Costs:
        reads = read * mixed_ms / mixed.median if mixed.median else 0.0
        return Costs(line, reads, write_ms, held_ms, rows, commits)

    low = made(chosen[0], write.low, mixed.low, held.low)
    middle = made(chosen[1], write.median, mixed.median, held.median)
    return low, middle, made(chosen[2], write.high, mixed.high, held.high)


def on(line: Line, core_ratio: float) -> Line:
    """The same work on a core that is so many times as fast."""
    return Line(line.fixed_share / core_ratio, line.marginal_ms / core_ratio)


def plan(costs: Costs, measured: Measured, fit: Fit, phase: Phase, prices: Prices, *, carry_all: bool = False) -> Plan:
    topology, machines = phase.topology, prices.phases[phase.name]
    share = 1.0 if carry_all else 1 / topology.regions
    model = replace(fit, line=on(costs.line, prices.core_ratio))
    peak = phase.peak_requests_per_s
    servers, times = enough(model, peak * share, phase.targets.p95_ms, prices.most_busy)
    one = peak * share / servers
    machine, count = machines_for(servers, topology.api_servers, prices.sizes(machines.api))
    count *= topology.regions
    data = database(costs, measured, phase, prices, servers * topology.regions)
    return Plan(
        regions=topology.regions,
        servers_a_region=servers,
        busy=model.line.busy(one),
        times=times,
        times_random=model.times(Fleet(servers, 1, Routing.RANDOM), peak * share),
        machine=machine,
        machines=count,
        data=data,
        bill=bill(phase, prices, (machine, count), data),
    )


def database(costs: Costs, measured: Measured, phase: Phase, prices: Prices, servers: int) -> Data:
    """Replicas take all reads where the phase has them, and replay all writes of their primary."""
    topology, setup = phase.topology, measured.setup
    writes = phase.peak_requests_per_s * measured.write_share
    reads = phase.peak_requests_per_s - writes
    full = 1_000 * prices.core_ratio * prices.most_busy  # ms of the measured core's work that a core may do a second
    write_cores, read_cores = writes * costs.write_ms / full, reads * costs.read_ms / full
    replicas = topology.postgres_replicas + topology.postgres_cross_region_replicas
    if not phase.features.read_replicas:
        replicas = 0
    primary = write_cores if replicas else write_cores + read_cores
    replica = read_cores / replicas + prices.replay_share * write_cores if replicas else 0.0
    sizes = prices.sizes(prices.phases[phase.name].database)
    shards = topology.postgres_shards or max(FEWEST_SHARDS, math.ceil(max(primary, replica) / sizes[-1].cores))
    instance = fitting(max(primary, replica) / shards, sizes)
    pools = setup.read_pool + setup.write_pool
    return Data(
        writes_per_s=writes,
        row_writes_per_s=writes * costs.rows_a_write,
        commits_per_s=writes * costs.commits_a_write,
        primary_cores=primary,
        writes_one_primary_takes_per_s=instance.cores * full / costs.write_ms,
        shards=shards,
        replicas=replicas * shards,
        replica_cores=replica / shards,
        reads_a_replica_per_s=reads / (replicas * shards) if replicas else 0.0,
        instance=instance,
        connections=servers * pools * shards,
        connections_to_primaries=servers * (setup.write_pool if replicas else pools) * shards,
        connections_in_use=phase.peak_requests_per_s * costs.held_ms / 1_000,
    )


def enough(fit: Fit, rate_per_s: float, target_ms: float, most_busy: float) -> tuple[int, Times]:
    """The fewest servers that are no busier than they may be and, routed to the least busy, keep the response time."""
    fewest = math.ceil(rate_per_s / fit.line.rate(most_busy) - 1e-9)
    servers = fewest
    while servers <= fewest * MOST_SERVERS:
        times = fit.times(Fleet(servers, 1, Routing.LEAST_BUSY), rate_per_s)
        if times.p95_ms <= target_ms:
            return servers, times
        servers += max(1, servers // 10)
    raise ModelError(
        f"even {fewest * MOST_SERVERS} servers, {MOST_SERVERS} times what the load asks for, miss {target_ms:g} ms"
    )


def machines_for(servers: int, given: int | None, sizes: Sequence[Instance]) -> tuple[Instance, int]:
    """As many machines as the strategy has, of the smallest size that holds all servers; or as many as it takes."""
    if given is None:
        return sizes[0], math.ceil(servers / sizes[0].cores)
    return fitting(servers / given, sizes), given


def fitting(cores: float, sizes: Sequence[Instance]) -> Instance:
    for size in sizes:
        if size.cores >= cores:
            return size
    raise ModelError(f"{cores:.0f} cores are more than the largest instance reckoned with has, {sizes[-1].name}")


def bill(phase: Phase, prices: Prices, api: tuple[Instance, int], data: Data) -> list[Priced]:
    """Standing capacity for the peak, all month."""
    topology, regions, machines = phase.topology, phase.topology.regions, prices.phases[phase.name]
    server, servers = api
    copies = topology.postgres_primaries + machines.standbys
    copies += topology.postgres_replicas + topology.postgres_cross_region_replicas
    nodes = data.shards * copies
    disk_gb = phase.targets.database_gb * prices.disk_headroom * copies  # the shards share the data

    def priced(what: str, item: str, count: float) -> Priced:
        return Priced(what, count, count * prices.month(item))

    rows = [
        Priced(f"API servers, {server.name}", servers, servers * server.usd_per_month),
        priced("their disks, GB", "server_disk", servers * prices.disk_gb_a_server),
        Priced(f"PostgreSQL, {data.instance.name}", nodes, nodes * data.instance.usd_per_month),
        priced("its disks, GB", "database_disk", disk_gb),
        priced("Valkey nodes", machines.valkey, topology.valkey_nodes * regions),
        priced("load balancers", "balancer", regions if topology.load_balancer else 0),
        priced("their capacity units", "balancer_unit", machines.balancer_units * regions),
        priced("NAT gateways", "nat", machines.nats * regions),
        priced("Kubernetes control planes", "kubernetes", machines.kubernetes * regions),
    ]
    return [row for row in rows if row.count]

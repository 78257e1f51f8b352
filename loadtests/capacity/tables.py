"""The tables of a prediction: needs, cost, and the model beside what was seen."""

from collections.abc import Callable

from loadtests.capacity.fit import Fit
from loadtests.capacity.measured import Measured
from loadtests.capacity.model import Plan, Prediction
from loadtests.capacity.prices import Prices
from loadtests.capacity.validate import Validation
from loadtests.capacity.words import named, off, ranged
from loadtests.reports.cells import number
from loadtests.reports.document import Table


def needs(measured: Measured, validation: Validation, prediction: Prediction, prices: Prices) -> Table:
    phase, plan, setup = prediction.phase, prediction.middle, measured.setup
    data, line = plan.data, validation.product.line
    service = f"{line.service_ms(line.rate(prices.most_busy)):.2f} ms CPU a request (measured)"
    full = f"{prices.most_busy:.0%}"
    pools = f"processes x ({setup.read_pool} + {setup.write_pool}) x {data.shards} shard(s)"
    machine, instance = plan.machine, data.instance
    open_shards = phase.topology.postgres_shards is None

    def row(what: str, figure: Callable[[Plan], float], how: str, form: str = "") -> tuple[str, str, str, str]:
        return what, *ranged(prediction.of(figure), form), how

    def count(what: str, figure: Callable[[Plan], float], how: str) -> tuple[str, str, str, str]:
        return row(what, figure, how, ",.0f")

    rows = [
        count("API server processes, a core each", lambda p: p.servers, f"{service}, cores at most {full} busy"),
        count(f"machines, {machine.name}", lambda p: p.machines, f"{machine.cores} vCPU each"),
        row("p50, ms", lambda p: p.times.p50_ms, "simulated, routed to the least busy"),
        row("p95, ms", lambda p: p.times.p95_ms, "the same"),
        row("p95, ms, if routed at random", lambda p: p.times_random.p95_ms, "simulated"),
        count("database connections, open", lambda p: p.data.connections, pools),
        count(
            "of these to primaries",
            lambda p: p.data.connections_to_primaries,
            "the pools for writes" if data.replicas else "all of them",
        ),
        row(
            "in use at least, mean",
            lambda p: p.data.connections_in_use,
            "Little's law, time in statements (measured)",
        ),
        count("writes/s to the primaries", lambda p: p.data.writes_per_s, f"{measured.write_share:.1%} of the mix"),
        count("rows written/s", lambda p: p.data.row_writes_per_s, "INSERT, UPDATE, DELETE a write (measured)"),
        count("commits/s", lambda p: p.data.commits_per_s, "a write (measured)"),
        row(
            "writes/s one primary takes",
            lambda p: p.data.writes_one_primary_takes_per_s,
            f"{instance.name}: {instance.cores} cores of this machine's kind, {full} busy; CPU only, no disk",
        ),
        row("cores of all primaries", lambda p: p.data.primary_cores, f"CPU of a write (measured), {full} busy"),
        row(
            "cores of one replica",
            lambda p: p.data.replica_cores,
            f"CPU of a read (measured); a replayed write costs {prices.replay_share:g} of one (assumed)",
        ),
        count("shards", lambda p: p.data.shards, f"{instance.name} each" if open_shards else "the phase's own"),
        count("replicas", lambda p: p.data.replicas, f"{number(data.reads_a_replica_per_s)} reads/s each"),
    ]
    if prediction.surviving is not None:
        rows += survive(prediction.surviving)
    note = (
        "The interval is 95 % of the measured repetitions drawn again; the model's own error is not in it. A cloud vCPU"
        f" is taken for {prices.core_ratio:g} of a core of the machine that was measured (core_ratio): nobody has"
        " measured one. Not in the model: many servers that contend for one database, one Valkey and one network;"
        " disks; tables that do not fit into memory; logins and registrations."
    )
    title = f"predicted needs of phase {phase.name}: {phase.targets.users:,} users"
    return Table(
        f"{title}, {phase.peak_requests_per_s:,.0f} requests/s", ("predicted", "figure", "interval", "how"), rows, note
    )


def survive(plan: Plan) -> list[tuple[str, str, str, str]]:
    how = "each region able to carry the whole peak at the same busy share"
    return [
        ("API server processes if a region is lost", f"{plan.servers:,}", "-", how),
        ("USD a month for that", f"{plan.usd_per_month:,.0f}", "-", how),
    ]


def costs(prediction: Prediction, prices: Prices) -> Table:
    plan = prediction.middle
    rows = [(row.what, number(row.count), f"{row.usd_per_month:,.2f}") for row in plan.bill]
    total, between = ranged(prediction.of(lambda each: each.usd_per_month), ",.2f")
    rows.append((f"total ({between})", "", total))
    note = (
        "Standing capacity for the peak, all month. Left out: traffic and requests (CDN, firewall, balancer, NAT and"
        " cross-region bytes), backups, secrets, keys, DNS, queue and workers, monitoring, discounts and taxes."
    )
    title = f"predicted USD a month, list prices on demand in {prices.region}"
    return Table(title, ("predicted", "count", "USD"), rows, note)


def beside(validation: Validation, *, emulated: bool) -> Table:
    kind = "emulated" if emulated else "measured"
    what = "emulated servers" if emulated else "one server of the product"
    fit = validation.emulated if emulated else validation.product
    rows = [
        (
            named(each),
            "held out" if each.held_out else "fitted",
            number(each.rate_per_s),
            number(each.seen.p50_ms),
            "-" if each.predicted is None else number(each.predicted.p50_ms),
            off(each.off_p50),
            number(each.seen.p95_ms),
            "-" if each.predicted is None else number(each.predicted.p95_ms),
            off(each.off_p95),
        )
        for each in validation.comparisons
        if each.emulated == emulated
    ]
    head = ("", "", "requests/s", f"p50 ms {kind}", "predicted", "off", f"p95 ms {kind}", "predicted", "off")
    return Table(f"predicted beside {kind}: {what}", head, rows, f"Fitted on the steps of one: {parameters(fit)}.")


def parameters(fit: Fit) -> str:
    return (
        f"{fit.line.marginal_ms:.3g} ms a request on top of {fit.line.fixed_share:.0%} of a core in any case,"
        f" squared coefficient of variation {fit.scv:.3g}, {fit.delay_ms:.3g} ms beside the server;"
        f" the fit itself is off by {fit.misfit:.0%} (root mean square of logarithms)"
    )


def price_list(prices: Prices) -> Table:
    rows: list[tuple[str, ...]] = [
        (f"{name}.large", f"{family.usd_of_large:g}", family.unit, prices.region, family.source, family.date)
        for name, family in prices.instances.items()
    ]
    rows += [
        (name, f"{item.usd:g}", item.unit, prices.region, item.source, item.date) for name, item in prices.items.items()
    ]
    return Table(
        "prices that the predicted cost is made of",
        ("price", "USD", "unit", "region", "source", "date"),
        rows,
        "Each size up is twice the one before.",
    )

"""A prediction as a `Document`: every title says whether what follows was predicted, measured or emulated."""

from collections.abc import Sequence

from loadtests.capacity.erlang import response_quantile
from loadtests.capacity.fit import MOST_BUSY, Fit
from loadtests.capacity.measured import Measured
from loadtests.capacity.model import Plan, Prediction
from loadtests.capacity.prices import Prices
from loadtests.capacity.quiet import CALM
from loadtests.capacity.simulate import Fleet, Routing, exponential, percentile, simulate
from loadtests.capacity.validate import MOST_OFF_P50, MOST_OFF_P95, Comparison, Validation
from loadtests.reports.document import Chart, Check, Document, Mark, Outcome, Series, Table
from loadtests.stats import Interval
from roadmap.phases import Budget

LABEL = "predicted"
VALIDATED, NOT_VALIDATED = "validated", "NOT VALIDATED"
# The simulation beside theory: M/M/10, 8 erlangs.
WORKERS, OFFERED, JOBS, MOST_OFF_THEORY = 10, 8.0, 200_000, 0.03
EXACT = 100


def number(value: float) -> str:
    """Three digits, and all of those before the point."""
    return f"{value:,.0f}" if abs(value) >= EXACT else f"{value:.3g}"


def ranged(value: Interval, form: str = "") -> tuple[str, str]:
    """The middle, and low..high."""
    texts = [f"{each:{form}}" if form else number(each) for each in (value.median, value.low, value.high)]
    return texts[0], f"{texts[1]}..{texts[2]}"


def off(value: float | None) -> str:
    return "overloaded" if value is None else f"{value:+.0%}"


def document(  # noqa: PLR0913 (what a report is made of)
    measured: Measured,
    validation: Validation,
    prediction: Prediction,
    prices: Prices,
    made_at: str,
    facts: dict[str, str],
) -> Document:
    phase = prediction.phase
    state = VALIDATED if validation.holds else NOT_VALIDATED
    return Document(
        kind="predict",
        title=f"phase {phase.name} at its peak, predicted",
        verdict=f"predicted, {state}",
        sentence=sentence(validation, prediction),
        made_at=made_at,
        label=LABEL,
        checks=[*validity(measured, validation), *verdicts(prediction)],
        tables=[
            needs(measured, validation, prediction, prices),
            costs(prediction, prices),
            beside(validation, emulated=False),
            beside(validation, emulated=True),
            price_list(prices),
        ],
        charts=[one_server(validation), by_servers(validation, prediction)],
        facts=facts | where(measured),
    )


def sentence(validation: Validation, prediction: Prediction) -> str:
    phase = prediction.phase
    servers, between = ranged(prediction.of(lambda plan: plan.servers), ",.0f")
    usd, usd_between = ranged(prediction.of(lambda plan: plan.usd_per_month), ",.0f")
    text = (
        f"Predicted, not measured: {phase.targets.users:,} users, {phase.peak_requests_per_s:,.0f} requests/s, need"
        f" {servers} ({between}) API server processes on a core each, with a p95 of"
        f" {number(prediction.middle.times.p95_ms)} ms of {phase.targets.p95_ms} ms allowed, and ${usd}"
        f" ({usd_between}) a month."
    )
    if validation.holds:
        return f"{text} The model foretold what was held out within its bounds."
    wrong = "; ".join(named(each) for each in validation.held_out if not each.holds)
    return f"{text} The model is NOT VALIDATED: it is off by more than it may be for {wrong}. Take no figure for a fact."


def named(each: Comparison) -> str:
    fleet = each.fleet
    if fleet.servers > 1:
        return f"{fleet.servers} emulated servers, routed {described(fleet.routing)}"
    return f"one server at load {each.load:g}" + (" (emulated)" if each.emulated else "")


def described(routing: Routing) -> str:
    return "at random" if routing is Routing.RANDOM else "to the least busy"


def validity(measured: Measured, validation: Validation) -> list[Check]:
    checks = [
        Check(
            group="validation",
            name=f"predicted for {named(each)}, held out",
            measured=f"p50 {off(each.off_p50)}, p95 {off(each.off_p95)}",
            limit=f"p50 within {MOST_OFF_P50:.0%}, p95 within {MOST_OFF_P95:.0%} of what was seen",
            outcome=Outcome.PASSED if each.holds else Outcome.FAILED,
            detail="emulated" if each.emulated else "measured on the product",
        )
        for each in validation.held_out
    ]
    simulated = percentile(
        simulate(Fleet(1, WORKERS), OFFERED, exponential(1.0), jobs=JOBS, seed=measured.setup.seed), 0.95
    )
    error = simulated / response_quantile(OFFERED, WORKERS, 1.0, 0.95) - 1
    checks.append(
        Check(
            group="validation",
            name=f"predicted p95 of the simulation beside Erlang-C, M/M/{WORKERS} at {OFFERED / WORKERS:.0%}",
            measured=f"{error:+.1%}",
            limit=f"within {MOST_OFF_THEORY:.0%}",
            outcome=Outcome.PASSED if abs(error) <= MOST_OFF_THEORY else Outcome.FAILED,
        )
    )
    disturbed = sum(step.neighbours > CALM for step in (*measured.product, *measured.emulated))
    steps = len(measured.product) + len(measured.emulated)
    checks.append(
        Check(
            group="validation",
            name="measured steps that neighbours disturbed",
            measured=f"{disturbed} of {steps}",
            limit=f"others use at most {CALM:.0%} of the machine",
            outcome=Outcome.INFO,
            detail="set aside where enough others remain",
        )
    )
    return checks


def verdicts(prediction: Prediction) -> list[Check]:
    """The strategy's own figures, by the predicted interval: within, over, or across."""
    phase, topology = prediction.phase, prediction.phase.topology
    times = prediction.of(lambda plan: plan.times.p95_ms)
    usd = prediction.of(lambda plan: plan.usd_per_month)
    cores, between = ranged(prediction.of(lambda plan: plan.servers), ",.0f")
    found = [
        judged("predicted p95", "{:.0f} ms", times, phase.targets.p95_ms),
        *(judged(f"predicted cost a month, {budget_name(each)}", "${:,.0f}", usd, each.usd_per_month) for each in phase.targets.budgets),
    ]
    if not phase.targets.budgets:
        found.append(Check("verdict", "predicted cost a month", f"${usd.median:,.0f}", "the strategy gives none", Outcome.INFO))
    if topology.api_servers is not None:
        found.append(
            Check(
                "verdict",
                f"predicted cores in the strategy's {topology.api_servers} API servers",
                f"{cores} ({between})",
                f"{topology.api_servers} servers of any size",
                Outcome.INFO,
                f"{topology.api_servers} {prediction.middle.machine.name}",
            )
        )
    return found


def budget_name(budget: Budget) -> str:
    return f"budget of the strategy's {budget.source}"


def judged(name: str, form: str, value: Interval, most: float) -> Check:
    if value.high <= most:
        outcome, word = Outcome.PASSED, "within"
    elif value.low > most:
        outcome, word = Outcome.FAILED, "over"
    else:
        outcome, word = Outcome.INCONCLUSIVE, "across"
    texts = [form.format(each) for each in (value.median, value.low, value.high)]
    return Check("verdict", name, f"{texts[0]} ({texts[1]}..{texts[2]})", f"at most {form.format(most)}", outcome, word)


def needs(measured: Measured, validation: Validation, prediction: Prediction, prices: Prices) -> Table:
    phase, plan, setup = prediction.phase, prediction.middle, measured.setup
    data = plan.data
    fit = validation.product
    service = fit.line.service_ms(fit.line.rate(prices.most_busy))

    def row(what: str, figure: object, how: str, form: str = "") -> tuple[str, str, str, str]:
        middle, between = ranged(prediction.of(figure), form)  # type: ignore[arg-type]  # a function of a Plan
        return what, middle, between, how

    whole = ",.0f"
    rows = [
        row("API server processes, a core each", lambda p: p.servers, f"{service:.2f} ms CPU a request (measured), cores at most {prices.most_busy:.0%} busy", whole),
        row(f"machines, {plan.machine.name}", lambda p: p.machines, f"{plan.machine.cores} vCPU each", whole),
        row("p50, ms", lambda p: p.times.p50_ms, "simulated, routed to the least busy"),
        row("p95, ms", lambda p: p.times.p95_ms, "the same"),
        row("p95, ms, if routed at random", lambda p: p.times_random.p95_ms, "simulated"),
        row("database connections, open", lambda p: p.data.connections, f"processes x ({setup.read_pool} + {setup.write_pool}) x {data.shards} shard(s)", whole),
        row("of these to primaries", lambda p: p.data.connections_to_primaries, "the pools for writes" if data.replicas else "all", whole),
        row("connections in use, mean", lambda p: p.data.connections_in_use, "Little's law, time in statements (measured); waiting within transactions is not in it"),
        row("writes/s to the primaries", lambda p: p.data.writes_per_s, f"{measured.write_share:.1%} of the requests", whole),
        row("rows written/s", lambda p: p.data.row_writes_per_s, "INSERT, UPDATE, DELETE (measured a write)", whole),
        row("commits/s", lambda p: p.data.commits_per_s, "measured a write", whole),
        row("writes/s one primary takes", lambda p: p.data.writes_one_primary_takes_per_s, f"{data.instance.name}, {data.instance.cores} cores of the measured kind at {prices.most_busy:.0%}; CPU only, no disk"),
        row("cores of all primaries", lambda p: p.data.primary_cores, "CPU of a write (measured)"),
        row("cores of one replica", lambda p: p.data.replica_cores, f"CPU of a read (measured), {prices.replay_share:g} of a write for replay (assumed)"),
        row("shards", lambda p: p.data.shards, f"{data.instance.name} each" if phase.topology.postgres_shards is None else "the phase's own", whole),
        row("replicas", lambda p: p.data.replicas, f"each {number(data.reads_a_replica_per_s)} reads/s", whole),
    ]
    if prediction.surviving is not None:
        rows += survive(prediction.surviving)
    note = (
        "The interval is 95 % of the measured repetitions drawn again, whole rounds at a time; the model's own error is"
        f" not in it. A cloud vCPU is taken for {prices.core_ratio:g} of the measured core (core_ratio): nobody has"
        " measured one. Not in the model: contention of many servers for one database, for Valkey and for the network,"
        " disks, tables that do not fit into memory, and logins."
    )
    title = f"predicted needs of phase {phase.name}, {phase.targets.users:,} users, {phase.peak_requests_per_s:,.0f} requests/s"
    return Table(title, ("predicted", "figure", "interval", "how"), rows, note)


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
    return Table(f"predicted USD a month, list prices on demand in {prices.region}", ("predicted", "count", "USD"), rows, note)


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
        f"{fit.line.at_rest_ms:.3g} ms a request at rest and {fit.line.slope * 1_000:+.3g} us more for each request/s,"
        f" squared coefficient of variation {fit.scv:.3g}, {fit.delay_ms:.3g} ms beside the server;"
        f" the fit itself is off by {fit.misfit:.0%} (root mean square of logarithms)"
    )


def price_list(prices: Prices) -> Table:
    rows = [
        (f"{name}.large", f"{family.usd_of_large:g}", family.unit, prices.region, family.source, family.date)
        for name, family in prices.instances.items()
    ]
    rows += [
        (name, f"{item.usd:g}", item.unit, prices.region, item.source, item.date)
        for name, item in prices.items.items()
    ]
    return Table(
        "prices that the predicted cost is made of",
        ("price", "USD", "unit", "region", "source", "date"),
        rows,
        "Each size up is twice the one before.",
    )


def one_server(validation: Validation) -> Chart:
    """p95 by rate: the line is the model's, the points are the steps."""
    fit, seen = validation.product, [each for each in validation.comparisons if not each.emulated]
    first, last = seen[0].rate_per_s * 0.5, seen[-1].rate_per_s * 1.02
    rates = [first + (last - first) * step / 12 for step in range(13)]
    rates = [rate for rate in rates if fit.line.busy(rate) <= MOST_BUSY]
    fitted, held = ([each for each in seen if each.held_out == out] for out in (False, True))
    return Chart(
        "predicted and measured p95 of one server",
        "requests/s",
        "p95, ms",
        [
            Series("predicted", rates, [fit.times(Fleet(1), rate).p95_ms for rate in rates]),
            points("measured, fitted", fitted),
            points("measured, held out", held),
        ],
    )


def points(name: str, comparisons: Sequence[Comparison]) -> Series:
    return Series(name, [each.rate_per_s for each in comparisons], [each.seen.p95_ms for each in comparisons])


def by_servers(validation: Validation, prediction: Prediction) -> Chart:
    """p95 of the phase by the number of servers in a region, by either routing."""
    phase, plan = prediction.phase, prediction.middle
    rate = phase.peak_requests_per_s / plan.regions
    least = rate / validation.product.line.rate(MOST_BUSY - 0.02)
    counts = sorted({max(1, round(least + (plan.servers_a_region * 1.5 - least) * step / 8) + 1) for step in range(9)})
    counts = [count for count in counts if validation.product.line.busy(rate / count) <= MOST_BUSY]
    series = [
        Series(
            f"predicted, routed {described(routing)}",
            counts,
            [validation.product.times(Fleet(count, 1, routing), rate).p95_ms for count in counts],
        )
        for routing in Routing
    ]
    return Chart(
        f"predicted p95 of phase {phase.name} by API server processes a region",
        "processes",
        "p95, ms",
        series,
        [Mark(f"target {phase.targets.p95_ms} ms", phase.targets.p95_ms)],
        log_y=True,
    )


def where(measured: Measured) -> dict[str, str]:
    setup = measured.setup
    return {
        "measured at": setup.made_at,
        "measured on": f"{setup.processor}, {setup.cores} cores, Python {setup.python}",
        "measured how": (
            f"{setup.rounds} interleaved rounds of {setup.seconds:g} s, open-loop Poisson arrivals, {setup.tasks:,} tasks of"
            f" {setup.users:,} users by Zipf's law, {measured.write_share:.0%} writes, cached answers live"
            f" {setup.ttl_s:g} s, seed {setup.seed}"
        ),
        "emulated how": f"servers that sleep, one request at a time, for an exponential {setup.emulated_mean_ms:g} ms",
        "measured capacity": f"{measured.capacity_per_s:,.0f} requests/s, a core, at the cost of the highest load",
    }

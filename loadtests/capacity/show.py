"""A prediction as a `Document`: every title says whether what follows was predicted, measured or emulated."""

from collections.abc import Sequence

from loadtests.capacity.checks import validity, verdicts
from loadtests.capacity.fit import MOST_BUSY
from loadtests.capacity.measured import Measured
from loadtests.capacity.model import Prediction
from loadtests.capacity.prices import Prices
from loadtests.capacity.simulate import Fleet, Routing
from loadtests.capacity.tables import beside, costs, needs, price_list
from loadtests.capacity.validate import Comparison, Validation
from loadtests.capacity.words import described, named, ranged
from loadtests.reports.cells import number
from loadtests.reports.document import Chart, Document, Mark, Series

POINTS = 7  # of a predicted curve, each simulated
VALIDATED, NOT_VALIDATED = "validated", "NOT VALIDATED"


def document(
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
        label="predicted",
        checks=[*validity(measured, validation), *verdicts(prediction, validated=validation.holds)],
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
    reason = f"it is off by more than it may be for {wrong}" if wrong else "too little was held out"
    return f"{text} The model is {NOT_VALIDATED}: {reason}."


def one_server(validation: Validation) -> Chart:
    """p95 by rate: the line is the model's, the points are the steps."""
    fit, seen = validation.product, [each for each in validation.comparisons if not each.emulated]
    first, last = seen[0].rate_per_s * 0.5, seen[-1].rate_per_s * 1.02
    rates = [first + (last - first) * step / POINTS for step in range(POINTS + 1)]
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
    counts = sorted(
        {max(1, round(least + (plan.servers_a_region * 1.5 - least) * step / POINTS) + 1) for step in range(POINTS + 1)}
    )
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
            f"{setup.rounds} interleaved rounds of {setup.seconds:g} s, Poisson arrivals,"
            f" {setup.tasks:,} tasks of {setup.users:,} users by Zipf's law, {measured.write_share:.0%} writes,"
            f" cached answers live {setup.ttl_s:g} s, seed {setup.seed}"
        ),
        "emulated how": f"servers that sleep, one request at a time, for an exponential {setup.emulated_mean_ms:g} ms",
        "measured capacity": f"{measured.capacity_per_s:,.0f} requests/s, a core, at the cost of the highest load",
    }

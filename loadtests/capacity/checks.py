"""What is judged of a prediction: the model by what was held out, the phase by the strategy's own figures."""

from dataclasses import replace

from loadtests.capacity.erlang import response_quantile
from loadtests.capacity.measured import Measured
from loadtests.capacity.model import Prediction
from loadtests.capacity.quiet import CALM
from loadtests.capacity.simulate import Fleet, exponential, percentiles, simulate
from loadtests.capacity.validate import MOST_OFF_P50, MOST_OFF_P95, Validation
from loadtests.capacity.words import named, off, ranged
from loadtests.reports.cells import number
from loadtests.reports.document import Check, Outcome
from loadtests.stats import Interval

# The simulation beside theory: M/M/10, 8 erlangs.
WORKERS, OFFERED, JOBS, MOST_OFF_THEORY = 10, 8.0, 200_000, 0.03
UNSURE = "by a model that is not validated"


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
    responses = simulate(Fleet(1, WORKERS), OFFERED, exponential(1.0), jobs=JOBS, seed=measured.setup.seed)
    (simulated,) = percentiles(responses, [0.95])
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


def verdicts(prediction: Prediction, *, validated: bool) -> list[Check]:
    """The strategy's own figures, by the predicted interval: within, over, or across. A model that is not validated
    decides none of them.
    """
    phase, given = prediction.phase, prediction.phase.topology.api_servers
    usd = prediction.of(lambda plan: plan.usd_per_month)
    found = [judged("predicted p95, ms", prediction.of(lambda plan: plan.times.p95_ms), phase.targets.p95_ms)]
    found += [
        judged(f"predicted USD a month, budget of the strategy's {budget.source}", usd, budget.usd_per_month)
        for budget in phase.targets.budgets
    ]
    if not validated:
        found = [replace(each, outcome=Outcome.INCONCLUSIVE, detail=f"{each.detail}, {UNSURE}") for each in found]
    if not phase.targets.budgets:
        found.append(stated("predicted USD a month", usd, "the strategy gives no budget"))
    if given is not None:
        cores = prediction.of(lambda plan: plan.servers)
        limit = f"the strategy has {given} servers: {prediction.middle.machine.name} each"
        found.append(stated("predicted cores of all API servers", cores, limit))
    return found


def judged(name: str, value: Interval, most: float) -> Check:
    if value.high <= most:
        outcome, word = Outcome.PASSED, "within"
    elif value.low > most:
        outcome, word = Outcome.FAILED, "over"
    else:
        outcome, word = Outcome.INCONCLUSIVE, "across"
    return Check("verdict", name, spanned(value), f"at most {number(most)}", outcome, word)


def stated(name: str, value: Interval, limit: str) -> Check:
    return Check("verdict", name, spanned(value), limit, Outcome.INFO)


def spanned(value: Interval) -> str:
    middle, between = ranged(value)
    return f"{middle} ({between})"

"""Whether the model may be believed: what it foretells beside what was measured and it was not fitted on.

Two things are held out: a step of the product, and all numbers of servers but one. The second is seen on emulated
servers, because many real ones need many cores. The bounds were written down before anything was measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.capacity.fit import JOBS, Fit, FitError, Times, fit, point
from loadtests.capacity.measured import Measured, Step, alike
from loadtests.capacity.simulate import Fleet
from loadtests.capacity.size import HELD_OUT

MOST_OFF_P50, MOST_OFF_P95 = 0.10, 0.25


@dataclass(frozen=True)
class Comparison:
    """`predicted` is None where the model has the queue grow without end. The `held_out` decide; others were
    fitted.
    """

    fleet: Fleet
    load: float
    rate_per_s: float
    seen: Times
    predicted: Times | None
    emulated: bool
    held_out: bool

    @property
    def off_p50(self) -> float | None:
        """Predicted by measured, less 1."""
        return None if self.predicted is None else self.predicted.p50_ms / self.seen.p50_ms - 1

    @property
    def off_p95(self) -> float | None:
        return None if self.predicted is None else self.predicted.p95_ms / self.seen.p95_ms - 1

    @property
    def holds(self) -> bool:
        p50, p95 = self.off_p50, self.off_p95
        return p50 is not None and p95 is not None and abs(p50) <= MOST_OFF_P50 and abs(p95) <= MOST_OFF_P95


@dataclass(frozen=True)
class Validation:
    """The fit of the product (the one that predicts), that of one emulated server, and all comparisons."""

    product: Fit
    emulated: Fit
    comparisons: Sequence[Comparison]

    @property
    def held_out(self) -> list[Comparison]:
        return [each for each in self.comparisons if each.held_out]

    @property
    def holds(self) -> bool:
        """Nothing held out is nothing checked, hence not validated."""
        decisive = self.held_out
        return {each.emulated for each in decisive} == {False, True} and all(each.holds for each in decisive)


def validate(measured: Measured, *, jobs: int = JOBS) -> Validation:
    """FitError when the steps cannot be fitted at all."""
    product = fit([step for step in measured.product if step.load != HELD_OUT], jobs=jobs)
    return check(measured, product, fit(of_one(measured.emulated), jobs=jobs))


def of_one(steps: Sequence[Step]) -> list[Step]:
    return [step for step in steps if step.servers == 1]


def check(measured: Measured, product: Fit, emulated: Fit) -> Validation:
    """All that was measured beside what the two foretell."""
    comparisons = [
        compare(product, steps, emulated=False, held_out=steps[0].load == HELD_OUT) for steps in alike(measured.product)
    ]
    comparisons += [
        compare(emulated, steps, emulated=True, held_out=steps[0].servers > 1) for steps in alike(measured.emulated)
    ]
    return Validation(product, emulated, comparisons)


def compare(model: Fit, steps: Sequence[Step], *, emulated: bool, held_out: bool) -> Comparison:
    """At the rate that came out, with the cost that the model has for it, not the one that was measured there."""
    seen, fleet = point(steps), steps[0].fleet
    try:
        predicted = model.times(fleet, seen.rate_per_s, window=seen.window)
    except FitError:
        predicted = None
    return Comparison(fleet, steps[0].load, seen.rate_per_s, seen.times, predicted, emulated, held_out)

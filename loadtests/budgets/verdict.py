"""The rule: what was measured beside what is allowed. It knows nothing of servers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from loadtests.budgets.budgets import Budgets
from loadtests.budgets.subjects import INSTRUCTIONS

# Whole numbers such as statements have none in effect: one more is more than that.
TOLERANCE = 0.02


class Verdict(StrEnum):
    WITHIN = "within"
    OVER = "over budget"
    BELOW = "below budget: lower it"
    """No failure, but slack that the next change would use up without a word."""
    NOT_JUDGED = "not judged"


@dataclass(frozen=True)
class Line:
    """One figure of one request."""

    request: str
    figure: str
    budget: float
    measured: float
    verdict: Verdict

    @property
    def ratio(self) -> float | None:
        """None to a budget of nothing."""
        return self.measured / self.budget if self.budget else None


def judge(budgets: Budgets, measured: Mapping[str, Mapping[str, float]], interpreter: str) -> Sequence[Line]:
    """A line for everything measured, in its order; instructions count only where the budget's were counted."""
    return [
        Line(request, figure, budget, value, verdict(budget, value, judged=judged))
        for request, figures in measured.items()
        for figure, value in figures.items()
        for budget in [budgets.of(request, figure)]
        for judged in [figure != INSTRUCTIONS or interpreter == budgets.interpreter]
    ]


def verdict(budget: float, measured: float, *, judged: bool) -> Verdict:
    if not judged:
        return Verdict.NOT_JUDGED
    if measured > budget * (1 + TOLERANCE):
        return Verdict.OVER
    return Verdict.BELOW if measured < budget * (1 - TOLERANCE) else Verdict.WITHIN

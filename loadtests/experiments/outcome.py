"""What an experiment hands back, and the rule that makes a verdict of its figures.

The rule knows nothing of what was measured: a figure is an interval, an expectation is bounds, and a claim is true
where the whole interval lies within them. A figure better than the bounds is outside of them all the same: a claim of
"5 to 10 times" is not confirmed by 800 times.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from loadtests.stats import Interval
from roadmap.claims import Claim, Expectation


class Verdict(StrEnum):
    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    CONDITIONAL = "conditional"


class Standing(StrEnum):
    """Where an interval lies: whole within the bounds, whole outside of them, or across one."""

    WITHIN = "within"
    BELOW = "below"
    ABOVE = "above"
    ACROSS = "across"


@dataclass(frozen=True)
class Figure:
    """One measured value in one condition (sizes, load). `beside` are figures that explain it, units in their names.

    It counts for the verdict when the claim has an expectation for its metric, unless `counts` is off: for what is
    shown in comparison and the claim says nothing of. `curve` names the line that it is a point of, over the `rows` of
    the table, where the claim is measured at several sizes.
    """

    condition: str
    metric: str
    unit: str
    value: Interval
    beside: Mapping[str, float] = field(default_factory=dict)
    counts: bool = True
    curve: str = ""
    rows: int = 0


@dataclass(frozen=True)
class Outcome:
    """`sentence` says what the figures say. `problems` are why the rig was unfit and the figures prove nothing."""

    figures: Sequence[Figure]
    sentence: str
    problems: Sequence[str] = ()


@dataclass(frozen=True)
class Judgement:
    """The verdict with the conditions in which the claim holds, in which it fails, and which are not decided."""

    verdict: Verdict
    holds: Sequence[str]
    fails: Sequence[str]
    undecided: Sequence[str]


def exact(value: float) -> Interval:
    """A figure that was counted, not sampled."""
    return Interval(value, value, value)


def standing(value: Interval, expectation: Expectation) -> Standing:
    least, most = expectation.at_least, expectation.at_most
    if least is not None and value.high < least:
        return Standing.BELOW
    if most is not None and value.low > most:
        return Standing.ABOVE
    if (least is None or value.low >= least) and (most is None or value.high <= most):
        return Standing.WITHIN
    return Standing.ACROSS


def counted(claim: Claim, figures: Sequence[Figure]) -> dict[str, dict[str, Figure]]:
    """By condition and metric, what the verdict is made of. ValueError when a condition lacks a metric, or all do:
    what was not measured is no verdict.
    """
    metrics = [expectation.metric for expectation in claim.expectations]
    found: dict[str, dict[str, Figure]] = {}
    for figure in figures:
        if figure.counts and figure.metric in metrics:
            found.setdefault(figure.condition, {})[figure.metric] = figure
    if not found:
        raise ValueError(f"{claim.id}: nothing was measured that its bounds are about")
    for condition, by_metric in found.items():
        if missing := [metric for metric in metrics if metric not in by_metric]:
            raise ValueError(f"{claim.id}: {', '.join(missing)} not measured in the condition {condition}")
    return found


def judge(claim: Claim, figures: Sequence[Figure]) -> Judgement:
    """Confirmed where the claim holds in every condition that was measured, refuted where it fails in every one.

    It holds in a condition when every figure is within its bounds, and fails when one is outside of them.
    """
    holds, fails, undecided = [], [], []
    for condition, by_metric in counted(claim, figures).items():
        found = {standing(by_metric[each.metric].value, each) for each in claim.expectations}
        if found == {Standing.WITHIN}:
            holds.append(condition)
        elif found & {Standing.BELOW, Standing.ABOVE}:
            fails.append(condition)
        else:
            undecided.append(condition)
    if not fails and not undecided:
        verdict = Verdict.CONFIRMED
    elif not holds and not undecided:
        verdict = Verdict.REFUTED
    else:
        verdict = Verdict.CONDITIONAL
    return Judgement(verdict, holds, fails, undecided)

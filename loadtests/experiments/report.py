"""Verdicts and figures as a table for people and as JSON for machines."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from textwrap import wrap

from loadtests.experiments.outcome import Figure, Judgement, Outcome, judge, standing
from loadtests.experiments.size import Size
from loadtests.report import aligned
from loadtests.stats import Interval
from roadmap.claims import Claim

WIDTH = 118


@dataclass(frozen=True)
class Result:
    claim: Claim
    outcome: Outcome

    @property
    def judgement(self) -> Judgement | None:
        """None where the rig was unfit: figures that prove nothing have no verdict."""
        return None if self.outcome.problems else judge(self.claim, self.outcome.figures)

    @property
    def verdict(self) -> str:
        return self.judgement.verdict.value if self.judgement else "INVALID RIG"


def number(value: float) -> str:
    """Three digits, and all of those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004


def ranged(value: Interval) -> str:
    if value.low == value.high:
        return number(value.median)
    return f"{number(value.median)} ({number(value.low)}..{number(value.high)})"


def row(claim: Claim, figure: Figure) -> tuple[str, ...]:
    bounds = {expectation.metric: expectation for expectation in claim.expectations}.get(figure.metric)
    expected, stands = "-", "-"
    if bounds is not None and figure.counts:
        expected, stands = bounds.wording, standing(figure.value, bounds).value
    beside = ", ".join(f"{name} {number(value)}" for name, value in figure.beside.items())
    return figure.condition, figure.metric, f"{ranged(figure.value)} {figure.unit}", expected, stands, beside


def section(result: Result) -> list[str]:
    claim, outcome = result.claim, result.outcome
    lines = [f"{claim.id}: {claim.statement}"]
    if outcome.figures:
        head = ("condition", "metric", "median (95 % interval)", "claimed", "", "beside")
        lines += aligned([head, *(row(claim, figure) for figure in outcome.figures)])
    lines += [f"  {line}" for line in wrap(outcome.sentence, WIDTH)]
    if judgement := result.judgement:
        held, failed, open_ = len(judgement.holds), len(judgement.fails), len(judgement.undecided)
        where = f": {'; '.join(judgement.holds)}" if judgement.holds else ""
        text = f"as stated it fails in {failed} conditions, is undecided in {open_} and holds in {held}{where}"
        lines += [f"  {line}" for line in wrap(text, WIDTH, subsequent_indent="  ")]
    lines += [f"  INVALID RIG: {problem}" for problem in outcome.problems]
    return [*lines, f"  verdict: {result.verdict}", ""]


def to_text(results: Sequence[Result], size: Size) -> str:
    sizes = ", ".join(f"{rows:,}" for rows in size.rows)
    head = (
        f"tables of {sizes} tasks, {size.pairs} timed pairs a query, {size.rounds} interleaved rounds of"
        f" {size.seconds:g} s, seed {size.seed}"
    )
    lines = [head, ""]
    for result in results:
        lines += section(result)
    table = [("claim", "verdict", "statement")]
    return "\n".join([*lines, *aligned([*table, *((r.claim.id, r.verdict, r.claim.statement) for r in results)])])


def to_json(results: Sequence[Result], size: Size) -> dict[str, object]:
    return {
        "schema": 1,
        "valid": not any(result.outcome.problems for result in results),
        "size": asdict(size),
        "claims": [
            {
                "claim": asdict(result.claim),
                "verdict": result.verdict,
                "judgement": asdict(result.judgement) if result.judgement else None,
                **asdict(result.outcome),
            }
            for result in results
        ],
    }

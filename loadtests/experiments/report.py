"""Verdicts and figures of the claims: a report for people, and JSON for machines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from loadtests.experiments.outcome import Figure, Judgement, Outcome, Standing, Verdict, judge, standing
from loadtests.experiments.size import Size
from loadtests.reports import document as report
from loadtests.reports.cells import number
from loadtests.reports.document import Chart, Check, Document, Mark, Series, Table
from loadtests.stats import Interval
from roadmap.claims import Claim, Expectation

STANDINGS = {Standing.WITHIN: report.Outcome.PASSED, Standing.ACROSS: report.Outcome.INCONCLUSIVE}


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


def ranged(value: Interval) -> str:
    if value.low == value.high:
        return number(value.median)
    return f"{number(value.median)} ({number(value.low)}..{number(value.high)})"


def bounded(result: Result) -> Iterator[tuple[Figure, Expectation]]:
    """The figures that the verdict is made of, each with its bounds."""
    bounds = {expectation.metric: expectation for expectation in result.claim.expectations}
    for figure in result.outcome.figures:
        if figure.counts and figure.metric in bounds:
            yield figure, bounds[figure.metric]


def to_document(results: Sequence[Result], size: Size, *, made_at: str, facts: Mapping[str, str]) -> Document:
    """PASSED is what is as claimed; a claim that is not confirmed and a figure outside of its bounds are INFO.

    They are findings about the strategy, not faults of the service: 80 times where 10 were claimed is no failure, and a
    CI that turned red for it would invite to move the bounds. INCONCLUSIVE is a figure across a bound: more rounds
    would decide it. INVALID is all that a claim has where its rig was unfit.
    """
    by_verdict = {verdict: [each.claim.id for each in results if each.verdict == verdict] for verdict in Verdict}
    unfit = [result.claim.id for result in results if result.outcome.problems]
    told = ", ".join(f"{len(ids)} {verdict}" for verdict, ids in by_verdict.items() if ids)
    named = "".join(f"{verdict.capitalize()}: {', '.join(ids)}. " for verdict, ids in by_verdict.items() if ids)
    sizes = ", ".join(f"{rows:,}" for rows in size.rows)
    sentence = (
        f"{named}Measured on tables of {sizes} tasks, with {size.pairs} timed pairs a query and {size.rounds}"
        f" interleaved rounds of {size.seconds:g} s, seed {size.seed}."
    )
    if unfit:
        sentence = f"INVALID RIG: the figures of {', '.join(unfit)} prove nothing. {sentence}"
    return Document(
        kind="claims",
        title=f"What the strategy claims of phase {', '.join(dict.fromkeys(r.claim.phase for r in results))}",
        verdict=report.Outcome.INVALID if unfit else told,
        sentence=sentence,
        made_at=made_at,
        label="measured",
        checks=[*map(verdict_of, results), *(check for result in results for check in checks_of(result))],
        tables=[table_of(result) for result in results],
        charts=[chart for result in results for chart in charts_of(result)],
        facts=facts,
    )


def verdict_of(result: Result) -> Check:
    judgement = result.judgement
    if judgement is None:
        outcome = report.Outcome.INVALID
    else:
        outcome = report.Outcome.PASSED if judgement.verdict is Verdict.CONFIRMED else report.Outcome.INFO
    bounds = "; ".join(f"{each.metric} {each.wording}" for each in result.claim.expectations)
    return Check("verdict", result.claim.id, result.verdict, bounds, outcome, result.claim.statement)


def checks_of(result: Result) -> list[Check]:
    claim, problems = result.claim, result.outcome.problems
    found = [
        Check("validity", claim.id, problem, "", report.Outcome.INVALID, "INVALID RIG: the figures prove nothing")
        for problem in problems
    ]
    for figure, bounds in bounded(result):
        stands = standing(figure.value, bounds)
        outcome = report.Outcome.INVALID if problems else STANDINGS.get(stands, report.Outcome.INFO)
        name = f"{figure.condition}: {figure.metric}"
        measured = f"{ranged(figure.value)} {figure.unit}"
        found.append(Check(claim.id, name, measured, bounds.wording, outcome, "" if problems else stands))
    return found


def table_of(result: Result) -> Table:
    """Every figure with those that explain it, each of these in a column of its own; below, what they say."""
    figures = result.outcome.figures
    beside = list(dict.fromkeys(name for figure in figures for name in figure.beside))
    rows = [
        [
            figure.condition,
            figure.metric,
            f"{ranged(figure.value)} {figure.unit}",
            *(number(figure.beside[name]) if name in figure.beside else "" for name in beside),
        ]
        for figure in figures
    ]
    notes = [result.outcome.sentence]
    if judgement := result.judgement:
        held, failed, open_ = len(judgement.holds), len(judgement.fails), len(judgement.undecided)
        where = f": {'; '.join(judgement.holds)}" if judgement.holds else ""
        notes += [f"As stated it fails in {failed} conditions, is undecided in {open_} and holds in {held}{where}."]
    notes += [f"INVALID RIG: {problem}" for problem in result.outcome.problems]
    head = ("condition", "metric", "median (95 % interval)", *beside)
    title = f"{result.claim.id}: {result.claim.statement}"
    return Table(title, head, rows, "\n".join([*notes, f"Verdict: {result.verdict}."]))


def charts_of(result: Result) -> list[Chart]:
    """The curves over the size of the table, for a claim that is measured at several sizes."""
    charts = []
    for expectation in result.claim.expectations:
        curves: dict[str, list[Figure]] = {}
        for figure in result.outcome.figures:
            if figure.metric == expectation.metric and figure.curve:
                curves.setdefault(figure.curve, []).append(figure)
        if max(map(len, curves.values()), default=0) > 1:
            series = [
                Series(name, [figure.rows for figure in curve], [figure.value.median for figure in curve])
                for name, curve in curves.items()
            ]
            bounds = {"at least": expectation.at_least, "at most": expectation.at_most}
            marks = [Mark(f"claimed: {word} {at:g}", at) for word, at in bounds.items() if at is not None]
            title = f"{result.claim.id}: {expectation.metric} by size of the table"
            label = f"{expectation.metric} ({expectation.unit})"
            charts.append(Chart(title, "rows", label, series, marks, log_x=True, log_y=True))
    return charts


def to_json(results: Sequence[Result], size: Size) -> dict[str, object]:
    return {
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

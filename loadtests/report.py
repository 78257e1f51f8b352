"""A result as a table for people and as JSON for machines: the same figures in both."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from loadtests.bench import Options, Result, Round
from loadtests.cases import CASES, INSTRUCTIONS, Comparison
from loadtests.reports.cells import aligned
from loadtests.stats import Interval, Spread, paired_ratio, spread

NEIGHBOURS_LIMIT = 0.10
SATURATED = 0.90


@dataclass(frozen=True)
class Row:
    """A comparison with its figures. `speed`: requests/s of the subject by those of the peer; `cpu`: CPU a request of
    the peer by that of the subject. Both grow when the subject is better.
    """

    comparison: Comparison
    speed: Interval
    cpu: Interval

    @property
    def verdict(self) -> str:
        """Met or missed when the whole interval says so."""
        goal = self.comparison.goal
        if goal is None:
            return "no goal"
        if self.speed.low >= goal:
            return "met"
        return "missed" if self.speed.high < goal else "undecided"


def rows_of(result: Result) -> list[Row]:
    """Rows in the order of the table; none for a case in which a round measured nothing."""
    rows = []
    for comparison in result.options.comparisons:
        case = result.rounds.get(comparison.case, {})
        ours, theirs = case.get(comparison.subject, []), case.get(comparison.peer, [])
        if not ours or not theirs or not all(round_.report.answered and round_.cpu_ms for round_ in (*ours, *theirs)):
            continue
        seed = result.options.seed
        speed = paired_ratio([r.report.rate_per_s for r in ours], [r.report.rate_per_s for r in theirs], seed=seed)
        cpu = paired_ratio([r.cpu_ms for r in theirs], [r.cpu_ms for r in ours], seed=seed)
        rows.append(Row(comparison, speed, cpu))
    return rows


def figures(rounds: Sequence[Round]) -> dict[str, Spread]:
    return {
        "requests_per_s": spread([round_.report.rate_per_s for round_ in rounds]),
        "cpu_ms": spread([round_.cpu_ms for round_ in rounds]),
        "database_cpu_ms": spread([round_.database_cpu_ms for round_ in rounds]),
        "p50_ms": spread([round_.report.p50_ms for round_ in rounds]),
        "p95_ms": spread([round_.report.p95_ms for round_ in rounds]),
        "p99_ms": spread([round_.report.p99_ms for round_ in rounds]),
        "server_share": spread([round_.server_share for round_ in rounds]),
        "generator_share": spread([round_.report.busy for round_ in rounds]),
        "neighbours_share": spread([round_.neighbours_share for round_ in rounds]),
    }


def warnings_of(result: Result) -> list[str]:
    """What a reader should know before quoting a figure; none of it makes the run invalid."""
    found = []
    for case, servers in result.rounds.items():
        for name, rounds in servers.items():
            if not rounds:
                continue
            seen = figures(rounds)
            if seen["neighbours_share"].median > NEIGHBOURS_LIMIT:
                share = seen["neighbours_share"]
                found.append(f"{case}, {name}: others used {share.median:.0%} of the machine (up to {share.high:.0%})")
            if seen["server_share"].median < SATURATED:
                share = seen["server_share"]
                found.append(
                    f"{case}, {name}: the server used {share.median:.0%} of a core: something else was the limit"
                )
    return found


def to_json(result: Result) -> dict[str, object]:
    return {
        "valid": not result.problems,
        "problems": result.problems,
        "warnings": warnings_of(result),
        "options": asdict(result.options),
        "cases": {
            case: {
                name: {
                    "figures": {figure: asdict(value) for figure, value in figures(rounds).items()},
                    "rounds": [asdict(round_) for round_ in rounds],
                }
                for name, rounds in servers.items()
                if rounds
            }
            for case, servers in result.rounds.items()
        },
        "comparisons": [
            asdict(row.comparison) | {"speed": asdict(row.speed), "cpu": asdict(row.cpu), "verdict": row.verdict}
            for row in rows_of(result)
        ],
        "instructions": instructions_of(result),
    }


def ranged(value: Spread | Interval, form: str) -> str:
    return f"{value.median:{form}} ({value.low:{form}}..{value.high:{form}})"


def instructions_of(result: Result) -> dict[str, object]:
    """Empty when they were not counted. They are exact to 0.1 %, so one count has a verdict."""
    if not result.instructions:
        return {}
    goal = INSTRUCTIONS.goal or 0.0
    ratio = result.instructions[INSTRUCTIONS.subject] / result.instructions[INSTRUCTIONS.peer]
    verdict = "met" if ratio <= goal else "missed"
    return {"a_request": result.instructions, "ratio": ratio, "at_most": goal, "verdict": verdict}


def intro(options: Options) -> str:
    return (
        f"{options.rows:,} tasks of {options.owners:,} users, {options.connections} connections,"
        f" {options.pool} database connections a server, {options.rounds} interleaved rounds of {options.seconds:g} s,"
        f" seed {options.seed}"
    )


def to_text(result: Result) -> str:
    """Servers: median (least..greatest) over the rounds. Ratios: median of the pairs (95 % bootstrap interval)."""
    lines = [intro(result.options)]
    for case, servers in result.rounds.items():
        lines += ["", f"{CASES[case].title} ({CASES[case].method} {CASES[case].path})"]
        header = ("server", "requests/s", "server CPU ms", "database CPU ms", "p50 ms", "p95 ms", "core", "generator")
        table = [header]
        for name, rounds in servers.items():
            if not rounds:
                continue
            seen = figures(rounds)
            table.append(
                (
                    name,
                    ranged(seen["requests_per_s"], ",.0f"),
                    ranged(seen["cpu_ms"], ".3f"),
                    ranged(seen["database_cpu_ms"], ".3f"),
                    f"{seen['p50_ms'].median:.1f}",
                    f"{seen['p95_ms'].median:.1f}",
                    f"{seen['server_share'].median:.0%}",
                    f"{seen['generator_share'].median:.0%}",
                )
            )
        lines += aligned(table)
    rows = [("case", "ratio", "requests/s", "CPU a request", "goal", "verdict")]
    rows += [
        (
            row.comparison.case,
            f"{row.comparison.subject} / {row.comparison.peer}",
            ranged(row.speed, ".2f"),
            ranged(row.cpu, ".2f"),
            "-" if row.comparison.goal is None else f"{row.comparison.goal:g}",
            row.verdict,
        )
        for row in rows_of(result)
    ]
    lines += ["", "times as fast, times as little CPU: median of the pairs (95 % interval)", *aligned(rows)]
    if counted := instructions_of(result):
        each = ", ".join(f"{name} {value:,.0f}" for name, value in result.instructions.items())
        lines += [
            "",
            f"instructions a request of the {INSTRUCTIONS.case}, in process: {each}",
            f"  ratio {counted['ratio']:.3f}, at most {INSTRUCTIONS.goal}: {counted['verdict']}",
        ]
    lines += [f"note: {warning}" for warning in warnings_of(result)]
    if result.problems:
        lines += ["", "INVALID RIG: these figures prove nothing", *(f"  {problem}" for problem in result.problems)]
    return "\n".join(lines)

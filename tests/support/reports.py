"""Documents of reports: a plain one, and one whose every text holds what some format takes for its own syntax."""

from loadtests.reports.document import Chart, Check, Document, Label, Mark, Outcome, Series, Stage, Table

NASTY = "<script>alert('x')</script> a|b ]]> & $x_1$ \"q\" `c`\nnext\x00\x1b[31m"


def document(label: Label = "measured", verdict: str = "failed", text: str = "") -> Document:
    """With one check of every outcome. `text` stands at the end of every text that a caller may choose."""
    checks = [
        Check("validity", f"generator{text}", f"41 %{text}", f"at most 80 %{text}", Outcome.PASSED),
        Check("verdict", f"error rate{text}", "0.42 %", "at most 0.1 %", Outcome.FAILED, f"84 answers of 503{text}"),
        Check("verdict", "p95", "31 ms", "at most 50 ms", Outcome.PASSED),
        Check("validity", "requests lost", "3", "0", Outcome.INVALID, "three connections broke"),
        Check("server", "neighbours", "12 %", "at most 10 %", Outcome.INCONCLUSIVE),
        Check(f"server{text}", "CPU", "71 %", "", Outcome.INFO),
    ]
    table = Table(
        f"By request{text}",
        (f"request{text}", "count", "p95 ms"),
        ((f"list{text}", "12,004", "8.1"), ("create", "96", "17.25"), ("none", "-", "")),
        f"From the moment it was due.{text}",
    )
    chart = Chart(
        f"Latency{text}",
        f"time (s){text}",
        f"p95 (ms){text}",
        (Series(f"list{text}", (0, 1, 2, 3), (8.5, None, 9.0, 30.0)), Series("create", (0, 1, 2, 3), (14, 15, 13, 18))),
        (Mark(f"target 50 ms{text}", 50),),
        (Stage(f"warm-up{text}", 0, 1), Stage("hold", 1, 3)),
    )
    return Document(
        kind="run",
        title=f"200 users for 2 minutes{text}",
        verdict=verdict,
        sentence=f"One check failed.{text}",
        made_at="2026-03-01T10:20:30+00:00",
        label=label,
        checks=tuple(checks),
        tables=(table,),
        charts=(chart, chart),
        facts={f"processor{text}": "two cores", "command": f"python -m loadtests run{text}"},
    )

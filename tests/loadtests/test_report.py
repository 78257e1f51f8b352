"""From rounds to a table: what is a problem, a warning, a verdict."""

import json

import pytest

from loadtests.bench import Options, Result, Round, faults
from loadtests.driver import Report
from loadtests.report import rows_of, to_json, to_text, warnings_of


def round_(rate: float = 1_000.0, cpu_ms: float = 1.0, *, neighbours: float = 0.0, **changes: object) -> Round:
    usual: dict[str, object] = {
        "answered": 100,
        "wrong_status": 0,
        "lost": 0,
        "statuses": {"200": 100},
        "elapsed_s": 2.0,
        "rate_per_s": rate,
        "p50_ms": 1.0,
        "p95_ms": 2.0,
        "p99_ms": 3.0,
        "max_ms": 4.0,
        "body_bytes": 1,
        "busy": 0.1,
    }
    report = Report(**(usual | changes))  # type: ignore[arg-type]  # a table of overrides
    return Round(report, cpu_ms, 0.2, 0.99, neighbours)


def result(ours: list[Round], theirs: list[Round], problems: list[str] | None = None) -> Result:
    return Result(Options(rounds=len(ours)), {"list": {"product": ours, "naive": theirs}}, problems or [])


@pytest.mark.parametrize(
    ("rates", "verdict"),
    [([24_000, 24_800, 23_200], "met"), ([16_000, 16_800, 15_200], "missed"), ([16_000, 20_800, 24_000], "undecided")],
)
def test_a_goal_is_met_or_missed_only_when_the_whole_interval_says_so(rates: list[float], verdict: str) -> None:
    (row,) = rows_of(result([round_(rate, 0.5) for rate in rates], [round_(1_000, 2.0)] * 3))
    assert row.verdict == verdict
    assert row.speed.median == pytest.approx(sorted(rates)[1] / 1_000)
    assert row.cpu.median == pytest.approx(4)


def test_a_clean_round_has_no_fault() -> None:
    assert faults("list", "naive", 1, round_()) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"wrong_status": 1, "statuses": {"200": 99, "500": 1}},
        {"lost": 1},
        {"answered": 0, "statuses": {}},
        {"busy": 0.95},
    ],
)
def test_a_round_that_proves_nothing_says_why(changes: dict[str, object]) -> None:
    (fault,) = faults("list", "naive", 3, round_(**changes))  # type: ignore[arg-type]  # a table of overrides
    assert fault.startswith("list, naive, round 3: ")


def test_the_table_and_the_json_hold_the_same_figures() -> None:
    measured = result([round_(3_000.0)] * 3, [round_(1_000.0, 3.0)] * 3)
    text, data = to_text(measured), json.loads(json.dumps(to_json(measured)))
    assert "3,000 (3,000..3,000)" in text
    assert "3.00 (3.00..3.00)" in text
    assert "missed" in text
    assert "INVALID" not in text
    assert data["valid"] is True
    assert data["cases"]["list"]["naive"]["figures"]["cpu_ms"]["median"] == 3
    assert len(data["cases"]["list"]["product"]["rounds"]) == 3
    (row,) = data["comparisons"]
    assert (row["speed"]["median"], row["cpu"]["median"], row["verdict"]) == (3, 3, "missed")


def test_an_unfit_rig_is_said_first_of_all() -> None:
    measured = result([round_()], [round_(lost=1)], ["list, naive, round 1: 1 requests lost"])
    assert "INVALID RIG" in to_text(measured)
    assert to_json(measured)["valid"] is False


def test_rounds_that_measured_nothing_give_no_row_and_no_crash() -> None:
    measured = result([round_()], [round_(0.0, 0.0, answered=0)], ["nothing answered"])
    assert rows_of(measured) == []
    assert "INVALID RIG" in to_text(measured)


def test_neighbours_and_idle_servers_are_warned_about() -> None:
    assert warnings_of(result([round_()], [round_()])) == []
    (warning,) = warnings_of(result([round_(neighbours=0.2)], [round_()]))
    assert "others used 20%" in warning

"""The rule of the budgets, at its borders."""

import pytest

from loadtests.budgets.budgets import Budgets
from loadtests.budgets.verdict import Verdict, judge

HERE = "CPython 3.11"


def verdict(budget: float, measured: float, figure: str = "statements", interpreter: str = HERE) -> Verdict:
    budgets = Budgets(interpreter=HERE, requests={"list": {figure: budget}}, raised=None)
    [line] = judge(budgets, {"list": {figure: measured}}, interpreter)
    return line.verdict


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (1.0, Verdict.WITHIN),
        (1.019, Verdict.WITHIN),
        (1.021, Verdict.OVER),
        (0.981, Verdict.WITHIN),
        (0.97, Verdict.BELOW),
    ],
)
def test_two_per_cent_are_tolerated_either_way(ratio: float, expected: Verdict) -> None:
    assert verdict(2_000, 2_000 * ratio) is expected


def test_one_statement_more_is_over_and_one_less_is_slack() -> None:
    assert [verdict(4, statements) for statements in (3, 4, 5)] == [Verdict.BELOW, Verdict.WITHIN, Verdict.OVER]


def test_a_budget_of_nothing_tolerates_nothing() -> None:
    assert [verdict(0, statements) for statements in (0, 0.05)] == [Verdict.WITHIN, Verdict.OVER]


def test_instructions_of_another_interpreter_are_not_judged_and_all_else_is() -> None:
    assert verdict(100, 200, "instructions") is Verdict.OVER
    assert verdict(100, 200, "instructions", "CPython 3.12") is Verdict.NOT_JUDGED
    assert verdict(100, 200, "statements", "CPython 3.12") is Verdict.OVER

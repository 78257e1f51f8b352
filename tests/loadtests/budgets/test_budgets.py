"""The file of budgets: what is in it, and what its loader refuses."""

from pathlib import Path

import pytest

from loadtests.budgets.budgets import Budgets, BudgetsError, load_budgets
from loadtests.budgets.subjects import FIGURES

MEASURED = {"create": ("statements", "buffers"), "me": ("statements",)}
TEXT = """
interpreter = "CPython 3.11"
[requests.create]
statements = 3
buffers = 20.5
[requests.me]
statements = 1
"""
RAISED = """
[[raised]]
request = "create"
figure = "statements"
before = 3
after = 4
why = "A task is created with an entry in the history."
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "budgets.toml"


def load(file: Path, text: str) -> Budgets:
    file.write_text(text)
    return load_budgets(MEASURED, file)


def test_the_file_names_exactly_what_is_measured_and_hits_cost_the_database_nothing() -> None:
    budgets = load_budgets(FIGURES)
    hits = [name for name, figures in FIGURES.items() if "instructions" in figures]
    assert {"cached-list", "cached-get", "cached-me"} <= set(hits)
    assert [budgets.of(name, figure) for name in hits for figure in ("statements", "buffers")] == [0] * 2 * len(hits)


def test_a_budget_is_what_was_measured_until_it_is_raised(file: Path) -> None:
    assert load(file, TEXT).of("create", "statements") == 3
    again = RAISED.replace("before = 3", "before = 4").replace("after = 4", "after = 6")
    raised = load(file, TEXT + RAISED + again)
    assert [raised.of("create", "statements"), raised.of("create", "buffers"), raised.of("me", "statements")] == [
        6,
        20.5,
        1,
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TEXT + "[", "not valid TOML"),
        (TEXT.replace('interpreter = "CPython 3.11"', ""), "interpreter: missing"),
        (TEXT.replace("statements = 3", 'statements = "3"'), "requests.create.statements: must be a number, is '3'"),
        (TEXT.replace("20.5", "-1"), "requests.create.buffers: must be finite and not negative, is -1"),
        (TEXT.replace("20.5", "inf"), "requests.create.buffers: must be finite"),
        (TEXT.replace("buffers = 20.5", ""), "requests.create.buffers: missing"),
        (TEXT + "seconds = 1", "requests.me.seconds: is not measured; what is: statements"),
        (TEXT.replace("requests.me", "requests.you"), "requests.you: is not measured; what is: create, me"),
        (TEXT.replace("[requests.me]\nstatements = 1", ""), "requests.me: missing"),
        (
            TEXT + RAISED.replace("A task is created with an entry in the history.", ""),
            "raised.0.why: must not be empty",
        ),
        (TEXT + RAISED.partition("why")[0], "raised.0.why: missing"),
        (
            TEXT + RAISED.replace('"create"', '"delete"'),
            "raised.0: there is no figure 'statements' of a request 'delete'",
        ),
        (TEXT + RAISED.replace('"statements"', '"seconds"'), "raised.0: there is no figure 'seconds'"),
        (TEXT + RAISED.replace("before = 3", "before = 2"), "raised.0.before: must be the budget until then, 3, is 2"),
        (TEXT + RAISED + RAISED, "raised.1.before: must be the budget until then, 4, is 3"),
        (TEXT + RAISED.replace("after = 4", "after = 3"), "raised.0.after: must be above before"),
        (TEXT + RAISED + "who = 'me'", "raised.0.who: unknown key"),
    ],
)
def test_a_broken_file_is_refused_by_its_key(file: Path, text: str, reason: str) -> None:
    with pytest.raises(BudgetsError) as refused:
        load(file, text)
    assert str(refused.value).startswith(f"{file}: {reason}")


def test_a_file_that_is_not_there_is_refused(file: Path) -> None:
    with pytest.raises(BudgetsError, match="cannot be read"):
        load_budgets(MEASURED, file)

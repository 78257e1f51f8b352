"""`python -m loadtests budgets`: exit codes, and the budgets themselves on real servers. Instructions are not counted
here: that takes valgrind and a minute, and CI calls the door.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests import __main__ as door
from loadtests.budgets import door as budgets_door
from loadtests.budgets import measure
from loadtests.budgets.budgets import BUDGETS_FILE, load_budgets
from loadtests.budgets.measure import Figures, Side, cost, of_side, requests
from loadtests.budgets.subjects import FIGURES, SUBJECTS, Subject
from loadtests.paced import Request
from loadtests.servers import ServerError

Measured = dict[str, dict[str, float]]
BUDGETS = load_budgets(FIGURES)
EXACT: Measured = {name: {figure: BUDGETS.of(name, figure) for figure in figures} for name, figures in FIGURES.items()}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The budgets that the door reads, a copy of ours."""
    path = tmp_path / "budgets.toml"
    path.write_text(BUDGETS_FILE.read_text())
    monkeypatch.setattr(budgets_door, "load_budgets", lambda figures: load_budgets(figures, path))
    monkeypatch.setattr(budgets_door, "interpreter", lambda: BUDGETS.interpreter)
    return path


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Measured:
    """What the door is told was measured: to begin with, exactly the budgets."""
    figures = {name: dict(own) for name, own in EXACT.items()}

    def told(wanted: list[Subject], _say: object) -> dict[str, Figures]:
        return {subject.name: figures[subject.name] for subject in wanted}

    monkeypatch.setattr(budgets_door, "measure", told)
    return figures


def repeatable(some: Sequence[Request], part: str) -> list[Request]:
    """The same creates with an Idempotency-Key each, which the product looks up and stores."""
    keys = [f"\r\nIdempotency-Key: {part}-{number}\r\n".encode() for number, _ in enumerate(some)]
    return [replace(each, content=each.content.replace(b"\r\n", key, 1)) for each, key in zip(some, keys, strict=True)]


def test_real_requests_are_within_their_budgets_and_more_statements_are_not(
    file: Path, measured: Measured, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dearer: dict[str, float] = {}

    def and_more(side: Side) -> Measured:
        found = of_side(side)
        if side.name == SUBJECTS["create"].peer.name:
            before, counted = requests(SUBJECTS["create"], side)
            dearer.update(cost(side, repeatable(before, "before"), repeatable(counted, "counted")))
        return found

    monkeypatch.setattr(measure, "of_side", and_more)
    monkeypatch.setattr(measure, "valgrind", lambda: "")
    monkeypatch.setattr(
        measure, "of_hits", lambda _running, hits: {each.name: EXACT[each.name]["instructions"] for each in hits}
    )
    monkeypatch.setattr(budgets_door, "measure", measure.measure)
    assert door.main(["budgets", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)["figures"]
    assert [(each["request"], each["figure"]) for each in figures] == [
        (n, f) for n, own in FIGURES.items() for f in own
    ]
    assert {each["verdict"] for each in figures} == {"within"}

    # Negative control: the dearer create, judged by the budget of the ordinary one.
    monkeypatch.setattr(budgets_door, "measure", lambda _wanted, _say: {"create": dearer})
    assert door.main(["budgets", "--only", "create"]) == 5
    over = capsys.readouterr().out.partition("OVER BUDGET")[2]
    assert 'request = "create"\nfigure = "statements"\nbefore = 3\n' in over
    assert dearer["statements"] >= EXACT["create"]["statements"] + 2


def test_what_the_door_prints_raises_a_budget_once_it_says_why(
    file: Path, measured: Measured, capsys: pytest.CaptureFixture[str]
) -> None:
    measured["list"]["buffers"] *= 2
    assert door.main(["budgets"]) == 5
    raised = "[[raised]]" + capsys.readouterr().out.partition("[[raised]]")[2]
    file.write_text(file.read_text() + "\n" + raised)
    assert door.main(["budgets"]) == 2
    assert "raised.0.why: must not be empty" in capsys.readouterr().err
    file.write_text(file.read_text().replace('why = ""', 'why = "The list is joined with its labels."'))
    assert door.main(["budgets"]) == 0


def test_slack_is_named_and_no_failure(file: Path, measured: Measured, capsys: pytest.CaptureFixture[str]) -> None:
    measured["search"]["buffers"] = 100
    assert door.main(["budgets", "--only", "search"]) == 0
    assert "search: buffers are below budget: lower it to 100" in capsys.readouterr().out


def test_another_interpreter_is_said_and_its_instructions_are_not_judged(
    file: Path,
    measured: Measured,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(budgets_door, "interpreter", lambda: "CPython 3.12, Clang 18")
    measured["cached-me"]["instructions"] *= 2
    assert door.main(["budgets"]) == 0
    told = capsys.readouterr().out
    assert "instructions are not judged: here is CPython 3.12, Clang 18; the budgets are of CPython 3.11" in told
    measured["cached-me"]["statements"] = 1
    assert door.main(["budgets"]) == 5


def test_an_unfit_rig_is_3_and_an_interruption_130(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(error: BaseException) -> int:
        def measure(_wanted: object, _say: object) -> dict[str, Figures]:
            raise error

        monkeypatch.setattr(budgets_door, "measure", measure)
        return door.main(["budgets"])

    assert fails(ServerError("postgres was not ready")) == 3
    assert "INVALID RIG: postgres was not ready" in capsys.readouterr().err
    assert fails(KeyboardInterrupt()) == 130


def test_without_valgrind_nothing_starts(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert door.main(["budgets", "--only", "cached-list"]) == 3
    told = capsys.readouterr()
    assert "apt-get install valgrind" in told.err
    assert "seeding" not in told.err
    assert told.out == ""


@pytest.mark.parametrize("arguments", [["--only"], ["--only", "speed"], ["--accept", "because"]])
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        door.main(["budgets", *arguments])
    assert stopped.value.code == 2
    assert "usage" in capsys.readouterr().err

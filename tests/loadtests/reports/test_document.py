"""The document: what it refuses to hold, and that JSON loses nothing of it."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from loadtests.reports.document import Document, Mark, Outcome, Series, Table, from_json, showable, to_json
from tests.support.reports import NASTY, document


@pytest.mark.parametrize("whole", [document(), document("predicted", "12 of 14 hold", NASTY)])
def test_json_loses_nothing(whole: Document) -> None:
    data = json.loads(json.dumps(to_json(whole)))
    assert data["schema"] == 1
    assert from_json(data) == whole
    assert from_json(data).checks[0].outcome is Outcome.PASSED


def broken(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    data = to_json(document())
    change(data)
    return data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ([], "not an object"),
        ({}, "its schema is None"),
        (broken(lambda data: data.update(schema=2)), "its schema is 2"),
        (broken(lambda data: data.pop("sentence")), "sentence: missing"),
        (broken(lambda data: data.update(mood="good")), "mood: unknown key"),
        (broken(lambda data: data.update(label="guessed")), "label: must be one of measured, predicted, emulated"),
        (broken(lambda data: data["checks"][1].update(outcome="fine")), r"checks\.1\.outcome: must be one of passed, "),
        (broken(lambda data: data["facts"].update(cores=2)), r"facts\.cores: must be a text, is 2"),
        (broken(lambda data: data["charts"][0]["series"][0]["y"].append("x")), r"charts\.0\.series\.0\.y\.4: must be"),
        (broken(lambda data: data["charts"][0]["series"][0]["y"].append(1.0)), "has 4 x and 5 y"),
        (broken(lambda data: data["tables"][0]["rows"].append(["a"])), "has 3 columns and a row of 1"),
        (broken(lambda data: data.update(made_at="yesterday")), "yesterday"),
        (broken(lambda data: data.update(made_at="2026-03-01T10:20:30+02:00")), "not in UTC"),
    ],
)
def test_what_is_no_document_is_refused_with_the_reason(data: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        from_json(data)


def test_numbers_that_nobody_can_draw_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        Series("p95", [0], [float("nan")])
    chart = replace(document().charts[0], marks=[Mark("target", float("inf"))])
    with pytest.raises(ValueError, match="JSON"):
        to_json(replace(document(), charts=[chart]))


def test_a_table_of_no_rows_and_a_series_of_no_points_are_fine() -> None:
    assert Table("none", ["a"], []).rows == []
    assert Series("none", [], []).y == []


@pytest.mark.parametrize(
    ("verdict", "outcome", "headline"),
    [
        (Outcome.PASSED, Outcome.PASSED, "PASSED"),
        ("Invalid", Outcome.INVALID, "INVALID"),
        ("2 refuted, 1 confirmed", Outcome.INFO, "2 refuted, 1 confirmed"),
    ],
)
def test_the_word_of_an_outcome_is_one(verdict: str, outcome: Outcome, headline: str) -> None:
    told = document(verdict=verdict)
    assert (told.outcome, told.headline) == (outcome, headline)


def test_what_no_format_can_show_is_taken_out_and_nothing_else() -> None:
    shown = showable(document(text="\ud800\ufffe\x1b[0m ä€🟣\ttab\r\nend"))
    assert shown == document(text="[0m ä€🟣\ttab\nend")


def test_whoever_makes_a_document_waits_for_no_library_of_drawings() -> None:
    code = "import sys, loadtests.reports.write; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

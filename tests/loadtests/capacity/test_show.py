"""Nobody can take a prediction for a measurement: every title says which of the two it is, in every format."""

from dataclasses import replace
from functools import cache

import pytest

from loadtests.capacity.measured import Measured
from loadtests.capacity.model import predict
from loadtests.capacity.prices import load_prices
from loadtests.capacity.show import document
from loadtests.capacity.validate import Validation, check
from loadtests.reports.document import Document, Outcome
from loadtests.reports.html import to_html
from loadtests.reports.markdown import to_markdown
from loadtests.reports.text import to_text
from roadmap.phases import load
from tests.support.capacity import EMULATED, PRODUCT, measured, off_at_the_held_out_step

MADE_AT = "2026-11-25T12:00:00+00:00"
WORDS = ("predict", "measured", "emulated")


@cache
def made(given: Measured, phase: str) -> tuple[Document, Validation]:
    """By the truth itself, which is the best fit there is."""
    validation = check(given, PRODUCT, EMULATED)
    prices = load_prices()
    prediction = predict(given, PRODUCT, load().phase(phase), prices)
    return document(given, validation, prediction, prices, MADE_AT, {"command": "a command"}), validation


@pytest.fixture(scope="module")
def good() -> Document:
    return made(measured(), "2")[0]


@pytest.fixture(scope="module")
def bad() -> Document:
    return made(off_at_the_held_out_step(measured(), 2.0), "2")[0]


def test_every_title_says_what_it_is(good: Document) -> None:
    titles = [
        good.title,
        good.verdict,
        good.sentence,
        *(check.name for check in good.checks),
        *(table.title for table in good.tables),
        *(chart.title for chart in good.charts),
        *(series.name for chart in good.charts for series in chart.series),
    ]
    assert [title for title in titles if not any(word in title.lower() for word in WORDS)] == []
    assert good.label == "predicted"


def test_every_format_says_it_first(good: Document) -> None:
    for render in (to_text, to_markdown, to_html):
        text = render(good)
        assert "PREDICTED" in text
        assert "Predicted, not measured: 50,000 users" in text


def test_a_model_that_holds_is_validated_and_decides(good: Document) -> None:
    assert good.verdict == "predicted, validated"
    held_out = [check for check in good.checks if "held out" in check.name]
    assert [check.outcome for check in held_out] == [Outcome.PASSED] * 4
    assert [check.detail for check in held_out] == ["measured on the product", *["emulated"] * 3]
    verdicts = {check.name: check for check in good.checks if check.group == "verdict"}
    assert verdicts["predicted p95, ms"].outcome is Outcome.PASSED
    assert verdicts["predicted USD a month, budget of the strategy's targets table"].detail in {
        "within",
        "over",
        "across",
    }
    assert verdicts["predicted USD a month, budget of the strategy's cost table"].outcome is Outcome.FAILED


def test_a_model_that_is_off_says_so_loudly_and_decides_nothing(bad: Document) -> None:
    assert bad.verdict == "predicted, NOT VALIDATED"
    assert "The model is NOT VALIDATED: it is off by more than it may be for one server at load 0.8" in bad.sentence
    failed = [check for check in bad.checks if check.outcome is Outcome.FAILED]
    assert [check.name for check in failed] == ["predicted for one server at load 0.8, held out"]
    verdicts = [check for check in bad.checks if check.group == "verdict" and check.outcome is not Outcome.INFO]
    assert {check.outcome for check in verdicts} == {Outcome.INCONCLUSIVE}
    assert all("not validated" in check.detail for check in verdicts)
    assert [table.title for table in bad.tables] == [table.title for table in made(measured(), "2")[0].tables]


def test_what_a_phase_has_of_its_own_is_shown() -> None:
    fourth, _ = made(measured(), "4")
    needs = {row[0]: row for row in fourth.tables[0].rows}
    assert needs["shards"][1] == "6"
    assert "API server processes if a region is lost" in needs
    assert [check.limit for check in fourth.checks if "USD" in check.name] == ["the strategy gives no budget"]


def test_steps_that_neighbours_disturbed_are_counted() -> None:
    given = measured()
    loud = replace(given, product=tuple(replace(step, neighbours=0.4) for step in given.product))
    (told,) = [check for check in made(loud, "2")[0].checks if "disturbed" in check.name]
    assert told.measured == f"{len(given.product)} of {len(given.product) + len(given.emulated)}"

"""The index experiment on a small real table: pages, plans and words are asserted, times never."""

import pytest

from loadtests.experiments import indexes
from loadtests.experiments.indexes import Cell, sentence
from loadtests.experiments.outcome import Figure, Verdict, judge
from loadtests.experiments.queries import INDEXES
from loadtests.experiments.size import Size
from loadtests.stats import Interval
from roadmap.claims import load_claims

(CLAIM,) = [claim for claim in load_claims().claims if claim.experiment == "indexes"]
ROWS = 4_000
LIST = "tasks(user_id, created_at DESC, id DESC)"


def test_what_the_claim_names_is_what_can_be_measured() -> None:
    assert [index.subject for index in INDEXES.values() if index.named] == list(CLAIM.subjects or ())
    assert [index.subject for index in INDEXES.values() if not index.named] == [LIST]


def test_each_index_is_measured_on_real_tables() -> None:
    said: list[str] = []
    outcome = indexes.run(CLAIM, Size(rows=(ROWS,), pairs=3), said.append)
    found = {figure.condition.removeprefix(f"{ROWS:,} rows, "): figure for figure in outcome.figures}
    assert set(found) == {f"{index.subject}, {query.name}" for index in INDEXES.values() for query in index.queries}

    def pages(condition: str) -> float:
        """Share of the pages that are still read with the index."""
        figure: Figure = found[condition]
        return figure.beside["buffers with"] / figure.beside["buffers without"]

    # Negative controls: UNIQUE is an index already, and a third of all rows lies on every page.
    for idle in ("users(email), login", "tasks(status), newest of a status, everybody's"):
        assert pages(idle) > 0.9, idle
    for useful in (f"{LIST}, list", "tasks(user_id), list", "tasks(created_at), newest, everybody's"):
        assert pages(useful) < 0.7, useful
        assert found[useful].beside["used"] == 1
    assert pages(f"{LIST}, list") < pages("tasks(user_id), list")
    assert found[f"{LIST}, list"].counts is False
    assert "Useless, because they save no pages at any size: users(email), tasks(status)." in outcome.sentence
    assert outcome.problems == ()
    assert judge(CLAIM, outcome.figures).verdict is not Verdict.CONFIRMED
    assert any("seeding 4,000 rows" in line for line in said)


def cell(subject: str, rows: int, times: float, *, saves: bool) -> Cell:
    index = INDEXES[subject]
    return Cell(
        index=index,
        query=index.queries[0],
        rows=rows,
        speed_up=Interval(times, times, times),
        ms_without=1.0,
        ms_with=1.0 / times,
        buffers_without=100,
        buffers_with=10 if saves else 100,
        used=True,
        index_mb=1.0,
    )


def test_an_index_that_saves_no_pages_is_useless_however_fast_it_seemed() -> None:
    words = sentence([cell("tasks(status)", 10, 7.0, saves=False), cell("tasks(user_id)", 10, 7.0, saves=True)])
    assert "Useless, because they save no pages at any size: tasks(status)." in words
    assert "tasks(user_id) on 'list' 7" in words


@pytest.mark.parametrize(
    ("curve", "verdict"),
    [
        ([7.0, 80.0, 800.0], Verdict.CONDITIONAL),
        ([80.0, 800.0], Verdict.REFUTED),
        ([1.0, 1.0], Verdict.REFUTED),
        ([6.0, 7.0], Verdict.CONFIRMED),
    ],
)
def test_a_curve_is_judged_as_a_whole(curve: list[float], verdict: Verdict) -> None:
    figures = [cell("tasks(user_id)", rows, times, saves=True).figure for rows, times in enumerate(curve)]
    assert judge(CLAIM, figures).verdict is verdict

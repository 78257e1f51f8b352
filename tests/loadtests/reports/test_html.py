"""The page: balanced, self-contained, escaped; and the charts that stand in it."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from loadtests.reports.charts import to_svg
from loadtests.reports.document import Chart, Document, Label, Mark, Outcome, Series, Stage
from loadtests.reports.html import to_html
from tests.support.reports import NASTY, document

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Tags that are not closed in order, ids, what a browser would load, and the visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.references: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        self.faults += [f"<{tag}> is not closed" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            if name == "id":
                self.ids[value or ""] += 1
            if name in ("src", "href", "xlink:href", "srcset", "data", "action"):
                self.references.append(value or "")
            self.references += re.findall(r"url\(\s*['\"]?([^)'\"]*)", value or "")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at line {self.getpos()[0]}")

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)


def foreign(page: Page) -> list[str]:
    """References that lead out of the page."""
    return [reference for reference in page.references if not reference.startswith("#")]


@pytest.mark.parametrize("whole", [document(), document("emulated", "inconclusive", NASTY)])
def test_a_page_is_whole_and_loads_nothing(whole: Document) -> None:
    text = to_html(whole)
    page = Page(text)
    assert text.startswith("<!doctype html>")
    assert page.faults == []
    assert foreign(page) == []
    assert not re.search(r"https?://|@import", text)
    assert not page.tags.keys() & {"script", "link", "img", "iframe", "object"}
    assert [name for name, count in page.ids.items() if count > 1] == []
    assert {reference.removeprefix("#") for reference in page.references} <= page.ids.keys()


def test_the_checker_sees_what_it_looks_for() -> None:
    page = Page("<p><b>x</p><svg><use href='https://example.com/a#b'/></svg><i style='background:url(x.png)'></i>")
    assert page.faults
    assert foreign(page) == ["https://example.com/a#b", "x.png"]


def test_every_text_of_others_is_text() -> None:
    page = Page(to_html(document(text=NASTY)))
    shown = NASTY.replace("\x00", "").replace("\x1b", "")
    # Title twice, sentence, two groups, and so on: each whole, none of it markup.
    assert page.text.count(shown) > 12
    assert "\x00" not in page.text


def test_verdict_checks_tables_and_facts_are_there() -> None:
    text = to_html(document())
    page = Page(text)
    assert '<header class="banner failed">' in text
    for part in ("FAILED", "One check failed.", "84 answers of 503", "12,004", "two cores", "warm-up", "target 50 ms"):
        assert part in page.text
    for outcome in Outcome:
        assert f'<span class="outcome {outcome}">' in text
        assert page.text.count(outcome) > 1  # in the tally, and as a word beside the check: not by colour alone
    assert page.tags["svg"] == 2


@pytest.mark.parametrize(("label", "tags"), [("measured", 0), ("predicted", 4), ("emulated", 4)])
def test_what_is_not_measured_says_so_beside_everything(label: Label, tags: int) -> None:
    text = to_html(document(label))
    assert text.count(f'<span class="tag">{label.upper()}</span>') == tags  # checks, two charts, a table
    assert ('<p class="strip"' in text) is (label != "measured")


def test_a_bare_document_has_no_empty_sections() -> None:
    page = Page(to_html(replace(document(), checks=[], tables=[], charts=[], facts={})))
    assert page.faults == []
    assert page.tags["section"] == 0


def chart(y: Sequence[float | None], *, log: bool = False) -> Chart:
    points = len(y)
    return Chart("t", "x", "y", [Series("s", range(1, points + 1), y)], log_x=log, log_y=log)


def test_the_same_chart_is_the_same_text() -> None:
    (drawn, _) = document(text=NASTY).charts
    assert to_svg(drawn) == to_svg(drawn)
    assert "currentColor" in to_svg(drawn)


def line_of(svg: str) -> str:
    """The path of the only series: it alone has this width."""
    found = re.search(r'<path d="([^"]*)"[^>]*stroke-width: 1.6', svg)
    return found[1] if found else ""


def test_a_missing_value_is_a_gap() -> None:
    assert line_of(to_svg(chart([1, 2, 3, 4, 5]))).count("M") == 1
    assert line_of(to_svg(chart([1, 2, None, 4, 5]))).count("M") == 2


def test_a_point_between_gaps_is_seen_among_many() -> None:
    many: list[float | None] = [float(value % 7) for value in range(100)]
    without = to_svg(chart(many)).count("<use")
    alone = [*many]
    alone[49] = alone[51] = None
    # A marker at the point, and one in the legend.
    assert to_svg(chart(alone)).count("<use") == without + 2


@pytest.mark.parametrize("y", [[], [None, None], [0.0, 0.0], [-1.0, 3.0], [1e-6, 1e9], [5.0]])
@pytest.mark.parametrize("log", [False, True])
def test_any_values_can_be_drawn(y: list[float | None], log: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    assert to_svg(chart(y, log=log)).endswith("</svg>")


def test_names_of_any_length_and_script_can_be_drawn() -> None:
    names = ["統計 🟣 \u0627\u0644", "_hidden", "long " * 60, "$x", ""]
    series = [Series(name, [1, 2], [1, 2]) for name in names]
    assert to_svg(replace(chart([1.0]), series=series, x_label="x" * 300, y_label="y" * 300)).endswith("</svg>")


def test_stages_marks_and_scales_are_labelled() -> None:
    steps = [Stage(f"step {number}: {number * 100} users", number * 10, number * 10 + 10) for number in range(12)]
    whole = replace(chart([1_000.0, 20_000.0]), stages=steps, marks=[Mark("ceiling", 30_000)])
    page = Page(to_svg(whole))
    assert all(step.label in page.text for step in steps)
    assert "ceiling" in page.text
    assert "20,000" in page.text
    logarithmic = Page(to_svg(chart([1.0, 100_000.0], log=True)))
    assert "100,000" in logarithmic.text
    assert "$" not in logarithmic.text

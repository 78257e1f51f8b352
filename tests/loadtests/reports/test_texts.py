"""Markdown, JUnit and the terminal: escaping, counts, columns, and what is not measured says so."""

import re
from xml.etree import ElementTree as ET

import pytest

from loadtests.reports.cells import aligned, numeric
from loadtests.reports.document import Label
from loadtests.reports.junit import to_junit
from loadtests.reports.markdown import to_markdown
from loadtests.reports.text import to_text
from tests.support.reports import NASTY, document


def cells_of(line: str) -> list[str]:
    return re.split(r"(?<!\\)\|", line)


def test_a_row_of_markdown_has_the_cells_of_its_head() -> None:
    lines = [line for line in to_markdown(document(text=NASTY)).splitlines() if line.startswith("|")]
    tables = {len(cells_of(line)) for line in lines}
    assert tables == {7, 5, 4}  # the checks, a table, the facts; each has an empty cell at both ends
    assert sum(len(cells_of(line)) == 7 for line in lines) == 2 + len(document().checks)
    assert len(lines) == (2 + 6) + (2 + 3) + (2 + 3)


def test_markdown_holds_no_markup_of_others() -> None:
    text = to_markdown(document(text=NASTY))
    assert "<script" not in text
    assert r"a\|b \]\]&gt; &amp; $x_1$" in text
    assert "\\`c\\`<br>next" in text
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", text)
    assert set(re.findall(r"<[^>]*>", text)) == {"<br>", "<details>", "</details>", "<summary>", "</summary>"}


def test_markdown_tells_the_verdict_first_and_aligns_numbers() -> None:
    lines = to_markdown(document()).splitlines()
    assert lines[0] == "## ❌ FAILED: 200 users for 2 minutes"
    assert "| request | count | p95 ms |" in lines
    assert lines[lines.index("| request | count | p95 ms |") + 1] == "| --- | ---: | ---: |"


def test_junit_counts_what_it_holds() -> None:
    root = ET.fromstring(to_junit(document()))  # noqa: S314 (our own text)
    (suite,) = root
    cases = suite.findall("testcase")
    found = {
        "tests": len(cases),
        "failures": len(suite.findall("testcase/failure")),
        "errors": len(suite.findall("testcase/error")),
        "skipped": len(suite.findall("testcase/skipped")),
    }
    assert found == {"tests": 6, "failures": 1, "errors": 1, "skipped": 1}
    for element in (root, suite):
        assert {name: int(element.attrib[name]) for name in found} == found
    failed = cases[1]
    assert (failed.attrib["classname"], failed.attrib["name"]) == ("run.verdict", "error rate")
    assert failed[0].attrib["message"] == "0.42 % (limit: at most 0.1 %)"
    assert failed[0].text == "84 answers of 503"
    assert [each.attrib["value"] for each in suite.findall("properties/property[@name='processor']")] == ["two cores"]


def test_junit_holds_any_text() -> None:
    root = ET.fromstring(to_junit(document(text=NASTY + "\ufffe\ud800")))  # noqa: S314 (our own text)
    shown = NASTY.replace("\x00", "").replace("\x1b", "")
    (suite,) = root
    assert suite.attrib["name"] == f"200 users for 2 minutes{shown}"
    assert suite.findall("testcase/failure")[0].text == f"84 answers of 503{shown}"


def test_columns_begin_or_end_below_each_other() -> None:
    text = to_text(document(text=" two\nlines"))
    lines = text.splitlines()
    assert lines[0] == "FAILED: 200 users for 2 minutes two lines"
    head = next(number for number, line in enumerate(lines) if line.strip().startswith("request two lines"))
    ends = [re.search(pattern, line) for pattern, line in zip(["p95 ms", "8.1", "17.25"], lines[head:], strict=False)]
    assert len({end.end() for end in ends if end}) == 1
    checks = [line for line in lines if "at most 0.1 %" in line or "at most 50 ms" in line]
    assert len({line.index("at most") for line in checks}) == 1
    assert "84 answers of 503 two lines" in text
    assert "\x1b" not in to_text(document(text=NASTY))


def test_a_long_sentence_is_wrapped() -> None:
    lines = to_text(document(text=" and so on" * 40)).splitlines()
    sentence = [line for line in lines if line.startswith("  One check failed.")]
    assert len(sentence) == 1
    assert len(sentence[0]) <= 118


@pytest.mark.parametrize("render", [to_markdown, to_junit, to_text])
@pytest.mark.parametrize("label", ["predicted", "emulated"])
def test_what_is_not_measured_says_so(render: object, label: Label) -> None:
    assert callable(render)
    assert label.upper() in render(document(label))
    assert label.upper() not in render(document())


def test_junit_says_it_at_every_case() -> None:
    (suite,) = ET.fromstring(to_junit(document("predicted")))  # noqa: S314 (our own text)
    for case in suite.findall("testcase"):
        assert case[0].get("message", case[0].text or "").startswith("PREDICTED: ")


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (["1", "-0.5", "1,204.25"], True),
        (["12 %", "3.1 ms", "-", ""], True),
        (["", "-"], False),
        (["5 (4..6)", "1"], False),
        (["list", "1"], False),
        (["8 of 8"], False),
    ],
)
def test_a_column_of_numbers_is_known(column: list[str], expected: bool) -> None:  # noqa: FBT001 (a parameter)
    assert numeric([[cell] for cell in column]) == [expected]


def test_aligned_on_either_side() -> None:
    assert aligned([("a", "b"), ("long", "12")], [False, True]) == ["  a      b", "  long  12"]
    assert aligned([("a", "b"), ("long", "12")]) == ["  a     b", "  long  12"]

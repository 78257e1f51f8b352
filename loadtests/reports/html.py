"""A document as one HTML file that loads nothing: for a manager, an archive, a printer."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from loadtests.reports.cells import brief, numeric
from loadtests.reports.document import Document, Outcome, showable

# So that an outcome is not told by its colour alone.
SIGNS = {
    Outcome.PASSED: "✓",
    Outcome.FAILED: "✗",
    Outcome.INVALID: "!",
    Outcome.INCONCLUSIVE: "?",
    Outcome.INFO: "i",
}
PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def to_html(document: Document) -> str:
    document = showable(document)
    drawn: list[Markup] = []
    if document.charts:
        from loadtests.reports.charts import to_svg  # noqa: PLC0415 (it takes a second, and many reports have no chart)

        # What matplotlib writes has its texts escaped.
        drawn = [Markup(to_svg(chart, number)) for number, chart in enumerate(document.charts)]  # noqa: S704
    tally = {outcome: sum(check.outcome is outcome for check in document.checks) for outcome in Outcome}
    return PAGES.get_template("page.html.j2").render(
        document=document,
        drawn=drawn,
        numeric=numeric,
        brief=brief,
        signs=SIGNS,
        tally={outcome: count for outcome, count in tally.items() if count},
    )

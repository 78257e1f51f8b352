"""A document for the terminal: the verdict first, then checks and tables in aligned columns; charts are left out."""

from textwrap import wrap

from loadtests.reports.cells import aligned, numeric
from loadtests.reports.document import Document, Table, showable

WIDTH = 118


def wrapped(text: str, indent: str = "") -> list[str]:
    """Lines of at most WIDTH; a line end of the text stays one."""
    return [
        line
        for part in text.split("\n")
        for line in wrap(part, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False)
    ]


def section(table: Table, warning: str) -> list[str]:
    lines = ["", *wrapped(f"{table.title} ({warning})" if warning else table.title)]
    rows = [[" ".join(cell.split()) for cell in row] for row in (table.head, *table.rows)]
    if table.rows:
        lines += aligned(rows, numeric(rows[1:]))
    return [*lines, *wrapped(table.note, "  ")]


def to_text(document: Document) -> str:
    document = showable(document)
    first = f"{document.headline}: {' '.join(document.title.split())}"
    if document.warning:
        first = f"{document.warning}, not measured\n{first}"
    lines = [first, *wrapped(document.sentence, "  ")]
    for group, checks in document.groups.items():
        rows = [(str(c.outcome), c.name, c.measured, c.limit, c.detail) for c in checks]
        lines += section(Table(group, ("outcome", "check", document.label, "limit", ""), rows), document.warning)
    for table in document.tables:
        lines += section(table, document.warning)
    facts = {"made at": document.made_at, **document.facts}
    lines += ["", "where and how", *aligned([(name, " ".join(value.split())) for name, value in facts.items()])]
    return "\n".join(lines)

"""A document as Markdown for the comment of a pull request, in GitHub's dialect."""

import re
from collections.abc import Sequence

from loadtests.reports.cells import numeric
from loadtests.reports.document import Document, Table, showable

SIGNIFICANT = re.compile(r"[\\`*\[\]|~#]|(?<!\w)_|_(?!\w)")
SIGNS = {"passed": "✅", "failed": "❌", "invalid": "🟣", "inconclusive": "⚠️", "info": "🔹"}


def escaped(text: str) -> str:
    """On one line, as text and nothing else: no markup, no HTML."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SIGNIFICANT.sub(lambda found: "\\" + found[0], text).strip().replace("\n", "<br>")


def rows_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rules = ["---:" if right else "---" for right in numeric(rows)]
    return ["| " + " | ".join(cells) + " |" for cells in (map(escaped, head), rules, *(map(escaped, r) for r in rows))]


def section(table: Table, warning: str) -> list[str]:
    title = f"{table.title} ({warning})" if warning else table.title
    body = ["", *rows_of(table.head, table.rows)] if table.rows else []
    note = ["", escaped(table.note)] if table.note else []
    summary = escaped(title)
    return ["", f"<details><summary>{summary}</summary>", *body, *note, "", "</details>"]


def to_markdown(document: Document) -> str:
    document = showable(document)
    warning = document.warning
    headline, title = escaped(document.headline), escaped(document.title)
    lines = [f"## {SIGNS[document.outcome]} {headline}: {title}", ""]
    if warning:
        lines += [f"> **{warning}**: these figures were not measured on the system they are about.", ""]
    lines += [escaped(document.sentence)]
    if document.checks:
        head = ("outcome", "check", document.label, "limit", "")
        rows = [
            (f"{SIGNS[c.outcome]} {c.outcome}", f"{c.group}: {c.name}", c.measured, c.limit, c.detail)
            for c in document.checks
        ]
        lines += ["", *([f"**{warning}**", ""] if warning else []), *rows_of(head, rows)]
    for table in document.tables:
        lines += section(table, warning)
    facts = {"made at": document.made_at, **document.facts}
    lines += section(Table("Where and how", ("fact", ""), [*facts.items()]), warning="")
    return "\n".join(lines) + "\n"

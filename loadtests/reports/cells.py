"""Cells of tables: which columns hold numbers, and columns of equal width for a terminal."""

import re
from collections.abc import Sequence

# A number, with a short unit or without: "1,204", "-0.5 ms", "99.9 %", "3.1 times".
NUMBER = re.compile(r"[-+<>≤≥]?\s?[\d,]*\.?\d+(\s?[%\w/]{1,6})?")
NOTHING = {"", "-"}
BRIEF_CHARACTERS = 26
WHOLE = 100


def number(value: float) -> str:
    """Three digits, and all of those before the point."""
    return f"{value:,.0f}" if abs(value) >= WHOLE else f"{value:.3g}"


def numeric(rows: Sequence[Sequence[str]]) -> list[bool]:
    """For each column, whether it has numbers and nothing else, so that its digits belong below each other."""
    return [
        all(cell in NOTHING or NUMBER.fullmatch(cell) for cell in column)
        and any(NUMBER.fullmatch(cell) for cell in column)
        for column in zip(*rows, strict=True)
    ]


def brief(rows: Sequence[Sequence[str]]) -> list[bool]:
    """For each column, whether its cells are so short that none should be broken into lines."""
    return [all(len(cell) <= BRIEF_CHARACTERS for cell in column) for column in zip(*rows, strict=True)]


def aligned(table: Sequence[Sequence[str]], right: Sequence[bool] = ()) -> list[str]:
    """Lines of a table whose first row is its head; the columns that `right` marks end below each other."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    ends = [*right, *([False] * (len(widths) - len(right)))]
    return [
        "  "
        + "  ".join(
            cell.rjust(width) if end else cell.ljust(width) for cell, width, end in zip(row, widths, ends, strict=True)
        ).rstrip()
        for row in table
    ]

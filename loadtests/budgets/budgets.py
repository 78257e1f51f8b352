"""The budgets, and who raised which of them and why: `budgets.toml`, typed.

A figure under `requests` is what was measured when it was last taken down. It is never edited upwards: what needs more
is an entry of `raised`, which has to say why, and the entries of one figure are a chain from it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from roadmap.phases import Text
from roadmap.reader import RoadmapError, Rule, read_table, read_toml

BUDGETS_FILE = Path(__file__).with_name("budgets.toml")

Amount = Annotated[float, Rule(lambda value: 0 <= value < math.inf, "must be finite and not negative")]


class BudgetsError(Exception):
    """The file is refused; the text names it, the key and what is wrong there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raise:
    """More of one figure: its budget until then, and from then on."""

    request: str
    figure: str
    before: Amount
    after: Amount
    why: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    interpreter: Text
    """Where the instructions were counted; on another one they are not judged."""
    requests: Mapping[str, Mapping[str, Amount]]
    """What was measured first, by request and figure."""
    raised: tuple[Raise, ...] | None
    """In the order in which they came."""

    def of(self, request: str, figure: str) -> float:
        """The budget as it stands. KeyError for what has none."""
        afters = [each.after for each in self.raised or () if (each.request, each.figure) == (request, figure)]
        return afters[-1] if afters else self.requests[request][figure]


def load_budgets(figures: Mapping[str, Sequence[str]], path: Path = BUDGETS_FILE) -> Budgets:
    """The budgets in the file, which must hold these figures by request and no others. BudgetsError, nothing else."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BudgetsError(f"{path} cannot be read: {error}") from error
    try:
        budgets = read_table(Budgets, read_toml(text), "")
    except RoadmapError as error:
        raise BudgetsError(f"{path}: {error}") from error
    for key, reason in _faults(budgets, figures):
        raise BudgetsError(f"{path}: {key}: {reason}")
    return budgets


def _faults(budgets: Budgets, figures: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """Key and reason of everything that only shows between keys."""
    yield from _differences("requests", budgets.requests, list(figures))
    for name, own in budgets.requests.items():
        yield from _differences(f"requests.{name}", own, figures[name])
    standing = {(name, figure): value for name, own in budgets.requests.items() for figure, value in own.items()}
    for index, each in enumerate(budgets.raised or ()):
        at, subject = f"raised.{index}", (each.request, each.figure)
        if subject not in standing:
            yield at, f"there is no figure {each.figure!r} of a request {each.request!r}"
        if each.before != standing[subject]:
            yield f"{at}.before", f"must be the budget until then, {standing[subject]:.12g}, is {each.before:.12g}"
        if each.after <= each.before:
            yield f"{at}.after", "must be above before; what is lowered is edited under requests"
        standing[subject] = each.after


def _differences(at: str, table: Mapping[str, object], names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in table:
        if name not in names:
            yield f"{at}.{name}", f"is not measured; what is: {', '.join(names)}"
    for name in names:
        if name not in table:
            yield f"{at}.{name}", "missing"

"""What a report says, whatever was measured and however it is shown: checks, tables, charts and facts.

The doors fill a `Document`, the renderers beside this module make text of it. All numbers but those of charts are text
already: who measured knows how many digits are true. Sequences come back from JSON as tuples.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from roadmap.reader import RoadmapError, read_table

SCHEMA = 1

Label = Literal["measured", "predicted", "emulated"]

# What XML 1.0 cannot hold even escaped, what a terminal may take for a command, and halves of characters.
UNSHOWABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Outcome(StrEnum):
    """INVALID: the rig was unfit and the figure proves nothing. INCONCLUSIVE: the figures do not decide it.
    INFO: stated, not judged.
    """

    PASSED = "passed"
    FAILED = "failed"
    INVALID = "invalid"
    INCONCLUSIVE = "inconclusive"
    INFO = "info"


@dataclass(frozen=True)
class Series:
    """A line of a chart. None in `y` is a gap. ValueError when the lengths differ or a number is not finite."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise ValueError(f"series {self.name!r} has {len(self.x)} x and {len(self.y)} y")
        if not all(math.isfinite(value) for value in (*self.x, *self.y) if value is not None):
            raise ValueError(f"series {self.name!r} has a number that is not finite; None is a gap")


@dataclass(frozen=True)
class Mark:
    """A horizontal line of reference, such as a target, at this y."""

    label: str
    at: float


@dataclass(frozen=True)
class Stage:
    """A part of the x axis, such as the warm-up or a step of the load."""

    label: str
    start: float
    end: float


@dataclass(frozen=True)
class Chart:
    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    marks: Sequence[Mark] = ()
    stages: Sequence[Stage] = ()
    log_y: bool = False
    log_x: bool = False


@dataclass(frozen=True)
class Table:
    """ValueError when a row has another number of cells than the head."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def __post_init__(self) -> None:
        if wrong := [row for row in self.rows if len(row) != len(self.head)]:
            raise ValueError(f"table {self.title!r} has {len(self.head)} columns and a row of {len(wrong[0])}")


@dataclass(frozen=True)
class Check:
    """One thing that was judged, or stated. Checks of a `group` ("validity", "verdict", "server") stand together."""

    group: str
    name: str
    measured: str
    limit: str
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True)
class Document:
    """`kind`: what made it ("claims"). `verdict`: the word of an Outcome, which gives the banner its colour, or any
    other text, which stays neutral. `made_at`: ISO 8601 in UTC, ValueError if not. `facts`: machine, versions, commit,
    command.
    """

    kind: str
    title: str
    verdict: str
    sentence: str
    made_at: str
    label: Label
    checks: Sequence[Check]
    tables: Sequence[Table]
    charts: Sequence[Chart]
    facts: Mapping[str, str]

    def __post_init__(self) -> None:
        if datetime.fromisoformat(self.made_at).utcoffset() != timedelta():
            raise ValueError(f"made_at is not in UTC: {self.made_at!r}")

    @property
    def outcome(self) -> Outcome:
        words = {outcome.value: outcome for outcome in Outcome}
        return words.get(self.verdict.lower(), Outcome.INFO)

    @property
    def headline(self) -> str:
        """The verdict, in capitals where it is an outcome's word."""
        return self.verdict.upper() if self.verdict.lower() == self.outcome else self.verdict

    @property
    def warning(self) -> str:
        """In capitals, that the figures are not measured ones; empty where they are."""
        return "" if self.label == "measured" else self.label.upper()

    @property
    def groups(self) -> dict[str, list[Check]]:
        """Checks by group, in the order in which the groups appear."""
        found: dict[str, list[Check]] = {}
        for check in self.checks:
            found.setdefault(check.group, []).append(check)
        return found


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def to_json(document: Document) -> dict[str, Any]:
    """Plain lists and texts, as `from_json` takes them. ValueError for a number that JSON does not know."""
    whole: dict[str, Any] = json.loads(json.dumps({"schema": SCHEMA, **asdict(document)}, allow_nan=False))
    return whole


def from_json(data: object) -> Document:
    """ValueError with the path to the fault and the reason."""
    if not isinstance(data, dict):
        raise ValueError("not a document: not an object")  # noqa: TRY004 (one kind of error for every fault in a file)
    if data.get("schema") != SCHEMA:
        raise ValueError(f"not a document of schema {SCHEMA}: its schema is {data.get('schema')!r}")
    try:
        return read_table(Document, {key: value for key, value in data.items() if key != "schema"}, "")
    except RoadmapError as error:
        raise ValueError(f"not a document: {error}") from error


def showable(document: Document) -> Document:
    """The same without the characters that no format can show: every renderer begins with this."""

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            return UNSHOWABLE.sub("", value.replace("\r\n", "\n"))
        if isinstance(value, list):
            return [clean(item) for item in value]
        return {clean(key): clean(item) for key, item in value.items()} if isinstance(value, dict) else value

    return from_json(clean(to_json(document)))

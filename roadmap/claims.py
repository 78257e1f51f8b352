"""What the scaling strategy claims, and the bounds within which a measurement makes a claim true: `claims.toml`.

Nothing here measures; whoever does is named by `Claim.experiment`.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from roadmap.phases import Text, load
from roadmap.reader import RoadmapError, Rule, read_table, read_toml

CLAIMS_FILE = Path(__file__).with_name("claims.toml")

Name = Annotated[str, Rule(re.compile(r"[a-z][a-z0-9_-]*").fullmatch, "must be lower-case letters, digits, - and _")]
Bound = Annotated[float, Rule(math.isfinite, "must be finite")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a figure must be for the claim to be true; a bound of None is open."""

    metric: Text
    unit: Literal["ms", "times", "%"]
    at_least: Bound | None
    at_most: Bound | None
    source: Literal["strategy", "ours"]
    """Whose figure the bounds are."""

    @property
    def wording(self) -> str:
        """Such as "5 to 10 times" or "at most 30 ms"."""
        if self.at_least is None:
            return f"at most {self.at_most:g} {self.unit}"
        if self.at_most is None:
            return f"at least {self.at_least:g} {self.unit}"
        return f"{self.at_least:g} to {self.at_most:g} {self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    id: Name
    phase: str
    """The phase that brings what the claim is about."""
    statement: Text
    reading: Text
    """How it is understood, where the strategy leaves something open."""
    subjects: tuple[Text, ...] | None
    """What the claim is about, where it is about several things; each is measured."""
    experiment: Name
    expectations: tuple[Expectation, ...]
    """All of them must hold."""

    def expectation(self, metric: str) -> Expectation:
        """KeyError for a metric that the claim has no bounds for."""
        return {expectation.metric: expectation for expectation in self.expectations}[metric]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    claims: tuple[Claim, ...]

    def of(self, phase: str) -> tuple[Claim, ...]:
        return tuple(claim for claim in self.claims if claim.phase == phase)

    @property
    def phases(self) -> tuple[str, ...]:
        """Those that have a claim, each once."""
        return tuple(dict.fromkeys(claim.phase for claim in self.claims))


def load_claims(path: Path | None = None) -> Claims:
    """The claims in `path`, by default the file beside this module. Raises RoadmapError and nothing else."""
    try:
        text = (path or CLAIMS_FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RoadmapError("", f"cannot be read: {error}") from error
    return parse_claims(text, load().names)


def parse_claims(text: str, phases: tuple[str, ...]) -> Claims:
    """The claims in a TOML text on a roadmap with these phases. Raises RoadmapError for the first fault in it."""
    claims = read_table(Claims, read_toml(text), "")
    for key, reason in _faults(claims, phases):
        raise RoadmapError(key, reason)
    return claims


def _faults(claims: Claims, phases: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Key and reason of everything that only shows between keys."""
    ids = Counter(claim.id for claim in claims.claims)
    for index, claim in enumerate(claims.claims):
        at = f"claims.{index}"
        if ids[claim.id] > 1:
            yield f"{at}.id", f"must be given once, is {claim.id!r} again"
        if claim.phase not in phases:
            yield f"{at}.phase", f"must be one of {', '.join(phases)}, is {claim.phase!r}"
        if not claim.expectations:
            yield f"{at}.expectations", "must not be empty: a claim without a bound cannot be false"
        if len({expectation.metric for expectation in claim.expectations}) < len(claim.expectations):
            yield f"{at}.expectations", "must each have a metric of its own"
        for number, expectation in enumerate(claim.expectations):
            least, most = expectation.at_least, expectation.at_most
            if least is None and most is None:
                yield f"{at}.expectations.{number}", "must have at_least, at_most or both"
            if least is not None and most is not None and least > most:
                yield f"{at}.expectations.{number}.at_most", f"must not be below at_least, is {most:g}"

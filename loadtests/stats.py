"""Medians, spreads and paired ratios of measured rounds.

Two servers that share a machine are compared by the ratio within one round, because what disturbs a round disturbs
both of its halves; over rounds the median and a 95 % bootstrap interval are given. No figure is dropped or adjusted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import median

RESAMPLES = 10_000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest of one figure over the rounds."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Interval:
    """A median with its bootstrap confidence interval."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """ValueError without a value: no figure is better than a zero."""
    if not values:
        raise ValueError("no rounds to summarise")
    return Spread(median(values), min(values), max(values))


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` (0..1) of the sorted values lie, linear between neighbours."""
    if not ordered:
        raise ValueError("no values")
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def paired_ratio(subject: Sequence[float], peer: Sequence[float], *, seed: int, resamples: int = RESAMPLES) -> Interval:
    """Median of subject[i] / peer[i] with its 95 % percentile-bootstrap interval over the pairs.

    The same values and seed give the same interval. ValueError when the lengths differ, when there is no pair, or
    when a figure is not positive (a round that measured nothing has no ratio).
    """
    if len(subject) != len(peer):
        raise ValueError(f"{len(subject)} rounds cannot be paired with {len(peer)}")
    if not subject:
        raise ValueError("no rounds to pair")
    if min(*subject, *peer) <= 0:
        raise ValueError("a round measured nothing")
    ratios = [ours / theirs for ours, theirs in zip(subject, peer, strict=True)]
    return median_interval(ratios, seed=seed, resamples=resamples)


def median_interval(values: Sequence[float], *, seed: int, resamples: int = RESAMPLES) -> Interval:
    """Median with its 95 % percentile-bootstrap interval over the values. ValueError without a value."""
    if not values:
        raise ValueError("no rounds to summarise")
    # A seeded generator makes the interval reproducible; nothing here is a secret.
    random = Random(seed)  # noqa: S311
    medians = sorted(median(random.choices(values, k=len(values))) for _ in range(resamples))
    tail = (1 - CONFIDENCE) / 2
    return Interval(median(values), quantile(medians, tail), quantile(medians, 1 - tail))


def abba_order(names: Sequence[str], rounds: int) -> list[tuple[str, ...]]:
    """The order of servers in each round: forth, back, forth, ... so that a drift favours none of them."""
    forth = tuple(names)
    return [forth if round_ % 2 == 0 else forth[::-1] for round_ in range(rounds)]

"""Medians, spreads and paired ratios of measured rounds.

Two servers that share a machine are compared by the ratio within one round, because what disturbs a round disturbs
both of its halves; over rounds the median and a 95 % bootstrap interval are given. No figure is dropped or adjusted.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from random import Random
from statistics import median

RESAMPLES = 10_000
CONFIDENCE = 0.95
Z = 1.959964  # of the normal distribution, for that confidence


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


def block_quantile(
    samples: Sequence[tuple[float, float]], share: float, *, block_s: float, seed: int, resamples: int = 2_000
) -> Interval:
    """The quantile of (moment in s, value) samples with its 95 % bootstrap interval over blocks of time.

    Neighbouring answers are alike: a pause hits many at once. Blocks are drawn as they are, so that the interval knows;
    one of single answers would be too narrow. `median` is the quantile of all samples. ValueError below two blocks.
    """
    if not samples:
        raise ValueError("no samples")
    start = min(moment for moment, _ in samples)
    placed = sorted((value, int((moment - start) / block_s)) for moment, value in samples)
    blocks = sorted({block for _, block in placed})
    if len(blocks) < 2:  # noqa: PLR2004 (one block has no spread)
        raise ValueError(f"the samples lie within one block of {block_s:g} s")
    sizes = Counter(block for _, block in placed)
    random = Random(seed)  # noqa: S311 (reproducible, no secret)
    found = []
    for _ in range(resamples):
        drawn = Counter(random.choices(blocks, k=len(blocks)))
        above = (1 - share) * sum(sizes[block] * times for block, times in drawn.items())
        # From the greatest down: a high quantile is met after a few values.
        for value, block in reversed(placed):
            above -= drawn[block]
            if above < 0:
                found.append(value)
                break
        else:
            found.append(placed[0][0])
    found.sort()
    tail = (1 - CONFIDENCE) / 2
    middle = quantile([value for value, _ in placed], share)
    return Interval(middle, quantile(found, tail), quantile(found, 1 - tail))


def share_interval(part: int, whole: int) -> Interval:
    """A share of counts with its 95 % Wilson interval, which is honest for no error in n too. ValueError for none."""
    if whole <= 0:
        raise ValueError("nothing was counted")
    share = part / whole
    spread_ = Z * Z / whole
    centre = (share + spread_ / 2) / (1 + spread_)
    half = Z / (1 + spread_) * sqrt(share * (1 - share) / whole + spread_ / (4 * whole))
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


def abba_order(names: Sequence[str], rounds: int) -> list[tuple[str, ...]]:
    """The order of servers in each round: forth, back, forth, ... so that a drift favours none of them."""
    forth = tuple(names)
    return [forth if round_ % 2 == 0 else forth[::-1] for round_ in range(rounds)]

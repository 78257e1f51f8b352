import pytest

from loadtests.stats import abba_order, median_interval, paired_ratio, quantile, spread


def test_a_pairs_ratio_ignores_what_disturbs_both() -> None:
    calm, disturbed = [300.0, 310.0, 290.0], [30.0, 15.5, 2.9]
    ratio = paired_ratio([3 * rate for rate in disturbed], disturbed, seed=1)
    assert ratio == paired_ratio([3 * rate for rate in calm], calm, seed=1)
    assert (ratio.median, ratio.low, ratio.high) == pytest.approx((3, 3, 3))


def test_the_interval_holds_the_median_and_depends_on_the_seed_alone() -> None:
    ours, theirs = [9.0, 11, 10, 14, 8, 10], [5.0, 5, 4, 5, 4, 6]
    first = paired_ratio(ours, theirs, seed=7)
    assert first == paired_ratio(ours, theirs, seed=7)
    assert first.low < first.median < first.high
    assert min(o / t for o, t in zip(ours, theirs, strict=True)) <= first.low
    other = paired_ratio(ours, theirs, seed=8, resamples=50)
    assert other.median == first.median
    assert (other.low, other.high) != (first.low, first.high)


def test_an_interval_of_equal_servers_holds_one() -> None:
    """Negative control: the same noisy server against itself is no difference."""
    rates = [100.0, 130, 80, 95, 120, 110, 70, 105, 90, 125]
    ratio = paired_ratio(rates, rates[::-1], seed=1)
    assert ratio.low < 1 < ratio.high


@pytest.mark.parametrize(
    ("ours", "theirs", "reason"),
    [
        ([], [], "no rounds"),
        ([1.0], [1.0, 2.0], "cannot be paired"),
        ([1.0, 0.0], [1.0, 1.0], "measured nothing"),
        ([1.0, 1.0], [0.0, 1.0], "measured nothing"),
    ],
)
def test_rounds_that_cannot_be_compared_are_refused(ours: list[float], theirs: list[float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        paired_ratio(ours, theirs, seed=1)


def test_spread_is_the_median_and_both_ends() -> None:
    summary = spread([3.0, 1.0, 2.0, 10.0])
    assert (summary.median, summary.low, summary.high) == (2.5, 1.0, 10.0)
    with pytest.raises(ValueError, match="no rounds"):
        spread([])


def test_quantiles_lie_between_neighbours() -> None:
    assert quantile([1.0], 0.99) == 1.0
    assert quantile([0.0, 10.0], 0.25) == 2.5
    assert quantile([0.0, 1.0, 2.0], 1.0) == 2.0
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


def test_order_turns_round_so_that_a_drift_favours_nobody() -> None:
    assert abba_order(["a", "b"], 4) == [("a", "b"), ("b", "a"), ("a", "b"), ("b", "a")]
    assert abba_order(["a", "b", "c"], 2) == [("a", "b", "c"), ("c", "b", "a")]


def test_a_median_alone_has_the_same_kind_of_interval() -> None:
    rates = [4.0, 5, 6, 5, 7, 3]
    assert median_interval(rates, seed=2) == paired_ratio(rates, [1.0] * len(rates), seed=2)
    assert median_interval([-1.0], seed=1).median == -1
    with pytest.raises(ValueError, match="no rounds"):
        median_interval([], seed=1)

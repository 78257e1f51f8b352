"""The tier of the process: what it may hold, and what goes first."""

import itertools

import pytest
from prometheus_client import REGISTRY

from service.kit.cache.tier import Answer, Tier

_LIMIT = 100_000


def answer(size: int = 1000, expires_at: float = 10.0) -> Answer:
    return Answer("page", b'"tag"', (), b"x" * size, expires_at, expires_at)


def measured(tier: Tier) -> float:
    """What the gauge says; the tier's own sum must agree."""
    size = REGISTRY.get_sample_value("tasks_cache_bytes")
    assert size is not None
    assert size == tier._size_bytes
    return size


def evicted() -> float:
    return REGISTRY.get_sample_value("tasks_cache_evictions_total", {"tier": "process", "kind": "page"}) or 0.0


def test_an_answer_is_found_by_its_user_and_address_until_it_expires() -> None:
    tier = Tier(_LIMIT)
    kept = answer()
    tier.put(tier.open(1, b"g"), b"/tasks", kept)
    assert tier.find(1, b"/tasks", 9.9) is kept
    assert tier.find(1, b"/tasks", 10.0) is None
    assert tier.find(1, b"/tasks?page=2", 0) is None
    assert tier.find(2, b"/tasks", 0) is None


def test_the_least_recently_asked_user_goes_first_and_is_counted() -> None:
    tier = Tier(_LIMIT)
    before = evicted()
    for user_id in range(30):
        tier.put(tier.open(user_id, b"g"), b"/tasks", answer())
    assert tier.find(0, b"/tasks", 0) is not None  # 1 is now the oldest
    for user_id in itertools.count(30):
        tier.put(tier.open(user_id, b"g"), b"/tasks", answer())
        if evicted() > before:
            break
    assert tier.find(1, b"/tasks", 0) is None
    assert tier.find(0, b"/tasks", 0) is not None
    assert evicted() == before + 1
    assert measured(tier) <= _LIMIT


@pytest.mark.parametrize("key_bytes", [10, 30_000], ids=["short addresses", "long addresses"])
def test_the_bound_holds_whatever_is_put(key_bytes: int) -> None:
    tier = Tier(_LIMIT)
    for number in range(500):
        tier.put(tier.open(number % 50, b"g"), b"%d".rjust(key_bytes, b"k") % number, answer(number * 10))
        held = sum(len(key) + len(kept.body) for shelf in tier._shelves.values() for key, kept in shelf.answers.items())
        assert held <= measured(tier) <= _LIMIT


def test_users_of_whom_nothing_is_kept_are_bounded_too() -> None:
    tier = Tier(_LIMIT)
    for user_id in range(10_000):
        tier.open(user_id, b"g")
    assert len(tier._shelves) < _LIMIT / 300
    assert measured(tier) <= _LIMIT


def test_one_user_cannot_drive_out_the_others() -> None:
    tier = Tier(10 * _LIMIT)
    tier.put(tier.open(1, b"g"), b"/tasks", answer())
    before = evicted()
    greedy = tier.open(2, b"g")
    for page in range(200):
        tier.put(greedy, b"/tasks?page=%d" % page, answer())
    assert len(greedy.answers) == 64
    assert evicted() == before + 136
    assert tier.find(2, b"/tasks?page=199", 0) is not None
    assert tier.find(1, b"/tasks", 0) is not None


def test_an_answer_larger_than_the_tier_is_not_kept_and_costs_nobody() -> None:
    tier = Tier(_LIMIT)
    tier.put(tier.open(1, b"g"), b"/tasks", answer())
    tier.put(tier.open(2, b"g"), b"/tasks", answer(_LIMIT))
    assert tier.find(2, b"/tasks", 0) is None
    assert tier.find(1, b"/tasks", 0) is not None


def test_a_new_answer_replaces_the_old_one_in_the_sum() -> None:
    tier = Tier(_LIMIT)
    shelf = tier.open(1, b"g")
    tier.put(shelf, b"/tasks", answer(100))
    small = measured(tier)
    tier.put(shelf, b"/tasks", answer(5000))
    assert measured(tier) == small + 4900
    tier.put(shelf, b"/tasks", answer(100))
    assert measured(tier) == small


def test_what_was_read_before_the_end_of_a_generation_is_not_kept() -> None:
    tier = Tier(_LIMIT)
    before = tier.open(1, b"old")
    tier.drop(1)
    tier.put(before, b"/tasks", answer())
    assert not tier.holds(before)
    after = tier.open(1, b"new")
    tier.put(before, b"/tasks", answer())
    assert after.answers == {}
    # The same name again is another shelf: who filled the first knows nothing of what happened between.
    tier.drop(1)
    tier.open(1, b"old")
    tier.put(before, b"/tasks", answer())
    assert tier.find(1, b"/tasks", 0) is None


def test_another_generation_takes_the_place_of_the_first() -> None:
    tier = Tier(_LIMIT)
    shelf = tier.open(1, b"old")
    tier.put(shelf, b"/tasks", answer())
    assert tier.open(1, b"old") is shelf
    assert tier.open(1, b"new").answers == {}
    assert tier.find(1, b"/tasks", 0) is None


def test_nothing_is_left_after_clear_and_after_drop() -> None:
    tier = Tier(_LIMIT)
    for user_id in range(5):
        tier.put(tier.open(user_id, b"g"), b"/tasks", answer())
    for user_id in range(6):
        tier.drop(user_id)
    assert measured(tier) == 0
    tier.put(tier.open(1, b"g"), b"/tasks", answer())
    tier.clear()
    assert measured(tier) == 0
    assert tier.find(1, b"/tasks", 0) is None

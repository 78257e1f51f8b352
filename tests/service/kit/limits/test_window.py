"""No window of its length holds more than was promised, wherever it begins and however the requests come."""

import random
from collections import deque
from unittest.mock import AsyncMock, patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from service.kit.limits.address import Addresses
from service.kit.limits.limiter import Limiter, Policies, TooManyRequests
from service.kit.limits.policy import Policy, Quota, QuotaSetting
from service.settings import Settings


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def limiter(quota: Quota, clock: Clock, allowance: int = 0) -> Limiter:
    policy = Policy("read", quota, allowance=allowance)
    policies = Policies(
        credentials=policy,
        read=policy,
        write=policy,
        anonymous=policy,
        credential_paths=frozenset(),
        exempt_paths=frozenset({"/health/live"}),
    )
    return Limiter(policies, Addresses((), 1), None, clock)


async def allowed(limiter: Limiter, path: str = "/api/v1/tasks") -> bool:
    try:
        await limiter.take({"path": path, "method": "GET", "client": ("192.0.2.1", 1)}, 7)
    except TooManyRequests:
        return False
    return True


@settings(max_examples=40, derandomize=True, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.sampled_from([1, 3, 100, 500]), window=st.sampled_from([1, 60, 900]))
async def test_no_window_holds_more_than_the_quota(seed: int, count: int, window: int) -> None:
    most = await most_in_a_window(seed, Quota(count, window), 0)
    assert most <= count


@settings(max_examples=40, derandomize=True, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.sampled_from([60, 300, 500]), window=st.sampled_from([1, 60, 900]))
async def test_what_is_let_through_unasked_is_at_most_a_tenth_for_all_processes(
    seed: int, count: int, window: int
) -> None:
    processes = 3
    quota = Quota(count, window)
    most = await most_in_a_window(seed, quota, quota.allowance(processes))
    # One of them is here: its share of the tenth is what it may be above.
    assert most <= count * (1 + 0.1 / processes)


def test_a_small_quota_has_no_allowance() -> None:
    assert Quota(59, 60).allowance(3) == 0
    assert Quota(1200, 60).allowance(3) == 20
    assert Quota(1200, 60).allowance(1000) == 0


async def most_in_a_window(seed: int, quota: Quota, allowance: int) -> int:
    clock, count, window = Clock(), quota.count, quota.window_s
    one = limiter(quota, clock, allowance)
    generator = random.Random(seed)
    most = 0
    passed: deque[float] = deque()
    for _ in range(1500):
        # From a flood to one request in many seconds, changing all the time.
        clock.now += generator.expovariate(generator.choice([0.2, 1, 5, 50]) * count / window)
        if await allowed(one):
            passed.append(clock.now)
            while passed[0] <= clock.now - window:
                passed.popleft()
            most = max(most, len(passed))
    return most


async def test_a_person_is_never_asked_about() -> None:
    """Slower than the allowance: nobody counts them, in Valkey or here, however long they stay."""
    clock, quota = Clock(), Quota(1200, 60)
    one = limiter(quota, clock, quota.allowance(3))
    counting = AsyncMock(side_effect=AssertionError("asked"))
    with patch.object(Limiter, "_granted", counting):
        for _ in range(500):
            clock.now += 10
            lease = one.of_reader(7)
            assert lease is not None
            lease.tokens -= 1
            assert lease.left + lease.tokens >= quota.count - quota.allowance(3)


async def test_what_was_let_through_unasked_is_told_when_the_tab_is_full() -> None:
    clock, quota = Clock(), Quota(605, 900)
    one = limiter(quota, clock, 10)
    assert sum([await allowed(one) for _ in range(700)]) == 605, "the last tab is as long as what is left"
    clock.now += 1.2 * 900
    assert sum([await allowed(one) for _ in range(700)]) == 605


async def test_who_knocks_while_refused_gets_no_new_tab() -> None:
    clock, quota = Clock(), Quota(600, 900)
    one = limiter(quota, clock, 10)
    assert sum([await allowed(one) for _ in range(700)]) == 600
    passed = 0
    for _ in range(2 * 900):
        clock.now += 1
        passed += await allowed(one)
    # Two windows, of 900 s and the slots on the safe side.
    assert passed <= 2 * quota.count


async def test_the_whole_quota_can_be_used_at_once_and_again_later() -> None:
    clock = Clock()
    one = limiter(Quota(100, 900), clock)
    assert sum([await allowed(one) for _ in range(150)]) == 100
    clock.now += 900 * 1.15  # a window, and the two slots that the count is on the safe side
    assert sum([await allowed(one) for _ in range(150)]) == 100


async def test_health_is_never_limited() -> None:
    one = limiter(Quota(1, 900), Clock())
    assert all([await allowed(one, "/health/live") for _ in range(10)])


def test_a_quota_is_written_as_count_and_seconds() -> None:
    adapter: TypeAdapter[Quota] = TypeAdapter(QuotaSetting)
    assert adapter.validate_python("100/900") == Quota(100, 900)
    for wrong in ("100", "0/60", "100/0", "-1/60", "a/b", "100/900/1", ""):
        with pytest.raises(ValidationError, match="COUNT/SECONDS"):
            adapter.validate_python(wrong)


def test_the_environment_sets_a_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKS_DATABASE_URL", "postgresql://tasks@127.0.0.1/tasks")
    monkeypatch.setenv("TASKS_LIMITS_READ", "7/30")
    assert Settings().limits.read == Quota(7, 30)

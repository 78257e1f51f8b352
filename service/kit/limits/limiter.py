"""The limit of each request: from a tab, or from a lease.

Valkey counts for all processes. Where a policy has an allowance, a process lets a subject run up a tab of so much
before it tells Valkey, and asks what is left: people never come as far in a window, and cost nobody a question. Where
it has none, because the quota is small or must hold exactly, a small batch is leased ahead and spent within a slot.
Without Valkey a process counts for itself; a policy that is closed refuses instead, where Valkey is configured: who
guesses passwords must not get a fresh quota from each process by waiting for an outage.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prometheus_client import Counter
from starlette.types import Scope

from service.kit.limits.address import Addresses
from service.kit.limits.policy import Policy
from service.kit.limits.window import Grant, LocalWindows, lease_from
from service.kit.problems import Problem, Unavailable
from service.kit.valkey import Valkey, ValkeyGoneError

LIMITED = Counter("tasks_limited_requests", "Requests refused by a limit.", ("policy",))

_MOST_LEASES: Final = 50_000
# Who is refused is not counted again for this long: a flood must not become a flood on Valkey.
_REFUSED_S: Final = 1.0


class TooManyRequests(Problem):
    status, code, message = 429, "too_many_requests", "Too many requests; please wait a moment"
    type_uri = "https://iana.org/assignments/http-problem-types#quota-exceeded"

    def __init__(self, policy: Policy, retry_in_s: float) -> None:
        seconds = max(1, math.ceil(retry_in_s))
        super().__init__(
            headers={
                "Retry-After": str(seconds),
                "RateLimit-Policy": policy.header.decode(),
                "RateLimit": f'"{policy.name}";r=0;t={seconds}',
            }
        )
        self.extra = {"violated-policies": [policy.name]}


class LimitsUnavailable(Unavailable):
    code, message = "limits_unavailable", "Logging in is not possible for a moment; please try again"


@dataclass(slots=True)
class Lease:
    """What this process may still let through, and until when. A tab holds ``given`` in all, so ``given - tokens`` is
    what nobody has been told of; from ``forgotten_at`` on the subject is as good as new.
    """

    policy: Policy
    tokens: int
    left: int
    ends_at: float
    free_at: float
    given: int
    forgotten_at: float

    @property
    def refuses(self) -> bool:
        """Whether nothing is left, and nobody has to be told or asked before that may be said."""
        return self.tokens <= 0 and self.left <= 0 and self.given <= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """``credentials`` holds on the named paths, by client address; the others by user, or without one by address."""

    credentials: Policy
    read: Policy
    write: Policy
    anonymous: Policy
    credential_paths: frozenset[str]
    exempt_paths: frozenset[str]

    def of(self, scope: Scope, user_id: int | None) -> Policy | None:
        path, method = scope["path"], scope["method"]
        if method == "OPTIONS" or path in self.exempt_paths:
            return None
        if path.rstrip("/") in self.credential_paths and method == "POST":
            return self.credentials
        if user_id is None:
            return self.anonymous
        return self.read if method in ("GET", "HEAD") else self.write


class Limiter:
    def __init__(
        self,
        policies: Policies,
        addresses: Addresses,
        valkey: Valkey | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policies = policies
        self._addresses = addresses
        self._valkey = valkey
        self._clock = clock
        self._local = LocalWindows(clock)
        # A user by number, a client without one by address.
        self._leases: OrderedDict[tuple[str, int | str], Lease] = OrderedDict()

    def of_reader(self, user_id: int) -> Lease | None:
        """What a user's reads are taken from, one token each; None when somebody has to be asked."""
        policy = self._policies.read
        name = (policy.name, user_id)
        lease = self._leases.get(name)
        now = self._clock()
        if lease is None or now >= lease.forgotten_at:
            return self._opened(policy, name, now)
        return lease if now < lease.ends_at and (lease.tokens > 0 or lease.refuses) else None

    def refusal(self, lease: Lease, target: bytes) -> TooManyRequests | None:
        """To a user who has been told to wait and knocks again; None for what is not limited."""
        if target.partition(b"?")[0].decode("latin-1") in self._policies.exempt_paths:
            return None
        LIMITED.labels(lease.policy.name).inc()
        return TooManyRequests(lease.policy, lease.free_at - self._clock())

    async def take(self, scope: Scope, user_id: int | None) -> Lease | None:
        """One request's worth. None where no policy holds. Raises :class:`TooManyRequests` or LimitsUnavailable."""
        policy = self._policies.of(scope, user_id)
        if policy is None:
            return None
        by_user = user_id is not None and policy is not self._policies.credentials
        name = (policy.name, user_id if by_user and user_id is not None else self._addresses.of(scope))
        now = self._clock()
        lease = self._leases.get(name)
        if lease is None or now >= lease.forgotten_at:
            lease = self._opened(policy, name, now)
        if lease is None or now >= lease.ends_at:
            lease = await self._renewed(policy, name)
        if lease.tokens <= 0 and not lease.refuses:
            lease = await self._renewed(policy, name)
        if lease.tokens <= 0:
            LIMITED.labels(policy.name).inc()
            raise TooManyRequests(policy, lease.free_at - self._clock())
        lease.tokens -= 1
        return lease

    def _opened(self, policy: Policy, name: tuple[str, int | str], now: float) -> Lease | None:
        """A tab for who has not been here for a window; None where there are none."""
        allowance, ends_at = policy.allowance, now + policy.quota.window_s
        if not allowance:
            return None
        left = policy.quota.count - allowance
        return self._keep(name, Lease(policy, allowance, left, ends_at, ends_at, allowance, ends_at))

    async def _renewed(self, policy: Policy, name: tuple[str, int | str]) -> Lease:
        subject = f"u{name[1]}" if isinstance(name[1], int) else name[1]
        if not policy.allowance:
            return self._leased(policy, name, await self._granted(policy, subject, 0, policy.quota.batch))
        known = self._leases.get(name)
        spent = 0
        if known is not None:  # told once, by whoever asks first
            spent = known.given - known.tokens
            known.given = known.tokens
        return self._tab(policy, name, await self._granted(policy, subject, spent, 0))

    def _leased(self, policy: Policy, name: tuple[str, int | str], grant: Grant) -> Lease:
        now = self._clock()
        life_s = policy.quota.slot_s if grant.granted else min(_REFUSED_S, grant.free_in_s)
        # Another request of the same subject may have renewed it meanwhile: what it leased is counted, and ours too.
        known = self._leases.get(name)
        kept = known.tokens if known is not None and now < known.ends_at else 0
        ends_at = min(known.ends_at, now + life_s) if kept and known is not None else now + life_s
        lease = Lease(policy, kept + grant.granted, grant.left, ends_at, now + grant.free_in_s, 0, math.inf)
        return self._keep(name, lease)

    def _tab(self, policy: Policy, name: tuple[str, int | str], grant: Grant) -> Lease:
        now = self._clock()
        known = self._leases.get(name)
        # What was let through while this was asked, on a tab that another request got meanwhile.
        spent = known.given - known.tokens if known is not None else 0
        tokens = max(0, min(policy.allowance, grant.left) - spent)
        forgotten_at = now + policy.quota.window_s
        ends_at = forgotten_at if tokens else now + min(_REFUSED_S, grant.free_in_s)
        left = max(0, grant.left - tokens - spent)
        return self._keep(
            name, Lease(policy, tokens, left, ends_at, now + grant.free_in_s, tokens + spent, forgotten_at)
        )

    def _keep(self, name: tuple[str, int | str], lease: Lease) -> Lease:
        self._leases.pop(name, None)
        self._leases[name] = lease
        if len(self._leases) > _MOST_LEASES:
            self._leases.popitem(last=False)
        return lease

    async def _granted(self, policy: Policy, subject: str, spent: int, wanted: int) -> Grant:
        if self._valkey is None:
            return self._local.lease(policy, subject, spent, wanted)
        try:
            return await lease_from(self._valkey, policy, subject, spent, wanted)
        except ValkeyGoneError as error:
            if policy.closed:
                raise LimitsUnavailable from error
            return self._local.lease(policy, subject, spent, wanted)


def headers_of(lease: Lease) -> tuple[tuple[bytes, bytes], ...]:
    """draft-ietf-httpapi-ratelimit-headers: the policy, and what is left of it at the least."""
    return ((b"ratelimit-policy", lease.policy.header), (b"ratelimit", lease.policy.remaining % _left(lease)))


def lines_of_lease(lease: Lease) -> bytes:
    """The same, ready to be sent."""
    return lease.policy.lines % _left(lease)


def _left(lease: Lease) -> tuple[int, int]:
    return lease.left + lease.tokens, max(1, math.ceil(lease.free_at - time.monotonic()))

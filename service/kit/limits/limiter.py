"""The limit of each request: from what was leased before, or from a new lease.

Valkey counts for all processes. Each takes a small batch ahead and spends it within a slot, so most requests ask
nobody. Without Valkey a process counts for itself; a policy that is closed refuses instead, where Valkey is configured:
who guesses passwords must not get a fresh quota from each process by waiting for an outage.
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
    """What this process may still let through, and until when."""

    policy: Policy
    tokens: int
    left: int
    ends_at: float
    free_at: float


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
        self._leases: OrderedDict[tuple[str, str], Lease] = OrderedDict()

    async def take(self, scope: Scope, user_id: int | None) -> Lease | None:
        """One request's worth. None where no policy holds. Raises :class:`TooManyRequests` or LimitsUnavailable."""
        policy = self._policies.of(scope, user_id)
        if policy is None:
            return None
        by_user = user_id is not None and policy is not self._policies.credentials
        subject = f"u{user_id}" if by_user else self._addresses.of(scope)
        name = (policy.name, subject)
        now = self._clock()
        lease = self._leases.get(name)
        if lease is None or now >= lease.ends_at:
            lease = await self._renewed(policy, name)
        if lease.tokens <= 0 and lease.left > 0:
            lease = await self._renewed(policy, name)
        if lease.tokens <= 0:
            LIMITED.labels(policy.name).inc()
            raise TooManyRequests(policy, lease.free_at - self._clock())
        lease.tokens -= 1
        return lease

    async def _renewed(self, policy: Policy, name: tuple[str, str]) -> Lease:
        grant = await self._granted(policy, name[1])
        now = self._clock()
        life_s = policy.quota.slot_s if grant.granted else min(_REFUSED_S, grant.free_in_s)
        known = self._leases.pop(name, None)
        # Another request of the same subject may have renewed it meanwhile: what it leased is counted, and ours too.
        kept = known.tokens if known is not None and now < known.ends_at else 0
        ends_at = min(known.ends_at, now + life_s) if kept and known is not None else now + life_s
        lease = Lease(policy, kept + grant.granted, grant.left, ends_at, now + grant.free_in_s)
        self._leases[name] = lease
        if len(self._leases) > _MOST_LEASES:
            self._leases.popitem(last=False)
        return lease

    async def _granted(self, policy: Policy, subject: str) -> Grant:
        if self._valkey is None:
            return self._local.lease(policy, subject)
        try:
            return await lease_from(self._valkey, policy, subject)
        except ValkeyGoneError as error:
            if policy.closed:
                raise LimitsUnavailable from error
            return self._local.lease(policy, subject)


def headers_of(lease: Lease) -> tuple[tuple[bytes, bytes], ...]:
    """draft-ietf-httpapi-ratelimit-headers: the policy, and what is left of it at the least."""
    left = lease.left + lease.tokens
    seconds = max(1, math.ceil(lease.free_at - time.monotonic()))
    return (
        (b"ratelimit-policy", lease.policy.header),
        (b"ratelimit", b'"%s";r=%d;t=%d' % (lease.policy.name.encode(), left, seconds)),
    )

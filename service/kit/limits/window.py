"""Counting in a window that moves: once in Valkey for all processes, once in the process for when it is alone.

Both count by slots. A request may be leased in one moment and spent up to a slot later, so the count covers the window
and one slot more: in no window of that length is more leased than the quota, however many processes lease. What they
let through before they asked is told with the first question, and counted from then on.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from service.kit.limits.policy import SLOTS, Policy
from service.kit.valkey import Valkey, ValkeyGoneError

_MOST_SUBJECTS: Final = 50_000

# KEYS: the subject's slots. ARGV: quota, slot in ms, slots to count, wanted, spent before this was asked. Returns
# granted, left, ms until there is more.
SCRIPT: Final = """
local now = redis.call('TIME')
local slot_ms = tonumber(ARGV[2])
local slot = math.floor((now[1] * 1000 + math.floor(now[2] / 1000)) / slot_ms)
local oldest, used, first = slot - tonumber(ARGV[3]), 0, nil
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
    local at = tonumber(fields[i])
    if at < oldest then
        redis.call('HDEL', KEYS[1], fields[i])
    else
        used = used + tonumber(fields[i + 1])
        if first == nil or at < first then first = at end
    end
end
used = used + tonumber(ARGV[5])
local granted = math.max(0, math.min(tonumber(ARGV[4]), tonumber(ARGV[1]) - used))
if granted + tonumber(ARGV[5]) > 0 then
    redis.call('HINCRBY', KEYS[1], slot, granted + tonumber(ARGV[5]))
    redis.call('PEXPIRE', KEYS[1], slot_ms * (tonumber(ARGV[3]) + 1))
end
local free_slot = (first or slot) + tonumber(ARGV[3]) + 1
return {granted, tonumber(ARGV[1]) - used - granted, free_slot * slot_ms - (now[1] * 1000 + math.floor(now[2] / 1000))}
"""

_DIGEST: Final = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Grant:
    """``left`` of the quota beyond what was granted; ``free_in_s`` until the oldest that counts is forgotten."""

    granted: int
    left: int
    free_in_s: float


async def lease_from(valkey: Valkey, policy: Policy, subject: str, spent: int) -> Grant:
    """Raises ValkeyGoneError."""
    slot_ms = max(1, round(policy.quota.slot_s * 1000))
    key = f"tasks:r:{policy.name}:{subject}"
    asked = (1, key, policy.quota.count, slot_ms, SLOTS + 1, policy.quota.batch, spent)
    try:
        [[granted, left, free_ms]] = await valkey.call(("EVALSHA", _DIGEST, *asked))
    except ValkeyGoneError as error:
        if error.args != ("NOSCRIPT",):
            raise
        [[granted, left, free_ms]] = await valkey.call(("EVAL", SCRIPT, *asked))
    return Grant(granted, max(0, left), max(0.001, free_ms / 1000))


class LocalWindows:
    """The same count for one process; the least recently seen subjects are forgotten first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._subjects: OrderedDict[tuple[str, str], dict[int, int]] = OrderedDict()

    def lease(self, policy: Policy, subject: str, spent: int) -> Grant:
        slot_s = policy.quota.slot_s
        now = self._clock()
        slot = int(now / slot_s)
        name = (policy.name, subject)
        slots = self._subjects.setdefault(name, {})
        self._subjects.move_to_end(name)
        if len(self._subjects) > _MOST_SUBJECTS:
            self._subjects.popitem(last=False)
        for old in [at for at in slots if at < slot - SLOTS - 1]:
            del slots[old]
        used = sum(slots.values()) + spent
        granted = max(0, min(policy.quota.batch, policy.quota.count - used))
        if granted + spent:
            slots[slot] = slots.get(slot, 0) + granted + spent
        free_at = (min(slots, default=slot) + SLOTS + 2) * slot_s
        return Grant(granted, max(0, policy.quota.count - used - granted), max(0.001, free_at - now))

"""Who may ask how often."""

import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

_FORM: Final = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,5})", re.ASCII)
# The window moves in steps of this share of it. Fewer steps are cheaper and hold back more of the quota.
SLOTS: Final = 20
# What a process takes ahead, as a share of the quota: what three processes hold unused at once is 6 % of it.
_BATCH_SHARE: Final = 50
# Exactness is given up by this share of the quota, so that people, who are slow, are never asked about.
_UNASKED_SHARE: Final = 10


@dataclass(frozen=True, slots=True)
class Quota:
    """``count`` requests in any ``window_s`` seconds; written ``count/window_s`` in a setting."""

    count: int
    window_s: int

    @property
    def slot_s(self) -> float:
        return self.window_s / SLOTS

    @property
    def batch(self) -> int:
        """How many are leased at once: one request in so many asks Valkey."""
        return max(1, self.count // _BATCH_SHARE)

    def allowance(self, processes: int) -> int:
        """What each of so many processes lets through before it tells. One tab may be forgotten in a window and another
        not yet told at its end, so two of each process, a tenth of the quota in all, is the most that passes above it.
        """
        return self.count // (2 * _UNASKED_SHARE * processes)


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _FORM.fullmatch(value)
    if match is None:
        raise ValueError("must be COUNT/SECONDS, such as 100/900")
    return Quota(int(match[1]), int(match[2]))


QuotaSetting = Annotated[Quota, NoDecode, BeforeValidator(_parsed)]


@dataclass(frozen=True, slots=True)
class Policy:
    """``closed`` says what happens while nobody can count for all processes: refuse, or count within the process.

    ``allowance`` is what a process lets a subject do before it tells; without one it leases ahead.
    """

    name: str
    quota: Quota
    closed: bool = False
    allowance: int = 0
    # As draft-ietf-httpapi-ratelimit-headers has them; all but the first lack what is left, and until when.
    header: bytes = field(init=False)
    remaining: bytes = field(init=False)
    lines: bytes = field(init=False)

    def __post_init__(self) -> None:
        header = f'"{self.name}";q={self.quota.count};w={self.quota.window_s}'.encode()
        object.__setattr__(self, "header", header)
        object.__setattr__(self, "remaining", f'"{self.name}"'.encode() + b";r=%d;t=%d")
        lines = b"ratelimit-policy: %b\r\nratelimit: %b\r\n" % (header, self.remaining)
        object.__setattr__(self, "lines", lines)

"""The tier inside the process: ready answers by user, bounded in bytes, dropped a user at a time."""

import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from service.kit.cache.instruments import BYTES, EVICTED

# What an entry costs beside its body: its headers, its key, the objects themselves (measured with tracemalloc: 1,520).
_OVERHEAD_BYTES: Final = 1600
# What a user costs who has no entry yet (measured likewise: 310): many who only ask in vain must not go uncounted.
_SHELF_BYTES: Final = 400
# One user's inventive queries must not drive out everybody else's answers.
_MOST_OF_USER: Final = 64
# What would end a header line, or the head.
_BREAK: Final = re.compile(rb"[\x00\r\n]")


@dataclass(frozen=True, slots=True)
class Answer:
    """A 200 as it was sent: its headers without those that belong to one request. ValueError for a broken header.

    ``lines`` and ``content`` are the headers once more, ready to be sent; a 304 has ``lines`` alone.
    """

    kind: str
    etag: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    stale_at: float  # both by time.monotonic; from here on it is served only while a newer one is being loaded
    expires_at: float
    lines: bytes = field(init=False)
    content: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lines", lines_of(header for header in self.headers if not is_content(header)))
        object.__setattr__(self, "content", lines_of(header for header in self.headers if is_content(header)))


@dataclass(slots=True, eq=False)
class Shelf:
    """A user's answers, all of one generation: when the generation ends, the shelf goes as a whole.

    Who fills it keeps hold of it, so an answer that was read before a write lands on a shelf that is no longer there.
    """

    user_id: int
    generation: bytes
    answers: dict[bytes, Answer] = field(default_factory=dict)
    size_bytes: int = 0


class Tier:
    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._size_bytes = 0
        self._shelves: OrderedDict[int, Shelf] = OrderedDict()

    def shelf(self, user_id: int) -> Shelf | None:
        return self._shelves.get(user_id)

    def find(self, user_id: int, key: bytes, now: float) -> Answer | None:
        shelf = self._shelves.get(user_id)
        if shelf is None:
            return None
        answer = shelf.answers.get(key)
        if answer is None or answer.expires_at <= now:
            return None
        self._shelves.move_to_end(user_id)
        return answer

    def open(self, user_id: int, generation: bytes) -> Shelf:
        """The user's shelf of this generation; one of another generation is dropped for it."""
        shelf = self._shelves.get(user_id)
        if shelf is None or shelf.generation != generation:
            self.drop(user_id)
            shelf = self._shelves[user_id] = Shelf(user_id, generation)
            self._grow(shelf, _SHELF_BYTES)
            self._trim()
        return shelf

    def holds(self, shelf: Shelf) -> bool:
        return self._shelves.get(shelf.user_id) is shelf

    def put(self, shelf: Shelf, key: bytes, answer: Answer) -> None:
        if not self.holds(shelf) or _cost_bytes(key, answer) > self._limit_bytes:
            return
        old = shelf.answers.pop(key, None)
        if len(shelf.answers) >= _MOST_OF_USER:
            first = next(iter(shelf.answers))
            dropped = shelf.answers.pop(first)
            self._grow(shelf, -_cost_bytes(first, dropped))
            EVICTED.labels("process", dropped.kind).inc()
        shelf.answers[key] = answer
        self._grow(shelf, _cost_bytes(key, answer) - (_cost_bytes(key, old) if old else 0))
        self._trim()

    def drop(self, user_id: int) -> None:
        shelf = self._shelves.pop(user_id, None)
        if shelf is not None:
            self._grow(shelf, -shelf.size_bytes)

    def clear(self) -> None:
        self._shelves.clear()
        self._size_bytes = 0
        BYTES.set(0)

    def _grow(self, shelf: Shelf, by_bytes: int) -> None:
        shelf.size_bytes += by_bytes
        self._size_bytes += by_bytes
        BYTES.set(self._size_bytes)

    def _trim(self) -> None:
        while self._size_bytes > self._limit_bytes:
            _, oldest = self._shelves.popitem(last=False)
            self._grow(oldest, -oldest.size_bytes)
            for kept in oldest.answers.values():
                EVICTED.labels("process", kept.kind).inc()


def _cost_bytes(key: bytes, answer: Answer) -> int:
    return len(key) + len(answer.body) + _OVERHEAD_BYTES


def lines_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Each with its end of line. ValueError for what would end a line too early."""
    lines = []
    for name, value in headers:
        if _BREAK.search(name) or _BREAK.search(value):
            raise ValueError(f"header {name!r} holds a line break")
        lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join(lines)


def is_content(header: tuple[bytes, bytes]) -> bool:
    """Whether it speaks of the body, which a 304 does not have."""
    return header[0].startswith(b"content-")

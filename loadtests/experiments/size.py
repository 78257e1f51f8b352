"""How much an experiment measures: the one place where a full run, a quick look and a test differ."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Size:
    """`rows` are the sizes of the task table, ascending; claims about something else than size take the last.

    `pairs` are timed pairs of queries in a cell; `rounds` are interleaved rounds of servers, each `seconds` long.
    """

    rows: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    pairs: int = 15
    rounds: int = 5
    seconds: float = 2.0
    seed: int = 1

    def up_to(self, most: int) -> "Size":
        """The sizes that do not exceed `most`, or `most` alone when all of them do."""
        return replace(self, rows=tuple(rows for rows in self.rows if rows <= most) or (most,))


FULL = Size()
QUICK = Size(rows=(10_000, 100_000), pairs=7, rounds=2, seconds=1.0)
TASKS_PER_OWNER = 100

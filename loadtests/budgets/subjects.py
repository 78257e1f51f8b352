"""What has a budget, as data: requests, and the figures of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadtests.cases import PRODUCT, UNCACHED, Peer

OF_EVERY_REQUEST = ("statements", "buffers", "head_bytes", "body_bytes")
INSTRUCTIONS = "instructions"


@dataclass(frozen=True)
class Subject:
    """A request that is measured. `kind` is one of `loadtests.mix`, or "me". A `hit` is asked of the product with its
    cache once the answer is there; anything else of the product without one.
    """

    name: str
    kind: str
    hit: bool = False

    @property
    def peer(self) -> Peer:
        return PRODUCT if self.hit else UNCACHED

    @property
    def figures(self) -> Sequence[str]:
        return (*OF_EVERY_REQUEST, INSTRUCTIONS) if self.hit else OF_EVERY_REQUEST


# In the order in which they are asked: what changes the data comes last.
SUBJECTS: Mapping[str, Subject] = {
    subject.name: subject
    for subject in (
        Subject("list", "list"),
        Subject("filter", "filter"),
        Subject("get", "get"),
        Subject("search", "search"),
        Subject("stats", "stats"),
        Subject("me", "me"),
        Subject("create", "create"),
        Subject("update", "update"),
        Subject("complete", "complete"),
        Subject("delete", "delete"),
        Subject("cached-list", "list", hit=True),
        Subject("cached-get", "get", hit=True),
        Subject("cached-me", "me", hit=True),
    )
}
FIGURES: Mapping[str, Sequence[str]] = {name: subject.figures for name, subject in SUBJECTS.items()}

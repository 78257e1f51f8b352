"""The open-loop generator in front of several servers, as a balancer would be: `loadtests.paced`, spread by a routing.

`python -m loadtests.capacity.balanced` reads one Spread as JSON on stdin and prints one report of `loadtests.driver`.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random

import uvloop

from loadtests.capacity.simulate import Routing
from loadtests.driver import DRAIN_SECONDS, Report
from loadtests.paced import OpenRun, Pace, Pick, drive
from loadtests.servers import python_module, run_command


@dataclass(frozen=True)
class Spread:
    """`pace` names the first server; `others` are ports of further ones on the same address."""

    pace: Pace
    others: Sequence[int]
    routing: Routing

    def to_json(self) -> str:
        return json.dumps({"pace": self.pace.to_json(), "others": [*self.others], "routing": self.routing})

    @classmethod
    def from_json(cls, text: str) -> "Spread":
        values = json.loads(text)
        return cls(Pace.from_json(values["pace"]), values["others"], Routing(values["routing"]))


def pick_by(routing: Routing, seed: int) -> Pick:
    """Least busy counts the requests that this generator has under way, as a balancer counts its own."""
    random = Random(seed)  # noqa: S311 (reproducible, no secret)

    def least_busy(runs: Sequence[OpenRun]) -> OpenRun:
        fewest = min(run.under_way for run in runs)
        return random.choice([run for run in runs if run.under_way == fewest])

    return random.choice if routing is Routing.RANDOM else least_busy


def load(spread: Spread) -> Report:
    """Runs it in a process of its own to its end."""
    limit_s = spread.pace.seconds + DRAIN_SECONDS + 30
    argv = python_module("loadtests.capacity.balanced")
    return Report(**json.loads(run_command(argv, given=spread.to_json(), limit_s=limit_s)))


def main() -> None:
    spread = Spread.from_json(sys.stdin.read())
    pick = pick_by(spread.routing, spread.pace.seed)
    sys.stdout.write(json.dumps(asdict(uvloop.run(drive(spread.pace, spread.others, pick)))))


if __name__ == "__main__":
    main()

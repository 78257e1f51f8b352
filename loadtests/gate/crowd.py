"""Locust's people, driven line by line: a process of its own, so that gevent stays out of everything else.

Reads one JSON object a line on stdin: first {"host", "people", "think_s", "seed"}, then {"users", "rate"} whenever the
number of people is to change, {"stop": true} at the end. Writes one a second on stdout: {"users", "sent", "oldest",
"samples"}. Samples are [moment of the start, kind, latency (ms), right]; `oldest` is the start of the oldest request
under way, or null; moments are those of the monotonic clock (s), which all processes share. After a stop it waits for
what is under way; the last line has "done".
"""

import gc
import json
import random
import sys
import time
from collections.abc import Mapping
from typing import Any

import gevent
from gevent.fileobject import FileObject
from locust.env import Environment
from locust.runners import LocalRunner

from loadtests.locustfile import Administrator, Crowd, Newcomer, Person, Planner, Reader

DRAIN_SECONDS = 35  # longer than a person waits for an answer


class Told:
    """What has come since the last line, and how many answers there were in all."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, str, float, bool]] = []
        self.finished = 0

    def sample(self, response_time: float, exception: object, context: Mapping[str, Any], **_: object) -> None:
        self.finished += 1
        began = time.monotonic() - response_time / 1000
        self.samples.append((round(began, 4), context["kind"], round(response_time, 3), exception is None))

    def line(self, runner: LocalRunner, **more: object) -> None:
        taken, self.samples = self.samples, []
        oldest = min(Person.under_way.values(), default=None)
        line = {"users": runner.user_count, "sent": Person.sent, "oldest": oldest, "samples": taken, **more}
        sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
        sys.stdout.flush()

    def tick(self, runner: LocalRunner) -> None:
        while True:
            gevent.sleep(1)
            self.line(runner)
            # Thousands of people are many objects: a full collection takes 0.2 s, and those who ask meanwhile wait.
            gc.freeze()


def main() -> None:
    commands = FileObject(sys.stdin.buffer, "rb")
    given = json.loads(commands.readline())
    random.seed(given["seed"])
    Person.chance.seed(given["seed"])
    Person.crowd, Person.think_s = Crowd(given["people"]), given["think_s"]
    environment = Environment(
        user_classes=[Reader, Planner, Newcomer, Administrator], host=given["host"], stop_timeout=DRAIN_SECONDS
    )
    told = Told()
    environment.events.request.add_listener(told.sample)
    runner = environment.create_local_runner()
    ticking = gevent.spawn(told.tick, runner)
    for line in commands:
        command = json.loads(line)
        if command.get("stop"):
            break
        runner.start(command["users"], spawn_rate=command["rate"])
    # Locust kills those that wait, and some of them have just begun to ask: nobody begins, then all are sent home.
    Person.leaving = True
    with gevent.Timeout(DRAIN_SECONDS, exception=False):
        while told.finished + Person.given_up < Person.sent:
            gevent.sleep(0.05)
    runner.stop()
    ticking.kill()
    told.line(runner, done=True, lost=Person.given_up)


if __name__ == "__main__":
    main()

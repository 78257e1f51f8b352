"""The two generators as processes that are spoken to line by line: the crowd that is the load, and the prober."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtests.gate.evidence import Sample
from loadtests.gate.machine import Cores, place
from loadtests.servers import ROOT, ServerError, python_module

DRAIN_SECONDS = 45.0  # longer than either waits for what is under way
SILENT_SECONDS = 30.0  # a generator that says nothing for so long hangs: it speaks every second


@dataclass
class Generator:
    """What one of them has said so far. `lost` are requests it knows will never be answered."""

    name: str
    process: "subprocess.Popen[str]"
    log: Path
    by_second: dict[int, list[Sample]] = field(default_factory=dict)
    answered: int = 0
    users: int = 0
    sent: int = 0
    lost: int = 0
    oldest: float | None = None
    heard: float = field(default_factory=time.monotonic)
    done: threading.Event = field(default_factory=threading.Event)

    def say(self, what: Mapping[str, object]) -> None:
        """Nothing happens when it has ended: `check` says so."""
        assert self.process.stdin is not None  # noqa: S101 (it was opened with one)
        with suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(what) + "\n")
            self.process.stdin.flush()

    def listen(self) -> None:
        assert self.process.stdout is not None  # noqa: S101 (it was opened with one)
        for line in self.process.stdout:
            said: dict[str, Any] = json.loads(line)
            self.take(said["samples"])
            self.users = said.get("users", 0)
            self.sent, self.oldest, self.heard = said["sent"], said["oldest"], time.monotonic()
            if said.get("done"):
                self.lost = said.get("lost", 0)
                self.done.set()

    def take(self, samples: Sequence[Sequence[Any]]) -> None:
        for began, kind, latency_ms, right in samples:
            second = self.by_second.get(int(began))
            if second is None:
                second = self.by_second[int(began)] = []
            second.append((began, kind, latency_ms, right))
        self.answered += len(samples)

    def check(self) -> None:
        """ServerError when it has ended before it was told to, or has fallen silent."""
        if self.process.poll() is not None and not self.done.is_set():
            raise ServerError(f"the {self.name} ended with {self.process.returncode}:\n{self.log.read_text()[-2000:]}")
        if time.monotonic() - self.heard > SILENT_SECONDS:
            raise ServerError(f"the {self.name} has said nothing for {SILENT_SECONDS:g} s; see {self.log}")

    def seen(self, moment: float) -> bool:
        """Whether the end of everything that began before this moment is known."""
        return self.heard > moment + 1 and (self.oldest is None or self.oldest > moment)

    def window(self, start: float, end: float) -> list[Sample]:
        """Those that began in it. Only its seconds are looked at: this process shares the generators' core."""
        seconds = (self.by_second.get(second, ()) for second in range(int(start), int(end) + 1))
        return [sample for second in seconds for sample in list(second) if start <= sample[0] < end]

    @property
    def samples(self) -> list[Sample]:
        return [sample for second in list(self.by_second.values()) for sample in list(second)]

    @property
    def unaccounted(self) -> int:
        """Of all requests, when it is done: those whose end nobody saw."""
        return self.sent - self.answered - self.lost

    def finish(self) -> None:
        """Ends it in an orderly way. ServerError when it does not."""
        self.say({"stop": True})
        if not self.done.wait(DRAIN_SECONDS):
            raise ServerError(f"the {self.name} did not end; see {self.log}")


@contextmanager
def generator(name: str, module: str, given: Mapping[str, object], cores: Cores, folder: Path) -> Iterator[Generator]:
    """One of them on the generators' core while it is wanted."""
    log = folder / f"{name}.log"
    with log.open("w") as errors:
        process = subprocess.Popen(  # noqa: S603 (modules of this package, no shell)
            python_module(module),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    place(process.pid, cores.generators)
    it = Generator(name, process, log)
    listening = threading.Thread(target=it.listen, daemon=True)
    listening.start()
    try:
        it.say(given)
        yield it
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        listening.join(5)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()

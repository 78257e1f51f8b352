"""Child processes of a measurement: started on loopback, watched for CPU, and stopped by pid whatever happens.

Every server gets a session of its own, so that Ctrl-C reaches only the measurement, which then stops them in reverse
order of their start.
"""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom

HOST = "127.0.0.1"
ROOT = Path(__file__).parent.parent  # doors are started from here: `python -m service`, `python -m loadtests.driver`
# Above the well-known ports, below 32768 where Linux takes the ports of outgoing connections.
PORTS = range(20_000, 32_000)
START_SECONDS = 30.0
STOP_SECONDS = 10.0
LOG_TAIL_BYTES = 2_000


class ServerError(RuntimeError):
    """A server did not start or a command failed; the text holds the end of its log."""


@dataclass(frozen=True)
class Server:
    """A started child: the process itself, never a wrapper around it."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    log: Path
    ready: Callable[[], bool]

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_ready(self) -> None:
        """Returns when `ready()` says so; ServerError when the process ends first or takes too long."""
        limit = time.monotonic() + START_SECONDS
        while not self.ready():
            if self.process.poll() is not None:
                raise ServerError(f"{self.name} ended with {self.process.returncode} at its start:\n{self.log_tail()}")
            if time.monotonic() > limit:
                raise ServerError(f"{self.name} was not ready in {START_SECONDS:g} s:\n{self.log_tail()}")
            time.sleep(0.05)

    def log_tail(self) -> str:
        return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")


def free_port() -> int:
    random = SystemRandom()
    for _ in range(100):
        port = random.choice(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise ServerError("no free port between 20000 and 32000")


def run_command(
    argv: Sequence[str], environment: Mapping[str, str] | None = None, *, given: str = "", limit_s: float = 120.0
) -> str:
    """Stdout of a command that must succeed within its time. ServerError with its output when it does not."""
    try:
        done = subprocess.run(  # noqa: S603 (commands of this package, no shell)
            argv, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, input=given, timeout=limit_s
        )
    except subprocess.TimeoutExpired as error:
        raise ServerError(f"{' '.join(argv)} took more than {limit_s:g} s") from error
    if done.returncode != 0:
        raise ServerError(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stderr or done.stdout}")
    return done.stdout


@contextmanager
def launched(
    name: str,
    argv: Sequence[str],
    *,
    port: int,
    log: Path,
    ready: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """The process while it is wanted: entered at once (`wait_ready` waits), left when the process is gone."""
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 (commands of this package, no shell)
            argv,
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield Server(name, process, port, log, ready)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(port: int, path: str, status: int) -> bool:
    """Whether GET `path` is answered with this status within a second."""
    connection = http.client.HTTPConnection(HOST, port, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == status
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


# CPU, from /proc. Linux only; per thread from the scheduler, because /proc/PID/stat counts in ticks of 10 ms.


def process_tree(pid: int) -> list[int]:
    """The process and its descendants; those that end meanwhile are left out."""
    found = [pid]
    for parent in found:
        with suppress(OSError):
            for children in Path(f"/proc/{parent}/task").glob("*/children"):
                found += [int(child) for child in children.read_text().split()]
    return found


def cpu_by_process(pid: int) -> dict[int, float]:
    """Seconds of CPU that each process of the tree has used."""
    used: dict[int, float] = {}
    for process in process_tree(pid):
        with suppress(OSError):
            threads = Path(f"/proc/{process}/task").glob("*/schedstat")
            used[process] = sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9
    return used


def cpu_between(before: Mapping[int, float], after: Mapping[int, float]) -> float:
    """Seconds used between two readings; a process that has ended counts nothing, never a negative."""
    return sum(seconds - before.get(process, 0.0) for process, seconds in after.items())


def machine_busy() -> float:
    """Seconds of CPU that the whole machine has used since boot, time stolen by its host included."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def python_module(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]

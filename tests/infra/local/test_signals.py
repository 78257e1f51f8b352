import os
import signal
from collections.abc import Iterator

import pytest

from infra.local.signals import Interrupts


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield Interrupts()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_only_the_first_signal_interrupts(interrupts: Interrupts, number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
    os.kill(os.getpid(), number)
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_held_signal_is_not_lost(interrupts: Interrupts) -> None:
    interrupts.hold()
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        interrupts.release()


def test_nothing_came_while_held(interrupts: Interrupts) -> None:
    interrupts.hold()
    interrupts.release()


def test_under_nohup_a_closed_terminal_does_not_matter() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    closed = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        Interrupts()
        os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, closed)
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])

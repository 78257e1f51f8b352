"""Ctrl-C, SIGTERM and a closed terminal all mean: stop everything, once."""

import signal
from types import FrameType


class Interrupts:
    """The first signal is a KeyboardInterrupt; the rest are dropped, for by then the stop is under way, and make, uv
    and the terminal may each send one.
    """

    def __init__(self) -> None:
        self._held = False
        self._seen = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under nohup a closed terminal is not to matter.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._receive)

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        first, self._seen = not self._seen, True
        if first and not self._held:
            raise KeyboardInterrupt

    def hold(self) -> None:
        """From here a signal waits: for moments in which it would lose sight of a process."""
        self._held = True

    def release(self) -> None:
        """Raises KeyboardInterrupt if a signal came meanwhile."""
        self._held = False
        if self._seen:
            raise KeyboardInterrupt

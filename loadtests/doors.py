"""What the commands have in common: arguments that are checked before anything is measured, and where they tell."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

EXIT_USAGE = 2
EXIT_INVALID_RIG = 3

Say = Callable[[str], None]
"""Progress, a line at a time."""


def between(least: float, most: float, kind: Callable[[str], float] = int) -> Callable[[str], Any]:
    """An argparse type: a number from least to most."""

    def parse(text: str) -> float:
        value = kind(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not within {least}..{most}")
        return value

    return parse


def check_out(door: argparse.ArgumentParser, out: Path | None) -> None:
    """A usage error when the folder for the report cannot be made: that shows before the measurement, not after it."""
    if out is None:
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        door.error(f"--out {out}: {error.strerror}")

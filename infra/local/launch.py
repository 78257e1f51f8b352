"""What supervisor starts in place of a server: it leaves the pid, clears the way, and becomes the server.

    python -m infra.local.launch [--pid-file FILE] [--sweep FOLDER] -- COMMAND...

The pid file serves the day when supervisor itself was killed: the next `up` finds its servers by it.
"""

import argparse
import os
from pathlib import Path

from infra.local import processes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pid-file", type=Path)
    parser.add_argument("--sweep", type=Path)
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    if given.pid_file:
        me = processes.identify(os.getpid())
        if me:
            me.save(given.pid_file)
    if given.sweep:
        processes.sweep(given.sweep)
    os.execvp(given.command[0], given.command)  # noqa: S606  # replacing this process is the point


if __name__ == "__main__":
    main()

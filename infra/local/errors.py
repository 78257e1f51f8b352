"""What goes wrong on a machine, as one line that says what to do next, and the exit codes of the door."""

import errno
from enum import IntEnum


class Exit(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    ALREADY_RUNNING = 4


class PlatformError(Exception):
    """Its text is the whole message for a person: what is wrong, then what to do. No traceback is shown for it."""

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code


_ANOTHER_FOLDER = "choose a folder that you can write to with --data DIR"
_ADVICE = {
    errno.ENOSPC: "free some space, or choose a folder on another disk with --data DIR",
    errno.EDQUOT: "free some space, or choose a folder on another disk with --data DIR",
    errno.EACCES: _ANOTHER_FOLDER,
    errno.EPERM: _ANOTHER_FOLDER,
    errno.EROFS: _ANOTHER_FOLDER,
    errno.ENOTDIR: _ANOTHER_FOLDER,
    errno.ENOENT: _ANOTHER_FOLDER,
    errno.EEXIST: _ANOTHER_FOLDER,
}


def of_the_system(error: OSError) -> PlatformError:
    """The operating system's refusal in the form of PlatformError; unknown kinds keep their own text."""
    advice = _ADVICE.get(error.errno or 0, "see the log files in the data folder's logs/")
    where = f"{error.filename}: " if error.filename else ""
    return PlatformError(f"{where}{error.strerror or error}: {advice}")

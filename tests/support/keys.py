"""Key folders that have seen time pass."""

import os
import time

from service.kit.keys import KeyFolder


def age(folder: KeyFolder, seconds: float) -> None:
    """As if every key in the folder had been made that long ago."""
    moment = time.time() - seconds
    for path in folder._folder.glob("*.pem"):
        os.utime(path, (moment, moment))

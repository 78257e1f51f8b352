"""supervisord, looking after its servers five times a second instead of once: a killed server starts again at once.

After it has noted an end it sleeps for its whole period before it acts on it, and the period has no setting.
"""

from supervisor import poller, supervisord

_PERIOD_S = 0.2

_poll = poller.Poller.poll


def _often(self: object, timeout: float) -> object:
    return _poll(self, min(timeout, _PERIOD_S))


if __name__ == "__main__":
    poller.Poller.poll = _often
    supervisord.main()

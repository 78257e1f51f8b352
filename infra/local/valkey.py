"""Valkey's users: the service's and the operator's. Passwords are made once; Valkey itself is told hashes only."""

import hashlib
import secrets
from collections.abc import Mapping
from pathlib import Path

from infra.local.credentials import write_private
from infra.local.plan import OPERATOR, SERVICE_ROLE, Site

_RULES: Mapping[str, str] = {
    # All that a cache, limits and messages need: data, scripts, subscriptions, client tracking. What could empty, stop,
    # list or reconfigure the server is @dangerous; of that only INFO is given back, for the counters.
    SERVICE_ROLE: (
        "~* &* -@all +@read +@write +@connection +@pubsub +@transaction +eval +evalsha +script|load +script|exists "
        "+time -@dangerous +info"
    ),
    # A cache that was saved once would be loaded at every start, however stale.
    OPERATOR: "~* &* +@all -save -bgsave -bgrewriteaof",
}


def create(site: Site) -> bool:
    """True when passwords were made, False when there were some.

    Unlike PostgreSQL's, a lost one is simply replaced: no Valkey runs yet, and it keeps nothing between runs.
    """
    files = {user: Path(site.password_file(user)) for user in _RULES}
    lost = [file for file in files.values() if not file.exists()]
    for file in lost:
        write_private(file, f"{secrets.token_urlsafe(24)}\n")
    hashes = {user: hashlib.sha256(file.read_text().strip().encode()).hexdigest() for user, file in files.items()}
    # The default user is who has not said a name; without it nobody gets in without one.
    lines = ["user default off", *(f"user {user} on #{hashes[user]} {rules}" for user, rules in _RULES.items())]
    write_private(Path(site.valkey_users), "\n".join([*lines, ""]))
    return bool(lost)

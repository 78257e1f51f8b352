"""Who uses the product and what they ask for: the load model as data, the same for every generator.

Shares are per cent of all requests, by persona; each kind's sum over the personas is its share in the load model. They
add up to less than 100 because tokens live for seven days: people sign in rarely.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

READER = {"list": 22, "filter": 8, "get": 8, "search": 6, "stats": 4, "create": 2, "update": 1, "complete": 1}
PLANNER = {"list": 10, "filter": 6, "get": 4, "search": 2, "stats": 3}
PLANNER |= {"create": 6, "update": 5, "complete": 3, "delete": 2}
PERSONAS: Mapping[str, Mapping[str, float]] = {
    "reader": READER,
    "planner": PLANNER,
    "newcomer": {"list": 2, "create": 1, "login": 0.5, "register": 0.1},
    "administrator": {"admin": 1},
}

API = "/api/v1"
TASKS = f"{API}/tasks"
USERS = f"{API}/users"
STATUSES = ("PENDING", "IN_PROGRESS", "COMPLETED")
WORDS = ("report", "week", "summary", "number 7")
OK, CREATED = 200, 201


@dataclass(frozen=True)
class Call:
    """One request of a kind. `path` may name {task_id}; `route` is the same without what differs from one to the next,
    by which requests are told apart in statistics. `status` counts as right.
    """

    kind: str
    method: str
    path: str
    route: str
    body: Mapping[str, str] | None = None
    status: int = OK


def kinds_of(*personas: str) -> dict[str, float]:
    """Shares by kind of these personas together, in the order in which the kinds are first named."""
    shares: dict[str, float] = {}
    for persona in personas:
        for kind, share in PERSONAS[persona].items():
            shares[kind] = shares.get(kind, 0) + share
    return shares


def task_call(kind: str, random: Random) -> Call:
    """A call on tasks, or of an administrator. KeyError for a kind that needs more than chance (login, register)."""
    own = f"{TASKS}/{{task_id}}"
    title = {"title": f"Prepare report number {random.randrange(10**6)}"}
    status, word = random.choice(STATUSES), random.choice(WORDS).replace(" ", "%20")
    query = random.choice(("", "", "/stats"))
    return {
        "list": lambda: Call(kind, "GET", f"{TASKS}?page=1&limit=10", TASKS),
        "filter": lambda: Call(kind, "GET", f"{TASKS}?status={status}&page=1&limit=10", f"{TASKS}?status="),
        "get": lambda: Call(kind, "GET", own, f"{TASKS}/{{id}}"),
        "search": lambda: Call(kind, "GET", f"{TASKS}?q={word}&page=1&limit=10", f"{TASKS}?q="),
        "stats": lambda: Call(kind, "GET", f"{TASKS}/stats", f"{TASKS}/stats"),
        "create": lambda: Call(kind, "POST", TASKS, TASKS, title, CREATED),
        "update": lambda: Call(kind, "PUT", own, f"{TASKS}/{{id}}", title),
        "complete": lambda: Call(kind, "PUT", own, f"{TASKS}/{{id}}", {"status": "COMPLETED"}),
        "delete": lambda: Call(kind, "DELETE", own, f"{TASKS}/{{id}}"),
        "admin": lambda: Call(
            kind, "GET", f"{USERS}{query}" if query else f"{USERS}?page=1&limit=10", f"{USERS}{query}"
        ),
    }[kind]()

"""How figures and comparisons of a prediction are worded."""

from loadtests.capacity.simulate import Routing
from loadtests.capacity.validate import Comparison
from loadtests.reports.cells import number
from loadtests.stats import Interval


def ranged(value: Interval, form: str = "") -> tuple[str, str]:
    """The middle, and low..high."""
    texts = [f"{each:{form}}" if form else number(each) for each in (value.median, value.low, value.high)]
    return texts[0], f"{texts[1]}..{texts[2]}"


def off(value: float | None) -> str:
    return "overloaded" if value is None else f"{value:+.0%}"


def named(each: Comparison) -> str:
    fleet = each.fleet
    if fleet.servers > 1:
        return f"{fleet.servers} emulated servers, routed {described(fleet.routing)}"
    return f"one server at load {each.load:g}" + (" (emulated)" if each.emulated else "")


def described(routing: Routing) -> str:
    return "at random" if routing is Routing.RANDOM else "to the least busy"

"""How much is measured: the one place where a full run, a quick look and a test differ."""

from dataclasses import dataclass

from loadtests.capacity.simulate import Routing

# Busy shares of the server's core. Below 0.6 a request costs more CPU than later, and a fit foretells what never comes.
LOADS = (0.6, 0.7, 0.8, 0.85)
# Between the steps that the model is fitted on, because phases are asked for at most LOADS[0].
HELD_OUT = 0.8
EMULATED_LOAD = 0.7
# A queue forgets in some 40 service times at this load: the fewer servers, and the more they are left to chance, the
# longer it takes to see more than noise.
FLEETS = ((8, Routing.LEAST_BUSY), (16, Routing.LEAST_BUSY), (16, Routing.RANDOM))


@dataclass(frozen=True)
class Size:
    """`loads` are busy shares of the server's core; `rounds`, each with every step once, in an order of its own;
    `seconds` of a step of the product. One emulated server answers 30 times less often, so its steps are `emulated_s`
    long, those of several `fleet_s`. Before each step of the product neighbours get `patience_s` to calm down, and a
    step that they disturb all the same is taken again, `tries` times in all.
    """

    loads: tuple[float, ...] = LOADS
    rounds: int = 6
    seconds: float = 5.0
    emulated_s: float = 10.0
    fleet_s: float = 6.0
    users: int = 500
    tasks: int = 50_000
    emulated_mean_ms: float = 20.0
    fleets: tuple[tuple[int, Routing], ...] = FLEETS
    patience_s: float = 5.0
    tries: int = 2
    seed: int = 1


FULL = Size()
QUICK = Size(rounds=3, seconds=2.0, emulated_s=4.0, fleet_s=3.0, patience_s=3.0, tries=1)

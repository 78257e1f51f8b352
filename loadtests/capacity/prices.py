"""`prices.toml` as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from roadmap.phases import Positive, Share, Text
from roadmap.reader import RoadmapError, Rule, read_plain, read_table, read_toml

PRICES_FILE = Path(__file__).with_name("prices.toml")
T = TypeVar("T")

SIZES = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge")

Natural = Annotated[int, Rule(lambda n: n >= 0, "must not be negative")]


@dataclass(frozen=True)
class Instance:
    name: str
    cores: int
    usd_per_month: float


@dataclass(frozen=True, kw_only=True)
class Family:
    cores_of_large: Annotated[int, Rule(lambda n: n >= 1, "must be at least 1")]
    usd_of_large: Positive
    unit: Literal["hour"]
    source: Text
    date: Text


@dataclass(frozen=True, kw_only=True)
class Item:
    usd: Positive
    unit: Literal["hour", "month", "GB-month"]
    source: Text
    date: Text


@dataclass(frozen=True, kw_only=True)
class Machines:
    """What a phase is reckoned with, a region. `standbys` of each primary, which serve nobody."""

    api: Text
    database: Text
    standbys: Natural
    valkey: Text
    balancer_units: Natural
    nats: Natural
    kubernetes: Natural


@dataclass(frozen=True, kw_only=True)
class Prices:
    """`instances`, `items` and `phases` by name, as in the file."""

    region: Text
    hours_a_month: Positive
    most_busy: Share
    core_ratio: Positive
    disk_headroom: Positive
    disk_gb_a_server: Positive
    replay_share: Share
    instances: Mapping[str, Family]
    items: Mapping[str, Item]
    phases: Mapping[str, Machines]

    def sizes(self, kind: str) -> list[Instance]:
        """Of a family, ascending; the one size that the name has."""
        family, _, wanted = kind.partition(".")
        given = self.instances[family]
        return [
            Instance(
                f"{family}.{size}",
                given.cores_of_large * 2**power,
                given.usd_of_large * 2**power * self.hours_a_month,
            )
            for power, size in enumerate(SIZES)
            if wanted in ("", size)
        ]

    def month(self, item: str) -> float:
        """USD a month of one of them (of one GB of it)."""
        priced = self.items[item]
        return priced.usd * (self.hours_a_month if priced.unit == "hour" else 1)


def load_prices(path: Path = PRICES_FILE) -> Prices:
    """RoadmapError for the first fault, with its key."""
    document = read_toml(path.read_text(encoding="utf-8"))
    prices = read_table(
        Prices,
        document,
        "",
        instances=_each(Family, document.pop("instances", None), "instances"),
        items=_each(Item, document.pop("items", None), "items"),
        phases=(phases := _each(Machines, document.pop("phases", None), "phases")),
    )
    for name, machines in phases.items():
        for key, kind in (("api", machines.api), ("database", machines.database)):
            family, _, size = kind.partition(".")
            if family not in prices.instances or size not in ("", *SIZES):
                raise RoadmapError(f"phases.{name}.{key}", f"no such instance: {kind!r}")
        if machines.valkey not in prices.items:
            raise RoadmapError(f"phases.{name}.valkey", f"no such item: {machines.valkey!r}")
    return prices


def _each(kind: type[T], value: object, at: str) -> dict[str, T]:
    return {name: read_table(kind, row, f"{at}.{name}") for name, row in read_plain(dict, value, at).items()}

"""Every way in which a roadmap can be wrong, each with the key and the reason that the reader of the message gets."""

from pathlib import Path

import pytest

from roadmap.phases import PHASES_FILE, load, parse
from roadmap.reader import RoadmapError

GOOD = PHASES_FILE.read_text(encoding="utf-8")
FACTS = GOOD[: GOOD.index("[phases.current.targets]")]


def edited(phase: str, old: str, new: str) -> str:
    """The good file with one key changed, in the section that starts at `phase` (a header, or "" for the top)."""
    start = GOOD.index(phase)
    at = GOOD.index(old, start)
    return GOOD[:at] + new + GOOD[at + len(old) :]


def refusal(text: str) -> tuple[str, str]:
    with pytest.raises(RoadmapError) as caught:
        parse(text)
    key, reason = caught.value.key, caught.value.reason
    assert str(caught.value) == (f"{key}: {reason}" if key else reason)
    return key, reason


def test_the_good_file_is_not_refused() -> None:
    """The negative control of this file: what follows is refused for its edit and for nothing else."""
    parse(edited("", "", ""))


TARGETS_2 = "[phases.2.targets]"
TOPOLOGY_2 = "[phases.2.topology]"
ROWS = "[[when_to_scale]]"

CASES = [
    # unknown and missing keys, at every depth
    ("", "[facts]", "extra = 1\n[facts]", "extra", "unknown key; known here: facts, when_to_scale"),
    ("[facts]", "think_time_s", "thinking_s", "facts.thinking_s", "unknown key; known here: percentile, "),
    (TARGETS_2, "p95_ms", "p95_s", "phases.2.targets.p95_s", "unknown key; known here: users, "),
    (TARGETS_2, "p95_ms = 100", "", "phases.2.targets.p95_ms", "missing"),
    (TARGETS_2, "[phases.2.targets]", "[phases.2.promises]", "phases.2.targets", "missing"),
    ("[phases.3.features]", "[phases.3.features]", "[phases.3.extras]", "phases.3.extras", "unknown key; known here: "),
    (TARGETS_2, "[phases.2.targets]", "[phases.2]\nname = '2'\n[phases.2.targets]", "phases.2.name", "unknown key"),
    (TARGETS_2, "source = ", "table = ", "phases.2.targets.budgets.0.table", "unknown key; known here: usd_per_month"),
    (ROWS, 'to = "1"', "", "when_to_scale.0.to", "missing"),
    ("[facts]", "[facts]", "[fact]", "facts", "missing"),
    # wrong types
    (TARGETS_2, "100", '"fast"', "phases.2.targets.p95_ms", "must be a whole number, is 'fast'"),
    (TARGETS_2, "100", "true", "phases.2.targets.p95_ms", "must be a whole number, is True"),
    (TARGETS_2, "100", "99.5", "phases.2.targets.p95_ms", "must be a whole number, is 99.5"),
    (TARGETS_2, "0.999", "true", "phases.2.targets.availability", "must be a number, is True"),
    (TOPOLOGY_2, "cdn = true", "cdn = 1", "phases.2.topology.cdn", "must be true or false, is 1"),
    (ROWS, 'to = "1"', "to = 1", "when_to_scale.0.to", "must be a text, is 1"),
    (TARGETS_2, "budgets = [{", "budgets = 800 #", "phases.2.targets.budgets", "must be a list, is 800"),
    (TARGETS_2, "budgets = [{", "budgets = [800] #", "phases.2.targets.budgets.0", "must be a table, is 800"),
    # ranges
    (TARGETS_2, "50_000", "0", "phases.2.targets.users", "must be at least 1, is 0"),
    (TARGETS_2, "100", "-1", "phases.2.targets.p95_ms", "must be at least 1, is -1"),
    (TARGETS_2, "0.999", "1", "phases.2.targets.availability", "must lie between 0 and 1, both excluded, is 1"),
    (TARGETS_2, "0.999", "0.0", "phases.2.targets.availability", "must lie between 0 and 1, both excluded, is 0.0"),
    (TARGETS_2, "0.999", "nan", "phases.2.targets.availability", "must lie between 0 and 1, both excluded, is nan"),
    (TARGETS_2, "800", "0", "phases.2.targets.budgets.0.usd_per_month", "must be at least 1, is 0"),
    (
        TOPOLOGY_2,
        "valkey_nodes = 2",
        "valkey_nodes = -2",
        "phases.2.topology.valkey_nodes",
        "must not be negative, is -2",
    ),
    ("[facts]", "= 10 ", "= inf ", "facts.think_time_s", "must be above 0 and finite, is inf"),
    ("[facts]", "0.10", "1.0", "facts.mean_load_share", "must lie between 0 and 1, both excluded, is 1.0"),
    (ROWS, "threshold = 500", "threshold = 0", "when_to_scale.0.threshold", "must be above 0 and finite, is 0"),
    (ROWS, '"cache and indexes"', '" "', "when_to_scale.0.brings", "must not be empty, is ' '"),
    # words
    (TOPOLOGY_2, '"head"', '"0003"', "phases.2.topology.schema", "must be one of 0001, head, is '0003'"),
    ("[facts]", '"p95"', '"p99"', "facts.percentile", "must be one of p95, is 'p99'"),
    (
        TARGETS_2,
        '"cost table"',
        '"a guess"',
        "phases.2.targets.budgets.1.source",
        "must be one of targets table, cost t",
    ),
    (ROWS, '"p95_ms"', '"mood"', "when_to_scale.0.signal", "must be one of p95_ms, "),
    # what only shows between keys
    (TARGETS_2, "50_000", "4_999", "phases.2.targets.users", "must not fall below the 5000 of phase 1, is 4999"),
    (TARGETS_2, "400", "800", "phases.2.targets.budgets", "must come from different tables, the highest first"),
    (
        TARGETS_2,
        "cost t",
        "targets t",
        "phases.2.targets.budgets",
        "must come from different tables, the highest first",
    ),
    ("[phases.4.targets]", '"3"', '"4"', "phases.4.targets.inherits", "must name an earlier phase, is '4'"),
    ("[phases.4.targets]", '"3"', "[3]", "phases.4.targets.inherits", "must name an earlier phase, is [3]"),
    (
        TOPOLOGY_2,
        "api_servers = 3",
        "",
        "phases.2.topology.api_servers",
        "must be given unless autoscaled, and absent if",
    ),
    (TOPOLOGY_2, "scaled = false", "scaled = true", "phases.2.topology.api_servers", "must be given unless autoscaled"),
    (
        TOPOLOGY_2,
        "balancer = true",
        "balancer = false",
        "phases.2.topology.load_balancer",
        "must be true unless there is",
    ),
    (ROWS, 'to = "1"', 'to = "current"', "when_to_scale.0.to", "must be one of 1, 2, 3, 4, is 'current'"),
    (ROWS, "threshold = 500", "", "when_to_scale.0.threshold", "must be given together with comparison, or neither"),
    (TOPOLOGY_2, '"head"', '"0001"', "phases.2.features.indexes", 'needs topology.schema = "head"'),
    ("[phases.1.topology]", "nodes = 1", "nodes = 0", "phases.1.features.cache", "needs topology.valkey_nodes"),
    (TOPOLOGY_2, "replicas = 2", "replicas = 0", "phases.2.features.read_replicas", "needs topology.postgres_replicas"),
    (
        "[phases.3.topology]",
        "workers = true",
        "workers = false",
        "phases.3.features.events",
        "needs topology.queue and",
    ),
    (
        "[phases.3.features]",
        "sharding = false",
        "sharding = true",
        "phases.3.features.sharding",
        "needs more than one of",
    ),
    (
        "[phases.4.topology]",
        "regions = 2",
        "regions = 1",
        "phases.4.features.region_failover",
        "needs more than one of",
    ),
]


@pytest.mark.parametrize(("section", "old", "new", "key", "reason"), CASES)
def test_refused_with_key_and_reason(section: str, old: str, new: str, key: str, reason: str) -> None:
    refused_key, refused_reason = refusal(edited(section, old, new))
    assert refused_key == key
    assert refused_reason.startswith(reason)


def test_phases_out_of_order_are_refused() -> None:
    swapped = GOOD.replace("[phases.1.", "[phases.X.").replace("[phases.2.", "[phases.1.").replace(".X.", ".2.")
    assert refusal(swapped) == ("phases", "must be current, 1, 2, 3, 4 in this order, are current, 2, 1, 3, 4")


def test_a_gap_between_phases_is_refused() -> None:
    assert refusal(GOOD.replace("[phases.4.", "[phases.5."))[0] == "phases"


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("", "phases", "missing"),
        ("phases = 3", "phases", "must be a table, is 3"),
        (FACTS + "[phases]\ncurrent = 1", "phases.current", "must be a table, is 1"),
        (FACTS + "[phases.current]\ntargets = []", "phases.current.targets", "must be a table, is []"),
        ("phases = {}", "phases", "must be current in this order, are none"),
        ("a = 1\nb = = 2\n", "", "not valid TOML: Invalid value (at line 2, column 5)"),
        ("a = 1\n\nb = [1,", "", "not valid TOML: Invalid value (at the end, line 3)"),
        ("a = 1\na = 2\n", "", "not valid TOML: Cannot overwrite a value (at line 2, column 6)"),
        ("a = " + "[" * 100_000, "", "not valid TOML: "),
    ],
)
def test_broken_text_is_refused(text: str, key: str, reason: str) -> None:
    refused_key, refused_reason = refusal(text)
    assert refused_key == key
    assert refused_reason.startswith(reason)


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"# \xe9t\xe9")
    for path, reason in ((tmp_path / "none.toml", "No such file"), (tmp_path, "Is a directory"), (latin, "utf-8")):
        with pytest.raises(RoadmapError, match=f"^cannot be read: .*{reason}"):
            load(path)

"""The strategy's claims, written out a second time, and every way in which their file is refused."""

import json
from pathlib import Path

import pytest

from roadmap import __main__ as door
from roadmap.claims import CLAIMS_FILE, Expectation, load_claims, parse_claims
from roadmap.phases import load
from roadmap.reader import RoadmapError

GOOD = CLAIMS_FILE.read_text(encoding="utf-8")
PHASES = load().names
CLAIMS = load_claims()
# id: phase, experiment, and for each metric its bounds and whose they are
TOLD = {
    "indexes": ("1", "indexes", {"speed-up": ("5 to 10 times", "strategy")}),
    "cache-response": (
        "1",
        "cache",
        {
            "p95 before": ("at least 200 ms", "strategy"),
            "p95 after": ("at most 30 ms", "strategy"),
            "gain": ("at least 6.7 times", "strategy"),
        },
    ),
    "cache-database-load": ("1", "database_load", {"reduction": ("60 to 70 %", "strategy")}),
    "rate-limit": (
        "1",
        "protection",
        {
            "p95 moves by": ("at most 2 times", "ours"),
            "better than without limits": ("at least 2 times", "ours"),
        },
    ),
}


def test_claims_are_those_of_the_strategy() -> None:
    read = {
        claim.id: (claim.phase, claim.experiment, {e.metric: (e.wording, e.source) for e in claim.expectations})
        for claim in CLAIMS.claims
    }
    assert read == TOLD
    assert CLAIMS.phases == ("1",)
    assert CLAIMS.of("1") == CLAIMS.claims
    assert CLAIMS.of("2") == ()


def test_named_indexes_are_the_subjects_of_their_claim() -> None:
    assert CLAIMS.claims[0].subjects == (
        "users(email)",
        "tasks(user_id)",
        "tasks(status)",
        "tasks(created_at)",
        "tasks(user_id, status)",
    )
    assert CLAIMS.claims[1].subjects is None


def test_an_expectation_is_found_by_its_metric() -> None:
    expectation = CLAIMS.claims[0].expectation("speed-up")
    assert expectation == Expectation(metric="speed-up", unit="times", at_least=5, at_most=10, source="strategy")
    with pytest.raises(KeyError):
        CLAIMS.claims[0].expectation("beauty")


def edited(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


def test_the_good_file_is_not_refused() -> None:
    """The negative control of the refusals below."""
    assert parse_claims(edited("5 to 10 times", "5 to 10 times"), PHASES) == CLAIMS


@pytest.mark.parametrize(
    ("old", "new", "key", "reason"),
    [
        ('phase = "1"', 'phase = "9"', "claims.0.phase", "must be one of current, 1, 2, 3, 4, is '9'"),
        ('id = "cache-response"', 'id = "indexes"', "claims.0.id", "must be given once, is 'indexes' again"),
        ('id = "indexes"', 'id = "In dex"', "claims.0.id", "must be lower-case letters"),
        ('unit = "times"', 'unit = "s"', "claims.0.expectations.0.unit", "must be one of ms, times, %, is 's'"),
        ("at_most = 10", "at_most = 4", "claims.0.expectations.0.at_most", "must not be below at_least, is 4"),
        ("at_most = 10", "at_most = nan", "claims.0.expectations.0.at_most", "must be finite, is nan"),
        ("at_least = 200", "", "claims.1.expectations.0", "must have at_least, at_most or both"),
        ('"p95 after"', '"p95 before"', "claims.1.expectations", "must each have a metric of its own"),
        ("[[claims.expectations]]", "expectations = []\n[ignored]", "ignored", "unknown key; known here: claims"),
        ('experiment = "indexes"\n', "", "claims.0.experiment", "missing"),
        (
            'source = "strategy"',
            'source = "hearsay"',
            "claims.0.expectations.0.source",
            "must be one of strategy, ours",
        ),
        ("statement =", "statment =", "claims.0.statment", "unknown key; known here: id, phase"),
    ],
)
def test_a_fault_is_refused_with_its_key(old: str, new: str, key: str, reason: str) -> None:
    with pytest.raises(RoadmapError) as caught:
        parse_claims(edited(old, new), PHASES)
    assert (caught.value.key, caught.value.reason[: len(reason)]) == (key, reason)


def test_a_claim_without_a_bound_is_refused() -> None:
    table = {"id": "x", "phase": "1", "statement": "s", "reading": "r", "experiment": "e"}
    text = "[[claims]]\nexpectations = []\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
    with pytest.raises(RoadmapError, match="a claim without a bound cannot be false"):
        parse_claims(text, PHASES)


def test_a_file_that_is_not_there_is_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(RoadmapError, match="cannot be read"):
        load_claims(tmp_path / "none.toml")


def test_the_door_prints_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert door.main(["--claims"]) == 0
    out = capsys.readouterr().out
    assert "indexes (phase 1): Indexes make queries 5 to 10 times as fast" in out
    assert "  p95 moves by: at most 2 times (ours)" in out
    wrong = tmp_path / "claims.toml"
    wrong.write_text("claims = 1", encoding="utf-8")
    monkeypatch.setattr("roadmap.claims.CLAIMS_FILE", wrong)
    assert door.main(["--claims"]) == 2
    assert "claims: must be a list, is 1" in capsys.readouterr().err

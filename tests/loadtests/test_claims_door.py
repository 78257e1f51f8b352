"""`python -m loadtests claims`: which claims, exit codes; each claim of the roadmap has its experiment."""

import json
from pathlib import Path

import pytest

from loadtests import __main__ as door
from loadtests import claims
from loadtests.experiments.outcome import Figure, Outcome, exact
from loadtests.experiments.size import FULL, QUICK, Size
from loadtests.reports.write import read
from loadtests.servers import ServerError
from roadmap.claims import Claim, load_claims


def within(claim: Claim) -> list[Figure]:
    """For each metric, a figure at one of its bounds."""
    return [
        Figure("here", e.metric, e.unit, exact(e.at_most if e.at_least is None else e.at_least))  # type: ignore[arg-type]  # one of them is given
        for e in claim.expectations
    ]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Size]]:
    """What the experiments, each replaced by one that confirms, were asked for."""
    calls: list[tuple[str, Size]] = []

    def experiment(claim: Claim, size: Size, _say: object) -> Outcome:
        calls.append((claim.id, size))
        return Outcome(within(claim), "It is so.")

    names = dict.fromkeys((claim.experiment for claim in load_claims().claims), experiment)
    monkeypatch.setattr(claims, "EXPERIMENTS", names)
    return calls


def test_all_claims_of_a_phase_are_measured_whatever_the_verdict(
    asked: list[tuple[str, Size]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert door.main(["claims", "--phase", "1"]) == 0
    assert asked == [(claim.id, FULL) for claim in load_claims().of("1")]
    out = capsys.readouterr().out
    assert all(claim.statement in out for claim in load_claims().of("1"))


def test_some_claims_at_a_smaller_size(asked: list[tuple[str, Size]], capsys: pytest.CaptureFixture[str]) -> None:
    assert door.main(["claims", "--phase", "1", "--quick", "--rows", "2000", "--only", "rate-limit", "--json"]) == 0
    assert asked == [("rate-limit", QUICK.up_to(2_000))]
    data = json.loads(capsys.readouterr().out)
    assert data["schema"] == 1
    assert [(c["claim"]["id"], c["verdict"]) for c in data["claims"]] == [("rate-limit", "confirmed")]


def test_a_broken_rig_is_3_and_the_others_are_measured(
    asked: list[tuple[str, Size]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_claim: Claim, _size: Size, _say: object) -> Outcome:
        raise ServerError("postgres was not ready")

    monkeypatch.setattr(claims, "EXPERIMENTS", {**claims.EXPERIMENTS, "indexes": broken})
    assert door.main(["claims", "--phase", "1"]) == 3
    assert len(asked) == len(load_claims().of("1")) - 1
    told = capsys.readouterr()
    assert "INVALID RIG: postgres was not ready" in told.out
    assert "INVALID RIG: indexes: postgres was not ready" in told.err


def test_the_report_is_written_where_it_is_asked_for(
    asked: list[tuple[str, Size]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["claims", "--phase", "1", "--out", str(tmp_path / "out")]
    assert door.main(arguments) == 0
    kept = read(tmp_path / "out" / "result.json")
    assert kept.facts["command"] == f"python -m loadtests {' '.join(arguments)}"
    assert (kept.kind, kept.label) == ("claims", "measured")
    assert len(kept.tables) == len(asked)
    assert "written: " in capsys.readouterr().err
    data = json.loads((tmp_path / "out" / "result.json").read_text())
    assert [told["verdict"] for told in data["claims"]] == ["confirmed"] * len(asked)


def test_a_folder_that_cannot_be_made_is_said_before_anything_is_measured(
    asked: list[tuple[str, Size]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as stopped:
        door.main(["claims", "--phase", "1", "--out", str(tmp_path / "file" / "out")])
    assert stopped.value.code == 2
    assert "Not a directory" in capsys.readouterr().err
    assert asked == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "--phase"),
        (["--phase", "2"], "phase 2 has no claims; phases that have some: 1"),
        (["--phase", "none"], "phase none has no claims"),
        (["--phase", "1", "--only", "speed"], "phase 1 has no claim speed; it has indexes, "),
        (["--phase", "1", "--rows", "10"], "10 is not within 1000..20000000"),
    ],
)
def test_wrong_usage_is_2(arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        door.main(["claims", *arguments])
    assert stopped.value.code == 2
    assert reason in capsys.readouterr().err


def test_each_claim_of_the_roadmap_has_its_experiment_and_none_is_left_over() -> None:
    assert {claim.experiment for claim in load_claims().claims} == set(claims.EXPERIMENTS)

"""The doors as they are called: one small run on the real platform from its start to its report, and wrong usage."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from infra.local import running
from infra.local.folder import Folder
from loadtests import __main__ as main
from loadtests.gate import run
from loadtests.gate.result import against
from loadtests.reports.document import Outcome
from loadtests.reports.write import read
from tests.infra.local.door import free_base

SMALL = ("--users", "20", "--rows", "2000")


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "--phase", "2"],
        ["run", "--phase", "1", "--users", "0"],
        ["run", "--phase", "1", "--hold", "1"],
        ["seed", "--phase", "current", "--rows", "many"],
        ["probe", "--people", "nowhere"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main.main(arguments)
    assert stopped.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_what_is_not_there_is_said_before_anything_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    for arguments, told in (
        (["run", "--phase", "1", "--out", str(tmp_path / "file" / "out")], "Not a directory"),
        (["probe", "--port", "5200", "--people", str(tmp_path / "nobody.json")], "`python -m loadtests seed` makes it"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main.main(arguments)
        assert stopped.value.code == 2
        assert told in capsys.readouterr().err


def test_a_run_starts_the_platform_seeds_judges_reports_and_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "SETTLE_S", 1.0)
    data, out = tmp_path / "data", tmp_path / "out"
    port = free_base()
    before = os.sched_getaffinity(0)
    where = ("--data", str(data), "--port", str(port), "--out", str(out))
    code = main.main(["run", "--phase", "current", *SMALL, "--hold", "6", "--steps", "1", *where])
    told = capsys.readouterr()
    document, kept = read(out / "result.json"), json.loads((out / "result.json").read_text())
    assert code == {"PASS": 0, "FAIL": 1, "INVALID": 3, "INCONCLUSIVE": 4}[document.verdict]
    assert told.out.startswith(f"{document.verdict}: phase current: 20 users on 2,000 tasks")
    assert "hold" in told.err
    assert {"report.html", "report.md", "junit.xml"} < {path.name for path in out.iterdir()}
    # On a busy machine a run proves nothing, and says so; but it lost nothing, failed nothing, and saw the server.
    checks = {check.name: check for check in document.checks}
    assert checks["accounted for"].outcome == Outcome.PASSED
    assert checks["errors"].measured.startswith("0 of ")
    assert kept["server"]["requests"] > 60
    assert kept["server"]["statements"] > 0
    assert kept["stages"][2]["name"] == "hold"
    assert running.find(Folder.at(str(data))) is None, "what it started is stopped"
    assert os.sched_getaffinity(0) == before
    assert "token" not in (out / "result.json").read_text()


def kept(**changes: Any) -> dict[str, Any]:
    usual = {
        "fingerprint": "here",
        "size": {"rows": 1},
        "asked": {"users": 10},
        "p95_ms": {"median": 10.0, "low": 9.0, "high": 11.0},
    }
    return {**usual, **changes}


@pytest.mark.parametrize(
    ("now", "outcome"),
    [
        (kept(p95_ms={"median": 10.5, "low": 9.5, "high": 11.5}), Outcome.PASSED),
        (kept(p95_ms={"median": 14.0, "low": 12.0, "high": 16.0}), Outcome.FAILED),
        (kept(p95_ms={"median": 5.0, "low": 4.0, "high": 6.0}), Outcome.PASSED),
        (kept(p95_ms=None), Outcome.INFO),
        (kept(p95_ms={"median": 14.0, "low": 12.0, "high": 16.0}, fingerprint="elsewhere"), Outcome.INFO),
        (kept(p95_ms={"median": 14.0, "low": 12.0, "high": 16.0}, asked={"users": 20}), Outcome.INFO),
    ],
)
def test_a_run_is_compared_with_a_baseline_of_its_like_only(now: dict[str, Any], outcome: Outcome) -> None:
    (check,) = against(kept(), now)
    assert check.outcome == outcome


def test_a_baseline_that_is_none_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "baseline.json").write_text("[]")
    assert main.main(["run", "--phase", "1", "--baseline", str(tmp_path / "baseline.json")]) == 2
    assert "baseline.json: not a result" in capsys.readouterr().err

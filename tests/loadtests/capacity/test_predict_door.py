"""`python -m loadtests predict`: exit codes, and what it keeps."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests import __main__ as main
from loadtests.capacity import door
from loadtests.capacity.fit import FitError
from loadtests.capacity.measured import Measured
from loadtests.capacity.size import FULL, QUICK, Size
from loadtests.capacity.validate import Validation, check
from loadtests.servers import ServerError
from tests.support.capacity import EMULATED, PRODUCT, measured


@pytest.fixture(autouse=True)
def _quick_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fit has its own test; here the truth stands for it, in simulations too short to be true."""

    def validate(given: Measured) -> Validation:
        return check(given, replace(PRODUCT, jobs=2_000), replace(EMULATED, jobs=2_000))

    monkeypatch.setattr(door, "validate", validate)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "kept.json"
    measured().write(path)
    return path


def test_it_predicts_from_kept_measurements(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["predict", "--phase", "3", "--from", str(kept)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("PREDICTED, not measured")
    assert "500,000 users, 50,000 requests/s" in out


def test_it_writes_the_report_and_prints_json(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = kept.parent / "report"
    assert main.main(["predict", "--phase", "2", "--from", str(kept), "--out", str(folder), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["document"]["label"] == "predicted"
    assert printed["validated"] is (printed["document"]["verdict"] == "predicted, validated")
    assert json.loads((folder / "result.json").read_text()) == printed
    assert {path.name for path in folder.iterdir()} == {"result.json", "report.html", "report.md", "junit.xml"}
    assert printed["predicted"]["middle"]["machines"] == 3
    assert Measured.from_json(kept.read_text()).setup.users == printed["measured"]["setup"]["users"]


def test_it_measures_and_keeps_what_it_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes: list[Size] = []

    def measure(size: Size, _say: object) -> Measured:
        sizes.append(size)
        return measured()

    monkeypatch.setattr(door, "measure", measure)
    monkeypatch.setattr(door, "KEPT", tmp_path)
    assert main.main(["predict", "--phase", "2"]) == 0
    assert main.main(["predict", "--phase", "2", "--quick", "--out", str(tmp_path / "out")]) == 0
    assert sizes == [FULL, QUICK]
    assert Measured.read(tmp_path / "capacity.json") == Measured.read(tmp_path / "out/capacity.json") == measured()
    assert f"--from {tmp_path / 'capacity.json'}" in capsys.readouterr().err


def test_an_unfit_rig_is_3_and_an_interruption_130(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[Measured | BaseException] = [
        ServerError("postgres was not ready"),
        replace(measured(), writes=tuple(replace(work, unanswered=3) for work in measured().writes)),
        measured(),
        KeyboardInterrupt(),
    ]

    def measure(_size: Size, _say: object) -> Measured:
        next_one = given.pop(0)
        if isinstance(next_one, BaseException):
            raise next_one
        return next_one

    def fitted(given: Measured) -> Validation:
        del given
        raise FitError("1,000 requests/s kept the server 700% busy")

    monkeypatch.setattr(door, "measure", measure)
    monkeypatch.setattr(door, "KEPT", tmp_path)
    assert main.main(["predict", "--phase", "2"]) == 3
    assert "INVALID RIG: postgres was not ready" in capsys.readouterr().err
    assert main.main(["predict", "--phase", "2"]) == 3
    assert "INVALID RIG: writes alone, round 1: 3 requests without a right answer" in capsys.readouterr().err
    monkeypatch.setattr(door, "validate", fitted)
    assert main.main(["predict", "--phase", "2"]) == 3
    assert "NOTHING IS PREDICTED" in capsys.readouterr().err
    assert main.main(["predict", "--phase", "2"]) == 130


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "--phase"),
        (["--phase", "1"], "measured at full size, not predicted: python -m loadtests run --phase 1"),
        (["--phase", "current"], "python -m loadtests run --phase current"),
        (["--phase", "9"], "there is no phase 9; predicted are 2, 3, 4"),
        (["--phase", "2", "--from", "nothing.json"], "nothing.json cannot be read"),
        (["--phase", "2", "--from", "x", "--quick"], "not allowed with"),
    ],
)
def test_wrong_usage_is_2(arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main.main(["predict", *arguments])
    assert stopped.value.code == 2
    assert reason in capsys.readouterr().err

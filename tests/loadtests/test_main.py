import subprocess
import sys

import pytest

from loadtests import __main__ as door
from loadtests.bench import Options, Result
from loadtests.cases import CASES, COMPARISONS, PEERS
from loadtests.servers import ServerError


def test_help_names_every_option() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "loadtests", "bench", "--help"], capture_output=True, text=True, check=True
    )
    for option in ("--rounds", "--seconds", "--rows", "--owners", "--cases", "--json"):
        assert option in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["bench", "--rounds", "0"],
        ["bench", "--seconds", "0.01"],
        ["bench", "--seconds", "nan"],
        ["bench", "--rows", "10", "--owners", "11"],
        ["bench", "--cases", "nothing"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        door.main(arguments)
    assert stopped.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_an_unfit_rig_is_3_and_an_interruption_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(error: BaseException) -> None:
        def run(_options: Options, _say: object) -> Result:
            raise error

        monkeypatch.setattr(door, "run", run)

    monkeypatch.setattr(door, "run", lambda options, _say: Result(options))
    assert door.main(["bench"]) == 0
    monkeypatch.setattr(door, "run", lambda options, _say: Result(options, problems=["a lost request"]))
    assert door.main(["bench", "--json"]) == 3
    fails(ServerError("product was not ready"))
    assert door.main(["bench"]) == 3
    fails(KeyboardInterrupt())
    assert door.main(["bench"]) == 130


def test_every_row_of_the_table_names_what_exists() -> None:
    for row in COMPARISONS:
        assert row.case in CASES
        assert {row.subject, row.peer} <= PEERS.keys()

"""`python -m roadmap`: what it prints where, and its exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from roadmap.__main__ import main
from roadmap.phases import PHASES_FILE, load
from roadmap.show import as_data

ROOT = Path(__file__).parents[2]


def test_starts_as_a_program_from_the_project_root() -> None:
    done = subprocess.run([sys.executable, "-m", "roadmap", "--json"], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout) == json.loads(json.dumps(as_data(load())))


def test_text_is_an_aligned_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    head, users = lines[0], lines[1]
    assert head.split() == ["phase", "current", "1", "2", "3", "4"]
    assert users.split() == ["concurrent", "users", "500", "5,000", "50,000", "500,000", "500,000+"]
    column = head.index("2 ")
    assert all(line[column - 1] == " " != line[column] for line in lines[: lines.index("")])
    assert "Phase 4 has no targets of its own in the strategy: phase 3's stand." in lines
    assert "  CPU > 70 % sustained -> 2: more servers" in lines


def test_json_holds_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert set(data) == {"facts", "phases", "when_to_scale"}
    assert data["facts"] == {"percentile": "p95", "think_time_s": 10, "mean_load_share": 0.1}
    assert [phase["name"] for phase in data["phases"]] == ["current", "1", "2", "3", "4"]
    second, fourth = data["phases"][2], data["phases"][4]
    assert set(second) == {
        "name", "targets", "topology", "features", "gate", "peak_requests_per_s", "mean_requests_per_s",
    }  # fmt: skip
    assert second["targets"]["budgets"] == [
        {"usd_per_month": 800, "source": "targets table"},
        {"usd_per_month": 400, "source": "cost table"},
    ]
    assert second["peak_requests_per_s"] == 5_000
    assert fourth["targets"]["inherits"] == "3"
    assert fourth["topology"]["postgres_shards"] is None
    assert data["when_to_scale"][0]["threshold"] == 500


def test_the_readme_shows_the_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--markdown"]) == 0
    table = capsys.readouterr().out
    assert "| cost a month | $80 | $200 | $800, $400 (cost table) | $5,000, $1,500 (cost table) | - |" in table
    assert table in (ROOT / "roadmap" / "README.md").read_text(encoding="utf-8")


def test_refused_file_is_2_with_file_key_and_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(PHASES_FILE.read_text(encoding="utf-8").replace("p95_ms = 100", "p95_ms = 'fast'"), "utf-8")
    assert main(["--file", str(wrong)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"python -m roadmap: {wrong}: phases.2.targets.p95_ms: must be a whole number, is 'fast'\n"


@pytest.mark.parametrize(
    ("arguments", "code", "stream"),
    [(["--help"], 0, "out"), (["--colour"], 2, "err"), (["--json", "--markdown"], 2, "err"), (["more"], 2, "err")],
)
def test_usage(arguments: list[str], code: int, stream: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == code
    assert "usage: python -m roadmap" in getattr(capsys.readouterr(), stream)

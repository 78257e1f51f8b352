"""The files of a report, the `report` command that shows them again, and the facts of the machine."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests import __main__ as door
from loadtests.reports import facts, write
from loadtests.reports.document import Mark
from tests.support.reports import NASTY, document

FILES = ["result.json", "report.html", "report.md", "junit.xml"]


def test_all_files_are_written_and_the_document_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    whole = document(text=NASTY)
    assert write.write(whole, folder, {"windows": [1, 2.5]}) == [folder / name for name in FILES]
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    kept = json.loads((folder / "result.json").read_text())
    assert (kept["schema"], kept["windows"]) == (1, [1, 2.5])
    assert write.read(folder / "result.json") == whole


def test_a_result_that_cannot_be_kept_leaves_the_old_one(tmp_path: Path) -> None:
    write.write(document(), tmp_path, {})
    before = {name: (tmp_path / name).read_bytes() for name in FILES}
    with pytest.raises(ValueError, match="document: a key of the file itself"):
        write.write(document(), tmp_path, {"document": 1})
    chart = replace(document().charts[0], marks=[Mark("target", float("nan"))])
    with pytest.raises(ValueError, match="JSON"):
        write.write(replace(document(), charts=[chart]), tmp_path, {})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    write.write(replace(document("predicted"), charts=()), tmp_path / "kept", {"windows": [1, 2]})
    return tmp_path / "kept" / "result.json"


@pytest.mark.parametrize(
    ("arguments", "begins", "holds"),
    [
        ([], "PREDICTED, not measured\nFAILED: 200 users", "at most 0.1 %"),
        (["--format", "text"], "PREDICTED, not measured\nFAILED: 200 users", "84 answers of 503"),
        (["--format", "html"], "<!doctype html>", "PREDICTED"),
        (["--format", "markdown"], "## ❌ FAILED", "| ❌ failed |"),
        (["--format", "junit"], "<?xml", 'failures="1"'),
        (["--format", "json"], "{", '"windows"'),
    ],
)
def test_a_kept_result_is_printed(
    kept: Path, arguments: list[str], begins: str, holds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert door.main(["report", str(kept), *arguments]) == 0
    told = capsys.readouterr()
    assert told.out.startswith(begins)
    assert holds in told.out
    assert told.err == ""


def test_a_kept_result_is_written_again_with_its_data(kept: Path, tmp_path: Path) -> None:
    assert door.main(["report", str(kept), "--out", str(tmp_path / "again")]) == 0
    assert {name: (tmp_path / "again" / name).read_bytes() for name in FILES} == {
        name: kept.with_name(name).read_bytes() for name in FILES
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "No such file or directory"),
        ("", "Expecting value"),
        ("[1]", "not a result: it has no document"),
        ('{"schema": 1}', "not a result: it has no document"),
        ('{"schema": 7, "document": {}}', "not a result of schema 1: its schema is 7"),
        ('{"schema": 1, "document": {"schema": 1, "kind": 5}}', "kind: must be a text, is 5"),
        ("[" * 100_000, "recursion"),
        ('{"schema": 1, "document": \xff', "decode"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(
    text: str | None, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "result.json"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    assert door.main(["report", str(path)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"{path}: ")
    assert reason in told.err
    assert told.err.count("\n") == 1


def test_printing_and_writing_at_once_is_wrong_usage(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        door.main(["report", str(kept), "--out", "x", "--format", "html"])
    assert stopped.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


def test_facts_name_machine_versions_and_command() -> None:
    told = facts.facts("python -m loadtests claims --phase 1")
    assert told["command"] == "python -m loadtests claims --phase 1"
    for name in ("PostgreSQL", "Valkey", "Locust", "Uvicorn", "FastAPI", "Python"):
        assert re.match(r"\d+\.\d+", told[name]), name
    assert re.search(r", \d+ cores$", told["processor"])
    assert told["machine"] == facts.fingerprint()
    assert re.fullmatch(r"[0-9a-f]{12}", facts.fingerprint())
    assert facts.installed("no-such-distribution") == "unknown"


def test_another_machine_has_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    here = facts.fingerprint()
    monkeypatch.setattr(facts, "processor", lambda: ("another", 64))
    assert facts.fingerprint() != here


def test_a_commit_is_named_and_said_to_be_dirty(tmp_path: Path) -> None:
    assert facts.commit(tmp_path) == "unknown"

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=Tester", "-c", "user.email=tester@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)  # noqa: S607 (found on PATH)

    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "Begin")
    assert re.fullmatch(r"[0-9a-f]{7,}", facts.commit(tmp_path))
    (tmp_path / "a").write_text("2")
    assert re.fullmatch(r"[0-9a-f]{7,} dirty", facts.commit(tmp_path))


def test_without_git_a_commit_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert facts.commit() == "unknown"

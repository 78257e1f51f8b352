"""No Python file is longer than 400 lines: past that, a file needs a map, and a room is missing."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT = 400


def files_past_limit(root: Path) -> list[str]:
    """Path and length of each offender below `root`; hidden folders (.venv, .local, .git) are not ours."""
    lengths = {
        path.relative_to(root): len(path.read_text(encoding="utf-8").splitlines())
        for path in sorted(root.rglob("*.py"))
        if not any(part.startswith(".") for part in path.relative_to(root).parts)
    }
    return [f"{path}: {length} lines" for path, length in lengths.items() if length > LIMIT]


def test_no_file_is_too_long() -> None:
    assert files_past_limit(ROOT) == []


def test_the_checker_finds_what_it_looks_for(tmp_path: Path) -> None:
    for name, lines in (
        ("at_limit.py", LIMIT),
        ("room/past.py", LIMIT + 1),
        (".venv/lib.py", 9_000),
        ("notes.md", 9_000),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("pass\n" * lines)
    assert files_past_limit(tmp_path) == ["room/past.py: 401 lines"]

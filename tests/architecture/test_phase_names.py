"""The service knows settings, never phases: the word occurs in none of its names and texts."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORD = "phase"


def uses_of_word(service: Path) -> list[str]:
    """`path:line` of each use in a name or a text.

    Free to say it are comments, and the docstrings of migrations, which tell when a revision is due.
    """
    found = []
    for path in sorted(service.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        passed_over = set(_docstrings(tree)) if "migrations" in path.relative_to(service).parts else set()
        nodes = [node for node in ast.walk(tree) if node not in passed_over and WORD in " ".join(_texts(node)).lower()]
        lines = sorted({getattr(node, "lineno", 0) for node in nodes})
        found += [f"{path.relative_to(service)}:{line}" for line in lines]
    return found


def _docstrings(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value


def _texts(node: ast.AST) -> Iterator[str]:
    """Every name and every text that stands in the node itself: all of them are plain `str` fields in an AST."""
    for _, value in ast.iter_fields(node):
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                yield item


def test_service_names_no_phase() -> None:
    assert list((ROOT / "service").rglob("*.py")), "there is no service to look at"
    assert uses_of_word(ROOT / "service") == []


def test_the_checker_finds_what_it_looks_for(tmp_path: Path) -> None:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "r.py").write_text('"""Belongs to phase 1."""\nrevision = "phase"\n')
    (tmp_path / "a.py").write_text(
        '"""Needs phase 2."""\n# a phase in a comment\ndef run(the_phase):\n    x = f"in Phase {1}"\n'
        "    x.phase = 1\n    call(phase=2)\nimport phases\nclass PhaseThree: ...\nfine = 'stage'\n"
    )
    assert uses_of_word(tmp_path) == [*(f"a.py:{line}" for line in (1, 3, 4, 5, 6, 7, 8)), "migrations/r.py:2"]

"""Who may import whom: the contracts of pyproject.toml hold, and each of them bites."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CONFIG: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
FORBIDDEN = [
    (contract["name"], source, target)
    for contract in CONFIG["contracts"]
    if contract["type"] == "forbidden"
    for source in contract["source_modules"]
    for target in contract["forbidden_modules"]
]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """import-linter on the packages in `folder`, by the contracts of this project."""
    program = str(Path(sys.executable).with_name("lint-imports"))
    arguments = ["--no-cache", "--config", str(ROOT / "pyproject.toml")]
    return subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def foreign_imports(folder: Path) -> set[str]:
    """Top-level packages that `folder` imports beside itself and the standard library."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in folder.rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names = plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {folder.name}


@pytest.fixture
def empty_house(tmp_path: Path) -> Path:
    """The root packages, each empty, with every module that a contract names."""
    modules = {*CONFIG["root_packages"], *(module for _, *pair in FORBIDDEN for module in pair)}
    for module in modules:
        folder = tmp_path
        for part in module.split("."):
            folder /= part
            folder.mkdir(exist_ok=True)
            (folder / "__init__.py").touch()
    return tmp_path


def test_contracts_hold() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_empty_house_breaks_nothing(empty_house: Path) -> None:
    done = lint_imports(empty_house)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("contract", "source", "target"), FORBIDDEN)
def test_a_forbidden_import_is_caught(empty_house: Path, contract: str, source: str, target: str) -> None:
    (empty_house / source.replace(".", "/") / "sneaky.py").write_text(f"import {target}\n")
    done = lint_imports(empty_house)
    assert done.returncode == 1
    assert f"{contract} BROKEN" in done.stdout


def test_roadmap_needs_the_standard_library_only() -> None:
    assert foreign_imports(ROOT / "roadmap") == set()


def test_a_foreign_import_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        f"import os.path, yaml.nodes\nfrom {tmp_path.name} import x\ndef f():\n from attrs import y"
    )
    assert foreign_imports(tmp_path) == {"yaml", "attrs"}

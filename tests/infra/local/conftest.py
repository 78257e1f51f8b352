"""Platforms for tests to share or to have for themselves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.local.door import Door, free_base


@pytest.fixture(scope="session", autouse=True)
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The door is compiled once a run and not at each call, even where the sources may not hold bytecode."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("bytecode")))
        patch.setenv("PYTHONDONTWRITEBYTECODE", "")
        yield


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    """A door to a data folder that does not exist yet; whatever was started there is stopped."""
    opened = Door(tmp_path / "data", free_base())
    yield opened
    if opened.data.is_dir():
        opened("down")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """Data that began in phase current and is at rest: `up --phase 1` upgrades it, and what was in it must survive."""
    opened = Door(tmp_path_factory.mktemp("platform") / "a folder with spaces, ünicode", free_base())
    done = opened("up", "--phase", "current", "--detach")
    assert done.returncode == 0, done.stderr
    assert opened("down").returncode == 0
    yield opened
    done = opened("down", "--wipe")
    assert done.returncode == 0, done.stderr
    assert not opened.data.exists()


@pytest.fixture
def platform(shared: Door) -> Door:
    """One platform of phase 1 for all tests that leave its data in place; it runs, whatever the test before did."""
    if shared("status").returncode != 0:
        done = shared("up", "--phase", "1", "--detach")
        assert done.returncode == 0, done.stderr
    return shared


@pytest.fixture
def stopped(shared: Door) -> Door:
    """The same platform, at rest."""
    assert shared("down").returncode == 0
    return shared

from pathlib import Path

import pytest

from infra.local.errors import PlatformError
from infra.local.folder import DEFAULT, Folder
from infra.local.host import Host

HOST = Host("/venv/python", Path("/project"), Path("/pg/bin"), Path("/bin/valkey-server"))


def test_the_default_does_not_depend_on_where_the_caller_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Folder.at(None).root == DEFAULT
    assert Folder.at("data").root == tmp_path / "data"


def test_a_link_and_its_target_are_one_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert Folder.at(str(tmp_path / "link")) == Folder.at(str(tmp_path / "real"))


def test_the_project_s_own_folder_is_taken_with_what_the_service_left_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secrets" / "tokens").mkdir(parents=True)
    with pytest.raises(PlatformError, match="not this platform's"):
        Folder(tmp_path).claim(HOST)
    monkeypatch.setattr("infra.local.folder.DEFAULT", tmp_path)
    Folder(tmp_path).claim(HOST)
    assert Folder(tmp_path).marker.is_file()


def test_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "data")
    folder.claim(HOST)
    modes = {room: room.stat().st_mode & 0o777 for room in (folder.secrets, folder.tokens, folder.run)}
    assert set(modes.values()) == {0o700}


def test_the_phase_is_remembered(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    assert folder.phase() is None
    folder.record_phase("current")
    assert folder.phase() == "current"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "7"])
def test_a_damaged_record_says_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "platform.json").write_text(text)
    with pytest.raises(PlatformError, match="remove this one file"):
        Folder(tmp_path).phase()

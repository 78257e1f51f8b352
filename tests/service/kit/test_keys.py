"""The folder of signing keys: private, shared by processes that start at once, and refused in a line when it is bad."""

import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from service.kit.keys import SPREAD_S, KeyFolder, KeyFolderError
from service.settings import Database
from tests.support import forge
from tests.support.keys import age
from tests.support.server import door, environment


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def test_only_the_owner_can_read_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = KeyFolder(tmp_path / "a" / "keys")
        folder.add(retire_after_s=None)
    finally:
        os.umask(before)
    path = tmp_path / "a" / "keys"
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    modes = {file.name.rpartition(".")[2]: stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()}
    assert modes == {"pem": 0o600, "secret": 0o600}


def test_processes_that_make_the_first_key_at_once_agree(tmp_path: Path) -> None:
    together = threading.Barrier(8)
    made: list[KeyFolder] = []

    def start() -> None:
        together.wait()
        made.append(KeyFolder(tmp_path / "keys"))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len({folder.derive("cursors") for folder in made}) == 1, "the secret is one from the first moment"
    for folder in made:
        folder.reload()
    assert len({folder.keys.kids for folder in made}) == 1
    assert len({folder.keys.signing.kid for folder in made}) == 1
    age(made[0], SPREAD_S + 1)
    for folder in made:
        folder.reload()
    assert len({folder.keys.signing.kid for folder in made}) == 1


def test_keys_come_back_as_they_were(tmp_path: Path) -> None:
    first = KeyFolder(tmp_path / "keys")
    again = KeyFolder(tmp_path / "keys")
    assert again.keys.kids == first.keys.kids
    assert again.derive("cursors") == first.derive("cursors")
    assert again.derive("cursors") != again.derive("idempotency fingerprints")


def test_a_key_is_removed_only_when_no_live_token_can_name_it(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path / "keys")
    lifetime_s = 3600.0
    [first] = folder.keys.kids
    second = folder.add(retire_after_s=lifetime_s)
    third = folder.add(retire_after_s=lifetime_s)
    folder.reload()
    assert folder.keys.kids == {first, second, third}
    moment = time.time() - lifetime_s - SPREAD_S - 1
    for kid in (first, second):
        os.utime(tmp_path / "keys" / f"{kid}.pem", (moment, moment))
    fourth = folder.add(retire_after_s=lifetime_s)
    folder.reload()
    assert folder.keys.kids == {second, third, fourth}, "the second may have signed until a moment ago"


BAD: dict[str, Callable[[Path], object]] = {
    "garbage": lambda path: (path / "x.pem").write_bytes(b"garbage"),
    "empty": lambda path: (path / "x.pem").write_bytes(b""),
    "cut": lambda path: (path / "x.pem").write_bytes(pem(forge.new_key())[:80]),
    "public only": lambda path: (path / "x.pem").write_bytes(forge.public_pem(forge.new_key())),
    "encrypted": lambda path: (path / "x.pem").write_bytes(pem(forge.new_key(), b"secret")),
    "another curve": lambda path: (path / "x.pem").write_bytes(pem(ec.generate_private_key(ec.SECP384R1()))),
    "RSA": lambda path: (path / "x.pem").write_bytes(pem(rsa.generate_private_key(65537, 2048))),
    "a folder": lambda path: (path / "x.pem").mkdir(),
    "a broken link": lambda path: (path / "x.pem").symlink_to("nowhere"),
    "an empty secret": lambda path: (path / "secret").write_bytes(b""),
    "a short secret": lambda path: (path / "secret").write_bytes(b"short"),
}


@pytest.mark.parametrize("how", BAD)
def test_a_file_that_is_no_key_is_named(tmp_path: Path, how: str) -> None:
    KeyFolder(tmp_path)
    BAD[how](tmp_path)
    with pytest.raises(KeyFolderError) as caught:
        KeyFolder(tmp_path)
    message = str(caught.value)
    assert str(tmp_path / ("secret" if "secret" in how else "x.pem")) in message
    assert "\n" not in message


def test_a_running_process_keeps_its_keys_when_a_bad_one_appears(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path)
    kids = folder.keys.kids
    (tmp_path / "x.pem").write_bytes(b"garbage")
    folder.reload()
    assert folder.keys.kids == kids


@pytest.mark.parametrize(
    "command",
    [["serve"], ["create-admin", "--email", "a@example.com", "--name", "Ada", "--password-stdin"], ["rotate-key"]],
)
def test_a_door_says_in_one_line_what_is_wrong_with_the_keys(
    database: Database, tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "x.pem").write_bytes(b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    done = door(*command, env=environment(database, tmp_path), stdin="secret 7\n")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert str(tmp_path / "x.pem") in line
    assert "c2VjcmV0" not in done.stderr + done.stdout


def test_a_folder_that_cannot_be_made_is_one_line(database: Database, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = door("serve", env=environment(database, tmp_path / "file" / "keys"))
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "TASKS_TOKENS_FOLDER" in line


def test_a_rotated_key_is_printed_and_added(database: Database, tmp_path: Path) -> None:
    before = KeyFolder(tmp_path).keys.kids
    done = door("rotate-key", env=environment(database, tmp_path))
    assert done.returncode == 0, done.stderr
    assert KeyFolder(tmp_path).keys.kids == before | {done.stdout.strip()}

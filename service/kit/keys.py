"""The keys that sign tokens, in a folder that every API process shares.

``<kid>.pem`` holds one P-256 private key; names begin with the time of making, so that the newest sorts last. All keys
verify; the newest that every process has had time to read signs. ``secret`` holds 32 random bytes for cursors and
idempotency fingerprints. Whatever is missing is made on first use, mode 0600.
"""

import hashlib
import hmac
import itertools
import os
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

# Processes look into the folder with every revocation poll (at most 2 s); a new key signs only after that.
SPREAD_S = 10.0
_SECRET_BYTES = 32


class KeyFolderError(Exception):
    """The folder cannot be read or written, or holds something that is not a key; the message says which."""


@dataclass(frozen=True, slots=True)
class Keys:
    signing: ECKey
    verifying: KeySet
    kids: frozenset[str]

    def public(self) -> dict[str, object]:
        """The JWK Set (RFC 7517) that others verify with."""
        return {"keys": [{**key.as_dict(private=False), "use": "sig", "alg": "ES256"} for key in self.verifying.keys]}


class KeyFolder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[str, ...] = ()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not list(folder.glob("*.pem")):
                self.add(retire_after_s=None)
            self._secret = self._read_secret()
            self.keys = self._load()
        except OSError as error:
            raise KeyFolderError(
                f"{error.filename or folder}: {error.strerror or error}: give TASKS_TOKENS_FOLDER a writable folder"
            ) from error

    def reload(self) -> None:
        """Takes up added and removed keys; keeps what it has while the folder cannot be read."""
        try:
            self.keys = self._load()
        except (OSError, KeyFolderError):
            return

    def add(self, *, retire_after_s: float | None) -> str:
        """Makes a new key and removes those that no live token can name; returns the new kid.

        ``retire_after_s`` is the lifetime of a token: a key may go once a younger one has signed for that long.
        """
        kid = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"
        if retire_after_s is not None:
            paths = sorted(self._folder.glob("*.pem"))
            for path, successor in itertools.pairwise(paths):
                if time.time() - successor.stat().st_mtime > retire_after_s + SPREAD_S:
                    path.unlink()
        _write_once(self._folder / f"{kid}.pem", ECKey.generate_key("P-256").as_pem(private=True))
        return kid

    def derive(self, purpose: str) -> bytes:
        """A key of its own for each purpose, so that no signature of one is valid for another."""
        return hmac.digest(self._secret, purpose.encode(), hashlib.sha256)

    def _read_secret(self) -> bytes:
        path = self._folder / "secret"
        if not path.exists():
            _write_once(path, secrets.token_bytes(_SECRET_BYTES))
        secret = path.read_bytes()
        if len(secret) != _SECRET_BYTES:
            raise KeyFolderError(f"{path}: does not hold {_SECRET_BYTES} bytes")
        return secret

    def _load(self) -> Keys:
        paths = sorted(self._folder.glob("*.pem"))
        if not paths:
            raise KeyFolderError(f"{self._folder}: holds no key")
        now = time.time()
        keys = [_read_key(path) for path in paths]
        settled = [key for key, path in zip(keys, paths, strict=True) if now - path.stat().st_mtime > SPREAD_S]
        signing = settled[-1] if settled else keys[0]
        return Keys(signing=signing, verifying=KeySet([*keys]), kids=frozenset(path.stem for path in paths))


def _read_key(path: Path) -> ECKey:
    refused = KeyFolderError(f"{path}: is not a private P-256 key in PEM")
    try:
        key = ECKey.import_key(path.read_bytes(), {"kid": path.stem})
    except (ValueError, TypeError, JoseError) as error:
        raise refused from error
    if key.curve_name != "P-256" or not key.is_private:
        raise refused
    return key


def _write_once(path: Path, content: bytes) -> None:
    """Appears whole or not at all, and never replaces what another process put there first."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()

"""Tombstones of erased users: keyed hashes that keep a person out without saying who the person was.

A hash without a key could be undone by hashing every id there is; so the key is a secret of the deployment. The first
line of the file is the hash of the empty id, which no user has: with another key it does not match, and a run that
would let erased people back in stops instead.
"""

import hmac
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from feature_repo.core.durable import write_durably
from feature_repo.core.errors import DatasetError
from feature_repo.core.workspace import Workspace

ENVIRONMENT = "ERASURE_KEY"
LEAST_KEY_BYTES = 16


@dataclass(frozen=True)
class Tombstones:
    """Keyed hashes of the erased users; `key` is empty where nobody was ever erased."""

    key: bytes = b""
    hashes: frozenset[str] = frozenset()

    def among(self, user_ids: Iterable[str]) -> list[str]:
        """Which of these users were erased. Give distinct ids: each costs one hash."""
        return [user_id for user_id in user_ids if keyed_hash(self.key, user_id) in self.hashes] if self.hashes else []


NOBODY = Tombstones()


def keyed_hash(key: bytes, user_id: str) -> str:
    """HMAC-SHA256 of a user id, 64 hexadecimal digits."""
    return hmac.digest(key, user_id.encode(), "sha256").hex()


def read_tombstones(workspace: Workspace) -> Tombstones:
    """Who was erased from this store.

    Raises:
        DatasetError: there are tombstones, and the key that made them is missing or another one.
    """
    path = _file(workspace)
    if not path.exists():
        return NOBODY
    check, *hashes = path.read_text(encoding="ascii").split()
    key = _known_key(workspace)
    if key is None:
        raise DatasetError(f"{path} holds tombstones and their key is not there: set {ENVIRONMENT} to it")
    if keyed_hash(key, "") != check:
        raise DatasetError(f"{path} was written with another key: set {ENVIRONMENT} to the one that made it")
    return Tombstones(key, frozenset(hashes))


def add_tombstone(workspace: Workspace, user_id: str) -> str:
    """Remember that a user was erased; on disk before this returns, safe to repeat. Returns the keyed hash."""
    workspace.store.mkdir(parents=True, exist_ok=True)
    with FileLock(workspace.store / "erased.lock"):
        known = read_tombstones(workspace)
        key = known.key or _known_key(workspace) or _make_key(workspace)
        erased = keyed_hash(key, user_id)
        lines = [keyed_hash(key, ""), *sorted(known.hashes | {erased})]
        write_durably(_file(workspace), "".join(f"{line}\n" for line in lines).encode())
    return erased


def _file(workspace: Workspace) -> Path:
    return workspace.store / "erased.txt"


def _key_file(workspace: Workspace) -> Path:
    return workspace.store / "erasure.key"


def _known_key(workspace: Workspace) -> bytes | None:
    given = os.environ.get(ENVIRONMENT, "").encode()
    if given and len(given) < LEAST_KEY_BYTES:
        raise DatasetError(f"{ENVIRONMENT} needs at least {LEAST_KEY_BYTES} bytes; got {len(given)}")
    if given:
        return given
    path = _key_file(workspace)
    return path.read_bytes() if path.exists() else None


def _make_key(workspace: Workspace) -> bytes:
    key = secrets.token_hex(32).encode()
    write_durably(_key_file(workspace), key)
    return key

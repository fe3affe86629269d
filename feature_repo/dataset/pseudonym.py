"""Pseudonyms of users: what the request log calls a person, so that the log alone says nothing about who was served.

HMAC-SHA256 under a secret of the deployment: whoever holds the key can find a person's rows, to erase them or to join
events to them, and whoever has only the log cannot, not even by hashing every id there is.

In production the key comes from the environment. Without it a key is made in the store's own folder, which is enough
for a laptop and no more: whoever copies the whole store has log and key together. The service says so at its start.
"""

import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from filelock import FileLock

from feature_repo.core.durable import write_durably
from feature_repo.core.errors import DatasetError
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.tombstone import LEAST_KEY_BYTES, keyed_hash

ENVIRONMENT = "RECOMMENDER_PSEUDONYM_KEY"
CHECK_DIGITS = 16


@dataclass(frozen=True)
class Pseudonyms:
    """The pseudonyms under one key. `check` names the key without giving it away; every file of the log carries it."""

    key: bytes
    in_store: bool  # the key lies in the store's folder, beside the log that it protects

    @property
    def check(self) -> str:
        # No user has the empty id, so this is nobody's pseudonym.
        return keyed_hash(self.key, "")[:CHECK_DIGITS]

    def of(self, user_id: str) -> str:
        """64 hexadecimal digits."""
        return _pseudonym(self.key, user_id)

    def by_pseudonym(self, user_ids: Iterable[str]) -> dict[str, str]:
        """The user of each pseudonym: only for users whose ids are known can rows be joined to events."""
        return {keyed_hash(self.key, user): user for user in user_ids}


@lru_cache(maxsize=4_096)
def _pseudonym(key: bytes, user_id: str) -> str:
    return keyed_hash(key, user_id)


def open_pseudonyms(workspace: Workspace) -> Pseudonyms:
    """The pseudonyms of this deployment; makes a key in the store where there is none.

    Raises:
        DatasetError: the key in the environment is too short.
        OSError: the store takes no key.
    """
    found = known_pseudonyms(workspace)
    if found is not None:
        return found
    workspace.store.mkdir(parents=True, exist_ok=True)
    with FileLock(workspace.store / "pseudonym.lock"):
        if not _file(workspace).exists():
            # A key that is lost is a log in which nobody is found again: on disk before the first row is.
            write_durably(_file(workspace), secrets.token_hex(32).encode())
    return Pseudonyms(_file(workspace).read_bytes(), in_store=True)


def known_pseudonyms(workspace: Workspace) -> Pseudonyms | None:
    """The pseudonyms of this deployment, None where no key was ever given or made.

    Raises:
        DatasetError: the key in the environment is too short.
    """
    given = os.environ.get(ENVIRONMENT, "").encode()
    if given and len(given) < LEAST_KEY_BYTES:
        raise DatasetError(f"{ENVIRONMENT} needs at least {LEAST_KEY_BYTES} bytes; got {len(given)}")
    if given:
        return Pseudonyms(given, in_store=False)
    path = _file(workspace)
    return Pseudonyms(path.read_bytes(), in_store=True) if path.exists() else None


def _file(workspace: Workspace) -> Path:
    return workspace.store / "pseudonym.key"

"""One mover of aliases at a time, each with a number higher than any before it.

The lock is PostgreSQL's where the registry is in PostgreSQL, or where REGISTRY_LOCK_URL names one (a registry behind an
MLflow server); else a file in the workspace, which holds for the processes that share it. Either ends with its holder.
A lock can be lost without a word (the connection breaks, the disk is another one), so a mover also has a fencing token:
a number that every taker of the lock raises. What was written with a lower one is refused.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from filelock import FileLock, Timeout
from mlflow import MlflowClient

from feature_repo.core.workspace import Workspace
from training.registry.connection import connect, ensure_model, tracking_uri
from training.registry.names import FENCE_TAG, MODEL, MoveRefused
from training.registry.postgres_lock import Check, is_postgres, one_at_a_time

LOCK_URL = "REGISTRY_LOCK_URL"
LOCK = "recommender aliases"
# A move may wait for pods to come up, and whoever trains meanwhile waits for the move.
LOCK_SECONDS = 600.0


@dataclass(frozen=True)
class Held:
    """The lock, while it is held."""

    client: MlflowClient
    fence: int
    connected: Check

    def check(self) -> None:
        """To be asked before every write.

        Raises:
            MoveRefused: the lock was lost, or somebody took it since.
        """
        self.connected()
        newest = fence_of(self.client)
        if newest != self.fence:
            raise MoveRefused(f"the lock of mover {self.fence} was taken over by mover {newest}: run the command again")


@contextmanager
def alias_lock(workspace: Workspace, *, wait_seconds: float = LOCK_SECONDS) -> Iterator[Held]:
    """Hold the lock of the aliases; the registered model is made where there is none.

    Raises:
        MoveRefused: another process holds it for longer than `wait_seconds`.
    """
    url = lock_url(workspace)
    hold = _file_lock(workspace, wait_seconds) if url is None else one_at_a_time(url, LOCK, wait_seconds=wait_seconds)
    with hold as connected:
        client = connect(workspace)
        ensure_model(client)
        fence = fence_of(client) + 1
        client.set_registered_model_tag(MODEL, FENCE_TAG, str(fence))
        yield Held(client, fence, connected)


def lock_url(workspace: Workspace) -> str | None:
    """The PostgreSQL that keeps the lock; None where a file does."""
    named = os.environ.get(LOCK_URL)
    if named and not is_postgres(named):
        raise MoveRefused(f"{LOCK_URL} names a PostgreSQL, as postgresql://host/database; got {_scheme(named)}")
    uri = tracking_uri(workspace)
    return named or (uri if is_postgres(uri) else None)


def fence_of(client: MlflowClient) -> int:
    """The number of the newest holder; 0 before the first."""
    return int(client.get_registered_model(MODEL).tags.get(FENCE_TAG, "0"))


@contextmanager
def _file_lock(workspace: Workspace, wait_seconds: float) -> Iterator[Callable[[], None]]:
    workspace.mlflow.mkdir(parents=True, exist_ok=True)
    lock = FileLock(workspace.mlflow / "aliases.lock")
    try:
        lock.acquire(timeout=wait_seconds)
    except Timeout:
        raise MoveRefused(f"the lock {LOCK!r} is held by another process for over {wait_seconds:g} s") from None
    try:
        yield lambda: None
    finally:
        lock.release()


def _scheme(url: str) -> str:
    return url.partition("://")[0]

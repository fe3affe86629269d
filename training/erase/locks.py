"""While a person is erased, nobody prepares data, trains or streams in the workspace."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from feature_repo.core.errors import RecommenderError


class Busy(RecommenderError):
    """Another command is at work in the workspace."""


@contextmanager
def held(lock: Path, *, busy: str) -> Iterator[None]:
    """Hold a lock that another command takes, too.

    Raises:
        Busy: it is taken; `busy` says by what.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=0):
            yield
    except Timeout:
        raise Busy(f"{busy} in {lock.parent}: wait for it to end, or stop it") from None

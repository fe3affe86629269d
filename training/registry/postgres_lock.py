"""A lock in PostgreSQL: an advisory lock, held by one connection and gone with it, whatever became of the holder."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from training.registry.names import MoveRefused

Check = Callable[[], None]


def is_postgres(uri: str) -> bool:
    return uri.partition("://")[0].partition("+")[0] in ("postgresql", "postgres")


@contextmanager
def one_at_a_time(uri: str, name: str, *, wait_seconds: float) -> Iterator[Check]:
    """Hold the lock `name` of the database at `uri`; yields a check that it is still held.

    Raises:
        MoveRefused: another process holds it for longer than `wait_seconds`; the check raises it when the connection,
            and with it the lock, is lost.
    """
    # Not through SQLAlchemy: its connections come back by themselves, and the lock does not.
    import psycopg

    key = key_of(name)
    # Without a transaction: an idle one would be ended by the server's own time limit, and hold back its vacuum.
    with psycopg.connect(_libpq(uri), autocommit=True) as connection:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", [f"{wait_seconds:.3f}s"])
        try:
            connection.execute("SELECT pg_advisory_lock(%s)", [key])
        except psycopg.errors.LockNotAvailable:
            raise MoveRefused(f"the lock {name!r} is held by another process for over {wait_seconds:g} s") from None

        def check() -> None:
            try:
                connection.execute("SELECT 1")
            except psycopg.OperationalError:
                raise MoveRefused(
                    f"the connection that held the lock {name!r} was lost: run the command again"
                ) from None

        try:
            yield check
        finally:
            with contextlib.suppress(psycopg.OperationalError):  # a lost connection has let go of it already
                connection.execute("SELECT pg_advisory_unlock(%s)", [key])


def key_of(name: str) -> int:
    """An advisory lock's name is a signed 64-bit number."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


def _libpq(uri: str) -> str:
    """The address without the name of a Python driver, which SQLAlchemy reads and PostgreSQL does not know."""
    return f"postgresql://{uri.partition('://')[2]}"

"""A PostgreSQL of this test run alone: its own cluster in a new folder, on a free port of the loopback address.

PostgreSQL refuses to run as root, so as root it runs as Debian's user postgres.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from k8s.loopback import free_ports

# Fast, and lost with the machine: what is tested is locking, not PostgreSQL's disks.
SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "unix_socket_directories=")
USER = "postgres"


def postgres_programs() -> Path | None:
    """The folder of initdb and pg_ctl; Debian keeps them off the path."""
    on_path = shutil.which("initdb")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parent.parent.name))
    if not on_path and not found:
        return None
    return Path(on_path).resolve().parent if on_path else found[-1].parent


@contextmanager
def running_cluster(programs: Path) -> Iterator[str]:
    """A cluster while the block lasts; yields its address without a database's name."""
    (port,), folder = free_ports(1), Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, USER, pwd.getpwnam(USER).pw_gid)
        data = folder / "data"
        _run(programs / "initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync", "--no-locale")
        options = " ".join(["-i", f"-p {port}", "-h 127.0.0.1", *(f"-c {setting}" for setting in SETTINGS)])
        _run(programs / "pg_ctl", "-D", data, "-l", folder / "log", "-o", options, "-w", "start")
        try:
            yield f"postgresql://{USER}@127.0.0.1:{port}"
        finally:
            _run(programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new_database(address: str, name: str) -> str:
    """An empty database; returns its address with the driver that is installed."""
    with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return f"{address.replace('postgresql', 'postgresql+psycopg', 1)}/{name}"


def _run(*command: object) -> None:
    user = USER if os.geteuid() == 0 else None
    subprocess.run(
        [str(part) for part in command], check=True, user=user, cwd="/", stdin=subprocess.DEVNULL, capture_output=True
    )

"""A redis-server that is killed without warning and comes back with what it had last saved."""

import shutil
import subprocess
import time
from pathlib import Path

import redis

START_SECONDS = 10.0


class KillableRedis:
    """On one port of the loopback address. It saves when it is told to, and at no other time."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Returns when it answers."""
        program = shutil.which("redis-server")
        assert program is not None
        options = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([program, *options], stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        with redis.Redis(port=self._port) as client:
            while True:
                try:
                    client.ping()
                except (redis.ConnectionError, redis.BusyLoadingError):
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)
                else:
                    return

    def save(self) -> None:
        with redis.Redis(port=self._port) as client:
            client.save()

    def kill(self) -> None:
        """It gets no chance to say goodbye. A dead one stays dead."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

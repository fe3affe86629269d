"""Clients that ask a server for slates, one request after another, and remember every answer."""

import http.client
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from serving.process import HOST, call_on

PAUSE_SECONDS = 0.005
TIMEOUT_SECONDS = 30.0
NO_ANSWER = 0
SLATE = 10


@dataclass(frozen=True)
class Answered:
    """One answer; times are those of `time.monotonic`. The status of a request that got no answer is NO_ANSWER."""

    sent: float
    at: float
    status: int
    user_id: str
    body: dict[str, Any]

    @property
    def seconds(self) -> float:
        return self.at - self.sent

    @property
    def degraded(self) -> bool:
        return bool(self.body.get("degraded"))


@contextmanager
def steady_load(
    port: int, users: Sequence[str], *, clients: int, context: dict[str, str], pause: float = PAUSE_SECONDS
) -> Iterator[list[Answered]]:
    """The answers so far, in order of arrival; no more come after the block."""
    answers: list[Answered] = []
    ended = threading.Event()

    def client(place: int) -> None:
        connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_SECONDS)
        for number in count(place):
            if ended.wait(pause):
                break
            user = users[number % len(users)]
            body = json.dumps({"user_id": user, "k": SLATE, "context": context}).encode()
            sent = time.monotonic()
            try:
                reply = call_on(connection, "POST", "/recommend", body)
                answer = reply.json() if reply.status == http.client.OK else {}
                answers.append(Answered(sent, time.monotonic(), reply.status, user, answer))
            except (OSError, http.client.HTTPException) as error:
                answers.append(Answered(sent, time.monotonic(), NO_ANSWER, user, {"error": repr(error)}))
                connection.close()
        connection.close()

    threads = [threading.Thread(target=client, args=(place,), name=f"client-{place}") for place in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        ended.set()
        for thread in threads:
            thread.join()

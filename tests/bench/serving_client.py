"""A connection that asks one endpoint, and reads of HTTP no more than status and length.

So a load generator stays far from being the limit; a row of the benchmark shows how far.
"""

import asyncio
from collections.abc import Callable

HOST = "127.0.0.1"
PATH = "/recommend"


class Connection(asyncio.Protocol):
    """One request at a time; `on_answer(status, body)` when it is whole, status 0 when the connection ends before."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._on_answer: Callable[[int, bytes], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, request: bytes, on_answer: Callable[[int, bytes], None]) -> None:
        assert self._transport is not None
        self._on_answer = on_answer
        self._transport.write(request)

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._received[:end]).lower()
        length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(self._received) >= end + 4 + length:
            body = bytes(self._received[end + 4 : end + 4 + length])
            self._received.clear()
            self._done(int(head[9:12]), body)

    def connection_lost(self, _: Exception | None) -> None:
        self._done(0, b"")

    def _done(self, status: int, body: bytes) -> None:
        on_answer, self._on_answer = self._on_answer, None
        if on_answer is not None:
            on_answer(status, body)


async def connect(port: int) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, HOST, port)
    return connection


def request_of(body: bytes) -> bytes:
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body

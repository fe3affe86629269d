"""This machine's own network: its address, free ports, and clients that never leave it."""

import socket
from contextlib import ExitStack, closing

import httpx

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> tuple[int, ...]:
    """Loopback ports that were free a moment ago. Held together, so that they differ."""
    with ExitStack() as held:
        sockets = [held.enter_context(closing(socket.socket())) for _ in range(count)]
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return tuple(int(one.getsockname()[1]) for one in sockets)


def loopback_client(*, timeout_seconds: float = 10.0) -> httpx.Client:
    """A keep-alive client. It asks the environment for no proxy, which would be handed our requests."""
    return httpx.Client(timeout=timeout_seconds, trust_env=False)

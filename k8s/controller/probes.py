"""How the controller is: /livez, /readyz and /metrics, answered by a thread of its own."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATHS = frozenset({"/livez", "/readyz", "/metrics"})


@contextmanager
def answering(port: int, *, alive: Callable[[], bool], registry: Any, host: str = "0.0.0.0") -> Iterator[int]:
    """Answer while the block lasts; gives the port. Unready until the first turn, and dead once turns stop coming."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """A probe every few seconds is no event."""

        def do_GET(self) -> None:
            status, kind, body = answer_to(self.path, alive=alive, registry=registry, started=started)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def started() -> bool:
        seen[0] = seen[0] or alive()
        return seen[0]

    seen = [False]
    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="probes", daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer_to(
    path: str, *, alive: Callable[[], bool], registry: Any, started: Callable[[], bool]
) -> tuple[int, str, bytes]:
    """Status, content type and body for a path. Before the first turn it lives and is not ready."""
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

    if path == "/metrics":
        return 200, CONTENT_TYPE_LATEST, generate_latest(registry)
    if path not in PATHS:
        return 404, "text/plain", b"not here\n"
    holds = alive() if path == "/readyz" or started() else True
    return (200, "text/plain", b"ok\n") if holds else (503, "text/plain", b"no turn for too long\n")

"""A small Kubernetes API server: real HTTP, objects in memory. The real `kubernetes` client talks to it.

What it does: create, read, list, replace, merge patch and strategic merge patch (lists of things with a `name` are
merged by it), delete, for the namespaced kinds of `fake_api_objects.KINDS`; `resourceVersion` that rises with every
write and 409 for a stale one; `generation` that rises with `spec` only; the `status` subresource, which alone writes
`status`; label selectors (`=`, `==`, `!=`, `in`, `notin`, a key, `!` and a key); list versions; watches from a version
on, with a bookmark at their time limit, and 410 where the history has been forgotten; names as in DNS (422). And, on
demand, what goes wrong: every connection cut without an answer, watches dropped, history forgotten, and a rival that
writes an object right before each write of it.

What it does not: it has no schemas, defaults, admission, field manager, server-side apply, JSON patch, paging,
finalizers, field selectors, authentication, permissions, TLS, discovery or namespaces as objects, and above all no
controllers: nobody makes pods of a Deployment, nobody runs Jobs, no gateway follows a route. `cluster_hands.py` plays
those, also against a real API server that has no such controllers beside it.
"""

import json
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from fake_api_objects import CLUSTER_WIDE, KINDS, Object, Objects, Refused, version_of

PATH = re.compile(
    r"(?P<api>/api/v1|/apis/[^/]+/[^/]+)(/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[^/]+)"
    r"(/(?P<name>[^/]+)(/(?P<part>status))?)?"
)


class FakeApiServer:
    """The server. `address` is where it listens while `running` lasts."""

    def __init__(self) -> None:
        self.objects = Objects()
        self.requests: list[tuple[str, str]] = []  # method and path of each that arrived
        self._away = threading.Event()
        self._answers_to_lose = 0
        self._epoch = 0  # watches of an earlier epoch are cut off
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.fake = self
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator["FakeApiServer"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self.drop_watches()
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    @property
    def is_away(self) -> bool:
        return self._away.is_set()

    @property
    def epoch(self) -> int:
        return self._epoch

    def leave(self) -> None:
        """From now on every connection is cut without an answer, watches too."""
        self._away.set()
        self.drop_watches()

    def come_back(self) -> None:
        self._away.clear()

    def lose_answers(self, times: int) -> None:
        """The next writes are done, and their connections cut before the answer."""
        self._answers_to_lose = times

    def loses_this_answer(self, method: str) -> bool:
        if method == "GET" or self._answers_to_lose == 0:
            return False
        self._answers_to_lose -= 1
        return True

    def drop_watches(self) -> None:
        """Cut every watch off, in the middle of its stream."""
        with self.objects.changed:
            self._epoch += 1
            self.objects.changed.notify_all()

    @contextmanager
    def rival(self, *plurals: str, times: int = 1_000_000, pausing: bool = False) -> Iterator[None]:
        """Somebody writes each object of these kinds right before each write of ours, so many times.

        `pausing` lets the next write through: every write meets a conflict, and its second attempt does not.
        """
        with self.objects.changed:
            self.objects.rivals, self.objects.rivals_pause = dict.fromkeys(plurals, times), pausing
        try:
            yield
        finally:
            with self.objects.changed:
                self.objects.rivals = {}

    def writes(self, plural: str) -> int:
        """How many PUT and PATCH of this kind arrived, its status left out."""
        return sum(
            method in ("PUT", "PATCH") and f"/{plural}/" in path and not path.endswith("/status")
            for method, path in self.requests
        )

    def write_kubeconfig(self, path: Path) -> Path:
        path.write_text(yaml.safe_dump(kubeconfig_of(self.address)), encoding="utf-8")
        return path


def kubeconfig_of(address: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "fake", "cluster": {"server": address}}],
        "users": [{"name": "fake", "user": {}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
        "current-context": "fake",
    }


class Server(ThreadingHTTPServer):
    """Says nothing of clients that went away in the middle, as killed ones do."""

    daemon_threads = True
    fake: FakeApiServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def fake(self) -> "FakeApiServer":
        return self.server.fake  # type: ignore[attr-defined, no-any-return]

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def _answer(self) -> None:
        url = urlsplit(self.path)
        asked = {key: values[-1] for key, values in parse_qs(url.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.fake.requests.append((self.command, url.path))
        if self.fake.is_away:
            self._cut()
            return
        try:
            found = PATH.fullmatch(url.path)
            if not found or KINDS.get(found["plural"], ("",))[0] != found["api"]:
                raise Refused(404, "NotFound", "the server could not find the requested resource")
            if bool(found["namespace"]) == (found["plural"] in CLUSTER_WIDE):
                raise Refused(404, "NotFound", "this server lists namespaced kinds by namespace only")
            if asked.get("watch") in ("true", "True", "1"):
                if "sendInitialEvents" in asked:
                    raise Refused(422, "Invalid", "sendInitialEvents is forbidden for watch: it is not known here")
                self._watch(found["plural"], found["namespace"] or "", asked)
            else:
                done = self._done(found, asked, json.loads(body) if body else {})
                if self.fake.loses_this_answer(self.command):
                    self._cut()
                else:
                    self._send(*done)
        except Refused as refused:
            self._send(int(refused.status["code"]), refused.status)

    def _done(self, found: re.Match[str], asked: dict[str, str], body: Object) -> tuple[int, Object]:
        objects, key = self.fake.objects, (found["plural"], found["namespace"] or "", found["name"] or "")
        if self.command == "POST":
            return 201, objects.create(key[0], key[1], body)
        if self.command == "PUT":
            return 200, objects.replace(key, body, part=found["part"])
        if self.command == "PATCH":
            kind = str(self.headers.get("Content-Type")).partition(";")[0]
            known = {"application/merge-patch+json": False, "application/strategic-merge-patch+json": True}
            if kind not in known or (known[kind] and key[0] == "httproutes"):
                raise Refused(415, "UnsupportedMediaType", f"the body of the request was in an unknown format: {kind}")
            return 200, objects.patch(key, body, strategic=known[kind], part=found["part"])
        if self.command == "DELETE":
            return 200, objects.delete(key)
        if found["name"]:
            return 200, objects.read(key)
        return 200, objects.listed(key[0], key[1], asked.get("labelSelector", ""))

    def _send(self, code: int, value: Object) -> None:
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _watch(self, plural: str, namespace: str, asked: dict[str, str]) -> None:
        after = int(asked.get("resourceVersion") or self.fake.objects.version)
        with self.fake.objects.changed:
            self.fake.objects.events_after(after, plural, namespace, "")  # 410 before the first byte
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        deadline = time.monotonic() + float(asked.get("timeoutSeconds", 1800))
        for kind, value in self._events(after, plural, namespace, asked.get("labelSelector", ""), deadline):
            after = int(value.get("metadata", {}).get("resourceVersion") or after)
            self._chunk({"type": kind, "object": value})
            if kind == "ERROR":
                break
        if time.monotonic() < deadline:
            self._cut()
            return
        api, kind = KINDS[plural]
        bookmark = {"apiVersion": version_of(api), "kind": kind, "metadata": {"resourceVersion": str(after)}}
        self._chunk({"type": "BOOKMARK", "object": bookmark})
        with suppress(OSError):
            self.wfile.write(b"0\r\n\r\n")

    def _events(
        self, after: int, plural: str, namespace: str, selector: str, deadline: float
    ) -> Iterator[tuple[str, Object]]:
        """Events as they happen, until the deadline, or until watches are cut off."""
        objects, epoch = self.fake.objects, self.fake.epoch
        while (left := deadline - time.monotonic()) > 0 and self.fake.epoch == epoch:
            try:
                with objects.changed:
                    if not (found := objects.events_after(after, plural, namespace, selector)):
                        objects.changed.wait(min(1.0, left))
            except Refused as refused:
                yield "ERROR", refused.status
                return
            for at, kind, value in found:
                after = at
                yield kind, value

    def _chunk(self, value: Object) -> None:
        line = json.dumps(value).encode() + b"\n"
        with suppress(OSError):
            self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            self.wfile.flush()

    def _cut(self) -> None:
        """End the connection as a cable that is pulled would."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

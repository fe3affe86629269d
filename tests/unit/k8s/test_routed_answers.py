"""A gateway is asked with a bucket and the route's host, and whatever it answers has a name."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from k8s.cluster.routed import answers
from k8s.cluster.settings import ClusterSettings
from k8s.loopback import LOOPBACK

SEEN: list[tuple[object, ...]] = []


class Gateway(BaseHTTPRequestHandler):
    """Two replicas, of which one is behind; it knows one host only."""

    def do_GET(self) -> None:
        asked = tuple(self.headers[name] for name in ("Host", "X-Recommender-Bucket", "Connection"))
        SEEN.append((self.path, *asked))
        side = "canary" if len(SEEN) % 2 else "stable"
        known = asked[0] == "shop.example.org"
        self.send_response(200 if known else 404)
        self.end_headers()
        self.wfile.write(json.dumps({"variant": side}).encode() if known else b"404 page not found")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def settings() -> Iterator[ClusterSettings]:
    with HTTPServer((LOOPBACK, 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield ClusterSettings(gateway=f"http://{LOOPBACK}:{server.server_port}", gateway_answers=4)
        server.shutdown()
        thread.join()


def test_several_replicas_are_asked_so_that_one_that_is_behind_is_heard(settings: ClusterSettings) -> None:
    SEEN.clear()

    assert answers(settings, host="shop.example.org", bucket=7) == {"stable", "canary"}
    assert SEEN == [("/readyz", "shop.example.org", "7", "close")] * 4


def test_what_is_no_answer_of_a_version_is_no_side(settings: ClusterSettings) -> None:
    nobody = settings.model_copy(update={"gateway": "http://127.0.0.1:1"})

    assert answers(settings, host=None, bucket=7) == {"status 404"}
    assert answers(nobody, host=None, bucket=7) == {"ConnectError"}

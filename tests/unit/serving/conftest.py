"""A service without its heavy parts, see serving_parts.py, and a client of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from prometheus_client import CollectorRegistry
from serving_parts import tiny_runtime
from starlette.applications import Starlette

from feature_repo.dataset.pseudonym import Pseudonyms
from serving.app import create_app
from serving.metrics import register_metrics
from serving.request_log import RequestLog
from serving.runtime import Runtime
from serving.settings import ServingSettings

PSEUDONYMS = Pseudonyms(b"a key of a test, no more", in_store=False)


@dataclass(frozen=True)
class Client:
    """Calls an app without a network, from tests that are not coroutines."""

    portal: BlockingPortal
    http: httpx.AsyncClient

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.portal.call(partial(self.http.get, path, **options))

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.portal.call(partial(self.http.post, path, **options))


@contextmanager
def client_of(app: Starlette, *, started: bool = True) -> Iterator[Client]:
    """A client of `app`; with `started` its lifespan runs around it, as a server would do."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    with start_blocking_portal() as portal:
        client = Client(portal, httpx.AsyncClient(transport=transport, base_url="http://service"))
        if started:
            with portal.wrap_async_context_manager(app.router.lifespan_context(app)):
                yield client
        else:
            yield client
        portal.call(client.http.aclose)


@pytest.fixture
def serve() -> Callable[..., Any]:
    return client_of


@pytest.fixture
def settings(tmp_path: Path) -> ServingSettings:
    limits = {"max_body_bytes": 2_048, "deadline_ms": 5_000, "store_ms": 2_000}  # a busy machine is no slow store
    return ServingSettings(version="7", bundle=tmp_path / "bundle", log_flush_seconds=0.05, **limits)


@pytest.fixture
def runtime(settings: ServingSettings, tmp_path: Path) -> Iterator[Runtime]:
    metrics = register_metrics(CollectorRegistry())
    log = RequestLog(
        tmp_path / "store" / "request_log",
        name="test",
        queue_rows=100,
        flush_rows=10,
        flush_seconds=0.05,
        on_dropped=metrics.log_dropped.inc,
        pseudonyms=lambda: PSEUDONYMS,
    )
    log.start()
    runtime = tiny_runtime(tmp_path, settings, metrics, log)
    yield runtime
    runtime.close()


@pytest.fixture
def client(runtime: Runtime) -> Iterator[Client]:
    with client_of(create_app(lambda: runtime)) as client:
        yield client


@pytest.fixture
def count(runtime: Runtime) -> Callable[..., float]:
    """The value of one of the runtime's counters."""

    def value_of(counter: str, *labels: str) -> float:
        found = getattr(runtime.metrics, counter)
        return float((found.labels(*labels) if labels else found)._value.get())

    return value_of

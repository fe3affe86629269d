"""A service without its heavy parts: ten items, a known user, and a recommender whose answers are known."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from feature_repo.core.errors import StoreUnavailable
from serving.app import create_app
from serving.inbox import Inbox
from serving.metrics import register_metrics
from serving.request_log import RequestLog
from serving.runtime import Runtime
from serving.settings import ServingSettings
from training.slate import Candidates, RankedItem, Request, Slate

ITEMS = tuple(f"i{n}" for n in range(10))
ROWS = {"known": {"history": ["i9"], "age": 30.0}}


@dataclass
class FakeRecommender:
    """Ranks i0 first, then i1 and so on, and remembers what it was asked."""

    feature_names: tuple[str, ...] = ("place", "constant")
    asked: list[tuple[Request, Mapping[str, Any] | None]] = field(default_factory=list)
    breaks: bool = False

    def recommend(self, request: Request, user: Mapping[str, Any] | None) -> Slate:
        if self.breaks:
            raise ZeroDivisionError("a bug")
        self.asked.append((request, user))
        ids = np.array([item for item in ITEMS if item not in request.exclude], object)
        scores = -np.arange(len(ids), dtype=np.float32)
        features = np.stack([scores, np.ones_like(scores)], axis=1)
        sources = np.full(len(ids), "fake", object)
        degraded = () if user is not None else ("features",)
        return Slate(self.similar("", request.k), Candidates(ids, sources, features, scores), degraded)

    def similar(self, item_id: str, k: int) -> tuple[RankedItem, ...]:
        others = [item for item in ITEMS if item != item_id][:k]
        return tuple(RankedItem(item, float(-n), n + 1, "fake") for n, item in enumerate(others))

    def item(self, item_id: str) -> dict[str, Any]:
        return {"title": f"Title of {item_id} </script>"} if item_id in ITEMS else {}


@dataclass
class FakeReader:
    """Knows one user; can be down."""

    down: bool = False

    def user_row(self, user_id: str) -> dict[str, Any]:
        if self.down:
            raise StoreUnavailable("the store is down")
        return ROWS.get(user_id, {})


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
    return ServingSettings(version="7", bundle=tmp_path / "bundle", log_flush_seconds=0.05, max_body_bytes=2_048)


@pytest.fixture
def runtime(settings: ServingSettings, tmp_path: Path) -> Runtime:
    metrics = register_metrics(CollectorRegistry())
    log = RequestLog(
        tmp_path / "store" / "request_log",
        name="test",
        queue_rows=100,
        flush_rows=10,
        flush_seconds=0.05,
        on_dropped=metrics.log_dropped.inc,
    )
    log.start()
    return Runtime(
        settings=settings,
        recommender=FakeRecommender(),  # type: ignore[arg-type]
        reader=FakeReader(),
        log=log,
        inbox=Inbox(tmp_path / "store" / "received", remembered=1_000),
        metrics=metrics,
        data_until=datetime(1998, 4, 23, tzinfo=UTC),
    )


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

"""A service without its heavy parts: ten items in a known order, a store that can fail, the real stages over both."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from feature_repo.core.errors import StoreUnavailable
from feature_repo.core.steps import Steps
from feature_repo.store.item_table import ItemTable, item_table
from serving.graph.assemble import assemble
from serving.graph.preferences import PreferenceFiles
from serving.graph.recent import RecentEvents
from serving.inbox import Inbox
from serving.metrics import Metrics
from serving.request_log import RequestLog
from serving.rerank.live_rules import RuleSet, rule_set
from serving.rerank.rules import Rules
from serving.runtime import Runtime
from serving.settings import ServingSettings
from training.slate import RankedItem, Request

ITEMS = tuple(f"i{n}" for n in range(10))
GENRES = ("drama", "comedy")  # of even and odd items
ROWS: dict[str, dict[str, Any]] = {"known": {"history": ["i9"], "age": 30.0}}
NOW = datetime(2024, 5, 1, tzinfo=UTC)


@dataclass(frozen=True)
class FakeRetrieved:
    """Candidates as the real ones are: rows, ids, sources, and columns of what retrieval knows."""

    rows: Any
    item_ids: Any
    sources: Any
    retrieval: dict[str, Any]


@dataclass
class FakeRecommender:
    """Ranks i0 first, then i1 and so on, and remembers what it was asked. `breaks` names the methods that fail."""

    feature_names: tuple[str, ...] = ("place", "constant")
    asked: list[tuple[Request, Mapping[str, Any]]] = field(default_factory=list)
    breaks: set[str] = field(default_factory=set)
    repeats: bool = True
    most: int = 10  # candidates
    slow: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.items: ItemTable = item_table(
            pa.table({"item_id": ITEMS, "genre": [GENRES[n % 2] for n in range(10)]}), NOW
        )
        angles = np.arange(10) * np.pi / 18  # i0 and i9 are at right angles, neighbours are alike
        self.embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
        self.bundle = SimpleNamespace(repeat_consumption=self.repeats)
        ages = np.where(np.arange(10) < 8, 400.0, np.nan)  # the last two are new
        self.catalogue = SimpleNamespace(state=lambda _: {"item_age_days": ages, "item_events_30d": np.arange(10.0)})

    def retrieve_in_steps(
        self, request: Request, user: Mapping[str, Any], *, allowed: Any = None
    ) -> Steps[FakeRetrieved]:
        yield
        self._may("retrieve")
        self.asked.append((request, user))
        return self._found(request, user, allowed, "fake")

    def popular(self, request: Request, user: Mapping[str, Any], *, allowed: Any = None) -> FakeRetrieved:
        self._may("popular")
        found = self._found(request, user, allowed, "popular")
        return FakeRetrieved(found.rows[::-1], found.item_ids[::-1], found.sources, found.retrieval)

    def features(self, retrieved: FakeRetrieved) -> Any:
        self._may("features")
        places = -np.arange(len(retrieved.rows), dtype=np.float32)
        return np.stack([places, np.ones_like(places)], axis=1)

    def rank_scores(self, matrix: Any) -> Any:
        self._may("rank_scores")
        return matrix[:, 0].copy()

    def similar(self, item_id: str, k: int) -> tuple[RankedItem, ...]:
        others = [item for item in ITEMS if item != item_id][:k]
        return tuple(RankedItem(item, float(-n), n + 1, "fake") for n, item in enumerate(others))

    def item(self, item_id: str) -> dict[str, Any]:
        return {"title": f"Title of {item_id} </script>"} if item_id in ITEMS else {}

    def _found(self, request: Request, user: Mapping[str, Any], allowed: Any, source: str) -> FakeRetrieved:
        gone = set(request.exclude)
        if not self.repeats:
            gone |= {*user.get("seen_items", ()), *request.session}
        rows = [n for n, item in enumerate(ITEMS) if item not in gone and (allowed is None or allowed[n])][: self.most]
        ids = self.items.item_ids.take(np.array(rows, np.int64))
        return FakeRetrieved(np.array(rows, np.int64), ids, np.full(len(rows), source, object), {})

    def _may(self, method: str) -> None:
        time.sleep(self.slow.get(method, 0.0))
        if method in self.breaks:
            raise ZeroDivisionError(f"a bug in {method}")


@dataclass
class FakeReader:
    """Knows some users; can be down, and can be slow (seconds)."""

    down: bool = False
    slow: float = 0.0
    rows: dict[str, dict[str, Any]] = field(default_factory=lambda: dict(ROWS))
    reads: int = 0
    row_at_once: Callable[[str], dict[str, Any]] | None = None

    def user_row(self, user_id: str) -> dict[str, Any]:
        self.reads += 1
        time.sleep(self.slow)
        if self.down:
            raise StoreUnavailable("the store is down")
        return self.rows.get(user_id, {})


@dataclass
class FakeBlocked:
    """The blocked items, loaded or never."""

    ids: frozenset[str] = frozenset()
    loaded: bool = True

    def mask(self, items: ItemTable) -> Any:
        return np.isin(items.item_ids, list(self.ids))


@dataclass
class OneTable:
    """A recommender that no refresh replaces."""

    recommender: Any

    def age_seconds(self, now: datetime) -> float:
        return (now - self.recommender.items.as_of).total_seconds()


def tiny_runtime(
    folder: Path,
    settings: ServingSettings,
    metrics: Metrics,
    log: RequestLog,
    *,
    recommender: Any = None,
    reader: Any = None,
    rules: Rules | None = None,
    weights: Mapping[str, float] | None = None,
    inbox: Inbox | None = None,
) -> Runtime:
    """The real stages over fakes, under `folder`."""
    recommender, reader = recommender or FakeRecommender(), reader or FakeReader()
    recent, blocked = RecentEvents(users=100, weights=weights), FakeBlocked()
    preferences = PreferenceFiles(folder / "store" / "preferences")
    in_force: RuleSet = rule_set(rules or Rules())
    stages = assemble(
        settings,
        items=OneTable(recommender),
        reader=reader,
        recent=recent,
        preferences=preferences,
        blocked=blocked,
        rules=lambda: in_force,
        metrics=metrics,
        rng=np.random.default_rng(7),
    )
    stages.store.start()
    return Runtime(
        settings=settings,
        items=OneTable(recommender),
        answering=stages.answering,
        later=stages.later,
        reader=reader,
        recent=recent,
        preferences=preferences,
        blocked=blocked,
        log=log,
        inbox=inbox or Inbox(folder / "store" / "received", remembered=1_000, on_received=recent.add),
        metrics=metrics,
        data_until=datetime(1998, 4, 23, tzinfo=UTC),
        closing=(stages.store.close,),
    )


def ids_of(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """The item ids of a response, in order."""
    return [str(item["item_id"]) for item in items]


def with_settings(settings: ServingSettings, **changes: Any) -> ServingSettings:
    return settings.model_copy(update=changes)

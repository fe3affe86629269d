"""The stages of one process, put together from its settings and what it opened."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from serving.graph.answering import Answering, ItemsPort
from serving.graph.bounded_reader import BoundedReader
from serving.graph.explored import Explored
from serving.graph.filter import BlockedPort, FilterStage
from serving.graph.fresh import FreshItems
from serving.graph.graph import Graph, RulesPort
from serving.graph.last_known import LastKnown
from serving.graph.later import Later
from serving.graph.matching import Matching
from serving.graph.meter import Measured
from serving.graph.preferences import PreferenceFiles, Preferences
from serving.graph.rank import FeatureStage, RankStage
from serving.graph.recent import RecentEvents
from serving.graph.rerank import RerankStage
from serving.graph.retrieve import RetrieveStage
from serving.graph.slates import SlateCache
from serving.graph.user import BoundedRows, RowPort, Stored, StoredReader, UserStage
from serving.metrics import Metrics
from serving.settings import ServingSettings


@dataclass(frozen=True)
class Stages:
    """What a request goes through; the store's threads, to be started and closed; what exploration learns from.

    `later` is what answers leave to be done.
    """

    answering: Answering
    store: BoundedReader[Stored]
    rows: BoundedRows
    explored: Explored
    later: Later


def assemble(
    settings: ServingSettings,
    *,
    items: ItemsPort,
    reader: RowPort,
    recent: RecentEvents,
    preferences: PreferenceFiles,
    blocked: BlockedPort,
    rules: Callable[[], RulesPort],
    metrics: Metrics,
    rng: np.random.Generator,
    later: Later | None = None,
) -> Stages:
    """The stages over open parts; nothing runs until `store.start()`. `later` is others', where they have one."""
    later = later or Later()
    meter = Measured(metrics, later)
    stored = StoredReader(reader, preferences)
    store = BoundedReader(
        stored.read, at_once=stored.at_once, threads=settings.store_threads, seconds=settings.store_ms / 1_000
    )
    known: LastKnown[tuple[bytes, Preferences]] = LastKnown(
        users=settings.last_known_users, seconds=settings.last_known_seconds
    )
    matching, explored = Matching(), Explored()
    graph = Graph(
        filters=FilterStage(blocked),
        retrieve=RetrieveStage(FreshItems(), matching),
        features=FeatureStage(),
        rank=RankStage(matching),
        rerank=RerankStage(rng, explored),
        rules=rules,
        meter=meter,
    )
    cache = SlateCache(
        seconds=settings.cache_seconds,
        events=settings.cache_events,
        users=settings.cache_users,
        on_outcome=lambda outcome: metrics.cache.labels(outcome).inc(),
    )
    answering = Answering(
        settings,
        users=UserStage(store, known, recent, meter=meter, later=later),
        graph=graph,
        cache=cache,
        items=items,
        recent=recent,
        rules=rules,
        blocked=blocked,
    )
    return Stages(answering, store, BoundedRows(store), explored, later)

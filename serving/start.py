"""Open everything a serving process needs, and use it once before anybody asks."""

import contextlib
import gc
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from feature_repo.core.errors import StoreUnavailable
from feature_repo.core.workspace import Workspace
from serving.inbox import open_inbox
from serving.items.tomorrow import every_tomorrow
from serving.metrics import Metrics, register_metrics
from serving.open_log import open_request_log
from serving.open_second import open_second, second_settings
from serving.opened import data_until, export_ages, first_answer, recent_events, remember_received
from serving.operations.freshness import export_freshness
from serving.operations.memory import give_back_memory, keep_little_memory, use_huge_pages
from serving.operations.warm_up import warm_up_queries
from serving.runtime import Runtime
from serving.settings import ServingSettings, from_env, require_bundle

if TYPE_CHECKING:
    from prometheus_client import Counter

    from feature_repo.store.online import OnlineReader
    from serving.events import Event
    from training.bundle import Bundle
    from training.recommender import Recommender

logger = logging.getLogger("serving.start")

# After which a reading thread gives up a connection. Requests have given up long before; this is for the next ones.
SOCKET_SECONDS = 1.0


def open_from_env() -> Runtime:
    """The runtime that the environment describes; what the service's start calls."""
    workspace = Workspace.from_env()
    return open_runtime(from_env(workspace), workspace)


def open_runtime(settings: ServingSettings, workspace: Workspace) -> Runtime:
    """Import the libraries, verify and load the bundle, open the store, answer one request, start the log.

    Raises:
        RecommenderError: the bundle is absent or altered, the rules are broken, or the workspace holds no item table.
    """
    require_bundle(settings)
    keep_little_memory()
    of_second = second_settings(settings, workspace)
    # onnxruntime and Feast are imported here, through these modules, and nowhere at import time. The
    # bundle comes first: an altered one is refused before the seconds that Feast takes.
    from training.bundle import load_bundle

    bundle = load_bundle(settings.bundle)

    from feature_repo.store.online import open_online_reader

    reader = open_online_reader(workspace, seconds=SOCKET_SECONDS)
    # The first read of a store takes longer than any answer may: with a deadline it would be given up.
    with contextlib.suppress(StoreUnavailable):
        reader.user_row("warm-up")
    runtime = _runtime(settings, workspace, bundle, reader, register_metrics(), of_second)
    # Where there are too many users for a vocabulary, none is known by name.
    known = getattr(bundle.encoder.user_ids, "values", ())[:2]
    warm_up(runtime, known, now=datetime.now(UTC))
    export_ages(runtime)
    export_freshness(workspace, runtime.metrics)
    # What the libraries and the model left in memory stays for good: without it in view, a full garbage
    # collection is no pause that a request would notice.
    gc.collect()
    gc.freeze()
    give_back_memory()
    use_huge_pages()
    runtime.log.start()
    runtime.inbox.start()
    logger.info("opened version=%s variant=%s", settings.version, settings.variant)
    return runtime


def _runtime(
    settings: ServingSettings,
    workspace: Workspace,
    bundle: "Bundle",
    reader: "OnlineReader",
    metrics: Metrics,
    of_second: ServingSettings | None,
) -> Runtime:
    """The runtime; what runs beside its requests is started, but for log and inbox."""
    import numpy as np

    from feature_repo.store.item_table import newest_snapshot, open_snapshot
    from serving.graph.assemble import assemble
    from serving.graph.preferences import PreferenceFiles
    from serving.items.blocked import BlockedList
    from serving.items.blocked_file import blocked_path
    from serving.items.live import LiveItems
    from serving.rerank.live_rules import REFUSED, LiveRules, prepare
    from training.recommender import build_recommender

    # Not in the frame that imported Feast: an exception that Feast keeps holds that one for good, and with it the
    # first item table long after the second came.
    snapshot = newest_snapshot(workspace)
    recommender = build_recommender(bundle, open_snapshot(workspace, snapshot))

    def fitted(candidate: "Recommender") -> None:
        prepare(rules.current, candidate.items)
        first_answer(candidate, settings.version, now=datetime.now(UTC))

    items = LiveItems(
        workspace,
        recommender,
        snapshot,
        refresh_seconds=settings.refresh_seconds,
        warm_up=fitted,
        on_outcome=counted(metrics.item_table),
    )
    rules = LiveRules(
        settings.rules,
        audit=workspace.store / "audit" / "rules.jsonl",
        items=lambda: items.recommender.items,
        on_change=lambda change: metrics.rules.labels("refused" if change == REFUSED else "loaded").inc(),
    )
    blocked = BlockedList(
        blocked_path(workspace, settings.blocked),
        must_exist=settings.blocked is not None,
        on_outcome=counted(metrics.blocked),
    )
    recent, preferences = recent_events(settings, workspace), PreferenceFiles(workspace.store / "preferences")
    stages = assemble(
        settings,
        items=items,
        reader=reader,
        recent=recent,
        preferences=preferences,
        blocked=blocked,
        rules=lambda: rules.current,
        metrics=metrics,
        rng=np.random.default_rng(),
    )

    def received(events: "Sequence[Event]") -> None:
        recent.add(events)
        stages.explored.take(events)

    tomorrow = every_tomorrow(items)
    remember_received(workspace, recent)
    rules.load(now=datetime.now(UTC))
    fitted(recommender)
    second = open_second(
        of_second,
        workspace,
        reader=reader,
        recent=recent,
        preferences=preferences,
        blocked=blocked,
        rules=lambda: rules.current,
        later=stages.later,
    )
    for start in (blocked.start, rules.start, items.start, stages.store.start, tomorrow.start):
        start()
    return Runtime(
        settings=settings,
        items=items,
        answering=stages.answering,
        later=stages.later,
        reader=stages.rows,
        recent=recent,
        preferences=preferences,
        blocked=blocked,
        log=open_request_log(settings, workspace, store=reader.store, on_dropped=metrics.log_dropped.inc),
        inbox=open_inbox(
            workspace,
            remembered=settings.known_events,
            sweep_seconds=settings.outbox_seconds,
            on_received=received,
        ),
        metrics=metrics,
        data_until=data_until(workspace, snapshot.as_of),
        closing=(items.close, rules.close, blocked.close, stages.store.close, tomorrow.close),
        second=second,
    )


def counted(counter: "Counter") -> Callable[[str], object]:
    return lambda outcome: counter.labels(outcome).inc()


def warm_up(runtime: Runtime, user_ids: Sequence[str], *, now: datetime) -> None:
    """Unlogged answers of several kinds through every stage."""
    items = [str(item) for item in runtime.recommender.items.item_ids[:3]]
    answers = [runtime.answer(query, now=now) for query in warm_up_queries(user_ids, items)]
    if degraded := sorted({part for answer in answers for part in answer.degraded}):
        logger.warning("warm_up_degraded parts=%s", ",".join(degraded))

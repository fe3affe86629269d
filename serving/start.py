"""Open everything a serving process needs, and use it once before anybody asks."""

import gc
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from feature_repo.core.errors import BundleError, MissingArtifact
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.split import load_split
from serving.http import RecommendQuery
from serving.inbox import Inbox
from serving.metrics import register_metrics
from serving.request_log import RequestLog
from serving.runtime import Runtime
from serving.settings import ServingSettings, from_env, require_bundle

logger = logging.getLogger("serving.start")


def open_from_env() -> Runtime:
    """The runtime that the environment describes; what the service's start calls."""
    workspace = Workspace.from_env()
    return open_runtime(from_env(workspace), workspace)


def open_runtime(settings: ServingSettings, workspace: Workspace) -> Runtime:
    """Import the libraries, verify and load the bundle, open the store, answer one request, start the log.

    Raises:
        RecommenderError: the bundle is absent or altered, or the workspace holds no item table.
    """
    require_bundle(settings)
    # XGBoost, onnxruntime and Feast are imported here, through these modules, and nowhere at import time. The
    # bundle comes first: an altered one is refused before the seconds that Feast takes.
    from training.bundle import load_bundle

    bundle = load_bundle(settings.bundle)

    from feature_repo.store.item_table import open_item_table
    from feature_repo.store.online import open_online_reader
    from training.recommender import build_recommender

    metrics = register_metrics()
    items = open_item_table(workspace)
    runtime = Runtime(
        settings=settings,
        recommender=build_recommender(bundle, items),
        reader=open_online_reader(workspace),
        log=request_log(settings, workspace, on_dropped=metrics.log_dropped.inc),
        inbox=Inbox(workspace.received, remembered=settings.known_events),
        metrics=metrics,
        data_until=data_until(workspace, items.as_of),
    )
    warm_up(runtime, now=datetime.now(UTC))
    # What the libraries and the model left in memory stays for good: without it in view, a full garbage
    # collection is no pause that a request would notice.
    gc.collect()
    gc.freeze()
    runtime.log.start()
    logger.info("opened version=%s variant=%s", settings.version, settings.variant)
    return runtime


def warm_up(runtime: Runtime, *, now: datetime) -> None:
    """One unlogged answer: first calls build caches.

    Raises:
        BundleError: the bundle does not fit this code or the store.
    """
    query = RecommendQuery(user_id="warm-up", k=10, moment=None, context={}, exclude=frozenset(), session=())
    try:
        answer = runtime.answer(query, now=now)
    except ValueError as error:
        version = runtime.settings.version
        raise BundleError(f"the bundle of version {version} must fit this code; answering failed: {error}") from error
    if answer.degraded:
        logger.warning("warm_up_degraded parts=%s", ",".join(answer.degraded))


def request_log(settings: ServingSettings, workspace: Workspace, *, on_dropped: Callable[[int], object]) -> RequestLog:
    return RequestLog(
        workspace.request_log,
        name=f"{settings.variant}-v{settings.version}",
        queue_rows=settings.log_queue_rows,
        flush_rows=settings.log_flush_rows,
        flush_seconds=settings.log_flush_seconds,
        on_dropped=on_dropped,
    )


def data_until(workspace: Workspace, materialized: datetime) -> datetime:
    """Where the stores' knowledge ends: at the last event, or where the state was materialized before it."""
    try:
        return min(load_split(workspace).test_end, materialized)
    except MissingArtifact:  # the event log need not be where the service is
        return materialized

"""Opening the version that is interleaved with the served one: its own bundle and stages over the same open parts."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from feature_repo.core.workspace import Workspace
from serving.interleaving import Second
from serving.items.tomorrow import every_tomorrow
from serving.metrics import register_metrics
from serving.opened import first_answer
from serving.settings import ServingSettings, require_bundle

if TYPE_CHECKING:
    from feature_repo.store.online import OnlineReader
    from serving.graph.later import Later
    from serving.graph.preferences import PreferenceFiles
    from serving.graph.recent import RecentEvents
    from serving.items.blocked import BlockedList
    from serving.rerank.live_rules import RuleSet
    from training.recommender import Recommender


def second_settings(settings: ServingSettings, workspace: Workspace) -> ServingSettings | None:
    """What the second version is told, if there is one.

    Raises:
        SettingsError: its bundle has not been fetched.
    """
    if settings.interleave is None:
        return None
    own = {"version": settings.interleave, "bundle": workspace.bundles / settings.interleave, "interleave": None}
    found = settings.model_copy(update={**own, "cache_seconds": 0.0})
    require_bundle(found)
    return found


def open_second(
    settings: ServingSettings | None,
    workspace: Workspace,
    *,
    reader: "OnlineReader",
    recent: "RecentEvents",
    preferences: "PreferenceFiles",
    blocked: "BlockedList",
    rules: "Callable[[], RuleSet]",
    later: "Later",
) -> Second | None:
    """The second version, ready to answer; `settings` are its own, None where there is none.

    Raises:
        RecommenderError: the bundle is altered, or does not fit this code or the item table.
    """
    if settings is None:
        return None
    version = settings.version

    import numpy as np
    from prometheus_client import CollectorRegistry

    from feature_repo.store.item_table import newest_snapshot, open_snapshot
    from serving.graph.assemble import assemble
    from serving.items.live import LiveItems
    from serving.rerank.live_rules import prepare
    from training.bundle import load_bundle
    from training.recommender import build_recommender

    def fitted(candidate: "Recommender") -> None:
        prepare(rules(), candidate.items)
        first_answer(candidate, version, now=datetime.now(UTC))

    snapshot = newest_snapshot(workspace)
    recommender = build_recommender(load_bundle(settings.bundle), open_snapshot(workspace, snapshot))
    fitted(recommender)
    items = LiveItems(workspace, recommender, snapshot, refresh_seconds=settings.refresh_seconds, warm_up=fitted)
    stages = assemble(
        settings,
        items=items,
        reader=reader,
        recent=recent,
        preferences=preferences,
        blocked=blocked,
        rules=rules,
        metrics=register_metrics(CollectorRegistry()),  # what is exported is about the served version
        rng=np.random.default_rng(),
        later=later,
    )
    tomorrow = every_tomorrow(items)
    for start in (items.start, stages.store.start, tomorrow.start):
        start()
    return Second(version, stages.answering, closing=(items.close, stages.store.close, tomorrow.close))

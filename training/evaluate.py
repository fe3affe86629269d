"""`make evaluate`: replay the held-out window with the champion and the challenger, side by side."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from feast import FeatureStore

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace, read_json, write_json
from feature_repo.dataset.split import load_split
from feature_repo.store.open import open_store
from training import registry
from training.bundle import Bundle, load_bundle
from training.evaluation.replayed import Replayed, replay
from training.evaluation.report import metric_rows, ndcg_difference, number_users, per_request
from training.promote import EVALUATION
from training.reference import recommended_rows
from training.replay import Moment, moments, open_timeline

SEED = 20


def evaluate(
    workspace: Workspace, *, on_stage: Callable[[str, int], None], on_request: Callable[[], None]
) -> dict[str, Any]:
    """Measure both versions on the same requests; writes the report and what each recommended."""
    champion, challenger = pair(workspace)
    split = load_split(workspace)
    asked = moments(workspace, split.challenger_end, split.test_end)
    users = number_users(asked, np.random.default_rng(SEED))
    store = open_store(workspace)
    replayed: dict[str, Replayed] = {}
    rows: list[dict[str, Any]] = []
    for version in (v for v in (champion, challenger) if v):
        bundle = load_bundle(registry.download_bundle(workspace, version))
        on_stage(f"replay of version {version}", len(asked))
        replayed[version], catalogue = _replay(store, workspace, bundle, asked, on_request)
        rows += metric_rows(replayed[version], users, version=version, catalogue=catalogue)
        _write_current(workspace, version, bundle, replayed[version], asked)
    best = per_request(replayed[champion], "two-stage")["ndcg@10"]
    popular = per_request(replayed[champion], "popular")["ndcg@10"]
    comparison = None
    if challenger:
        other = per_request(replayed[challenger], "two-stage")["ndcg@10"]
        comparison = {"metric": "ndcg@10", **asdict(ndcg_difference(other, best, users))}
    report = {
        "data_fingerprint": _fingerprint(workspace),
        "window": {"start": split.challenger_end.isoformat(), "end": split.test_end.isoformat()},
        "requests": len(asked),
        "users": int(users.of_request.max()) + 1,
        "champion": champion,
        "challenger": challenger,
        "metrics": rows,
        "lift": {"metric": "ndcg@10", "over": "popular", **asdict(ndcg_difference(best, popular, users))},
        "comparison": comparison,
        "example_user": asked[0].user_id,
    }
    write_json(workspace.reports / EVALUATION, report)
    for version in replayed:
        registry.log_report(workspace, version, workspace.reports / EVALUATION)
    return report


def up_to_date(workspace: Workspace) -> dict[str, Any] | None:
    """The report, where it is about the present data, champion and challenger, or was until those were decided on."""
    path = workspace.reports / EVALUATION
    if not path.exists():
        return None
    report = dict(read_json(path, made_by="make evaluate"))
    compared = (report["champion"], report["challenger"])
    same_pair = compared == registry.compared_pair(registry.aliases(workspace))
    return report if same_pair and report.get("data_fingerprint") == _fingerprint(workspace) else None


def pair(workspace: Workspace) -> tuple[str, str | None]:
    """The versions of champion and challenger."""
    now = registry.aliases(workspace)
    if registry.CHAMPION not in now:
        raise MissingArtifact("no version is champion yet: run `make train` first")
    return now[registry.CHAMPION], now.get(registry.CHALLENGER)


def _fingerprint(workspace: Workspace) -> str:
    return str(read_json(workspace.reports / "data.json", made_by="make data")["fingerprint"])


def _replay(
    store: FeatureStore,
    workspace: Workspace,
    bundle: Bundle,
    asked: list[Moment],
    on_request: Callable[[], None],
) -> tuple[Replayed, int]:
    split = load_split(workspace)
    timeline = open_timeline(store, workspace, start=split.challenger_end, end=split.test_end)
    return replay(store, bundle, timeline, asked, on_request), len(timeline.table)


def _write_current(workspace: Workspace, version: str, bundle: Bundle, replayed: Replayed, asked: list[Moment]) -> None:
    of_row = [asked[number] for number in replayed.shown_request]
    table = recommended_rows(
        bundle.ranker_features,
        features=replayed.features,
        scores=replayed.scores,
        request_ids=[f"{m.user_id}@{m.moment_us}" for m in of_row],
        user_ids=[m.user_id for m in of_row],
        moments_us=[m.moment_us for m in of_row],
    )
    pq.write_table(table, workspace.reports / f"current-{version}.parquet")

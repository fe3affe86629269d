"""One training run: towers on the first part of a window, ranker on the rest, all of it into a sealed bundle."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xgboost as xgb
from feast import FeatureStore

from feature_repo.core.errors import DatasetError
from feature_repo.core.workspace import Workspace, read_json
from feature_repo.dataset.declaration import Dataset
from feature_repo.dataset.prepare import active_dataset
from feature_repo.dataset.split import load_split, to_microseconds
from feature_repo.store.historical import features_at
from feature_repo.store.item_table import ItemTable, item_table
from feature_repo.store.materialize import items_at
from feature_repo.store.open import SERVICES, open_store, references, stored_features
from training.bundle import FORMAT, Manifest, load_towers, seal, type_name
from training.card import model_card
from training.encoder import Encoder
from training.leaks.check import check_leaks
from training.ranker_features import feature_names
from training.ranking import lambdamart
from training.ranking.candidates import RankerRows, ranker_rows
from training.recommender import POPULAR, TWO_TOWER, build_recommender
from training.replay import Moment, moments, open_timeline
from training.retrieval.examples import Examples, tower_examples
from training.settings import TrainingSettings
from training.validation import validate

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Progress:
    """What a run tells while it works: stage and total, one more done, and metrics by step."""

    stage: Callable[[str, int], None]
    advance: Callable[[], None]
    metric: Callable[[str, float, int], None]


@dataclass(frozen=True)
class Window:
    """The requests that a run learns from, in order of time."""

    start: datetime
    cut: datetime
    end: datetime
    for_towers: list[Moment]
    for_ranker: list[Moment]


def train(
    workspace: Workspace, settings: TrainingSettings, *, end: datetime, folder: Path, progress: Progress
) -> Manifest:
    """Train on events before `end` and write a sealed bundle into the empty `folder`.

    Raises:
        LeakFound: the features of a request hold what was not known before it.
    """
    store, dataset = open_store(workspace), active_dataset(workspace)
    window = open_window(workspace, settings, end=end)
    catalogue = item_table(items_at(store, workspace, to_microseconds(window.cut)), window.cut)
    progress.stage("leak check", 1)
    checked = check_leaks(
        store,
        workspace,
        [*window.for_towers, *window.for_ranker],
        requests=settings.leak_requests,
        rng=np.random.default_rng(settings.seed),
    )
    progress.advance()
    progress.stage("two-tower", settings.tower.epochs)
    examples = tower_examples(store, dataset, window.for_towers, catalogue, settings)
    metrics = _train_towers(examples, catalogue, settings, folder, progress)
    facts = _facts(store, workspace, dataset, window, examples.encoder, settings)
    draft = Manifest(**facts, metrics={}, files={}, format=FORMAT)
    towers = load_towers(folder, draft)

    timeline = open_timeline(store, workspace, start=window.cut, end=end)
    progress.stage("candidates", len(window.for_ranker))
    recommender = build_recommender(towers, timeline.table)
    rows = ranker_rows(store, examples.encoder, recommender, timeline, window.for_ranker, progress.advance)
    learn, hold_out = _divide(rows, settings)
    progress.stage("ranker", settings.ranker.rounds)
    ranker = _train_ranker(rows.of(learn).with_positive(), draft, settings, progress)
    ranker.save_model(folder / "ranker.ubj")
    bundle = replace(towers, ranker=ranker)
    metrics |= validate(bundle, rows.of(hold_out), hold_out, folder / "reference.parquet")
    counts = {
        "tower_events": len(examples.items["item_id"]),
        "ranker_requests": len(learn),
        "validation_requests": len(hold_out),
    }
    shown = {**facts, "retrievers": " and ".join(draft.retrievers), "features": len(draft.ranker_features)}
    shown |= {"candidates": settings.candidates.total, "leaks": checked.sentence()}
    card = model_card({**shown, **counts}, metrics)
    (folder / "model_card.md").write_text(card, encoding="utf-8")
    return seal(folder, {**facts, "metrics": metrics | checked.metrics() | _collision_rates(examples.encoder)})


def _collision_rates(encoder: Encoder) -> dict[str, float]:
    rates = {**encoder.users.collision_rates(), **encoder.items.collision_rates()}
    return {f"collision_rate_{name}": rate for name, rate in rates.items()}


def open_window(workspace: Workspace, settings: TrainingSettings, *, end: datetime) -> Window:
    """Divide [first event, `end`): the last share of its events is the ranker's, at most as many as it asks."""
    start = load_split(workspace).start
    asked = moments(workspace, start, end)
    events = np.cumsum([len(m.items) for m in asked])
    place = int(np.searchsorted(events, (1 - settings.ranker_share) * events[-1])) if asked else 0
    if not 0 < place < len(asked):
        raise DatasetError(
            f"training needs liked events at several moments before {end.isoformat()}; got {len(asked)} requests"
        )
    later = asked[place:]
    wanted = min(settings.ranker.requests + settings.reference_requests, len(later))
    chosen = np.sort(np.random.default_rng(settings.seed).choice(len(later), wanted, replace=False))
    return Window(start, later[0].time, end, asked[:place], [later[i] for i in chosen])


def _train_towers(
    examples: Examples, catalogue: ItemTable, settings: TrainingSettings, folder: Path, progress: Progress
) -> dict[str, float]:
    # TensorFlow is imported here and nowhere on the way to a served process.
    from training.retrieval import two_tower
    from training.retrieval.export import export

    def on_epoch(epoch: int, logs: dict[str, float]) -> None:
        progress.metric("tower_loss", float(logs["loss"]), epoch)
        progress.advance()

    model = two_tower.build(examples.encoder, settings.tower)
    two_tower.train(
        model,
        examples.queries,
        examples.items,
        settings=settings.tower,
        seed=settings.seed,
        on_epoch=on_epoch,
    )
    known = np.array([catalogue.rows[item] for item in examples.encoder.item_ids.values], np.int64)
    inputs = examples.encoder.item_inputs(catalogue.item_ids, catalogue.columns)
    np.save(folder / "index.npy", two_tower.embed(model.item_tower, {n: v[known] for n, v in inputs.items()}))
    (folder / "encoder.json").write_text(json.dumps(examples.encoder.to_json()), encoding="utf-8")
    sample = {name: values[:256] for name, values in examples.queries.items()}
    return {
        "query_tower_onnx_difference": export(model.query_tower, sample, folder / "query_tower.onnx"),
        "item_tower_onnx_difference": export(model.item_tower, inputs, folder / "item_tower.onnx"),
    }


def _divide(rows: RankerRows, settings: TrainingSettings) -> tuple[Array, Array]:
    """Request numbers to learn from, and the latest ones for validation and reference."""
    requests = len(rows.asked)
    kept = min(settings.reference_requests, max(requests // 5, 1))
    return np.arange(requests - kept), np.arange(requests - kept, requests)


def _train_ranker(rows: RankerRows, draft: Manifest, settings: TrainingSettings, progress: Progress) -> xgb.Booster:
    if len(rows.relevance) == 0:
        raise DatasetError("the ranker needs requests whose candidates hold an item that was consumed; none has one")

    def on_round(number: int, score: float) -> None:
        progress.metric("ranker_training_ndcg_at_10", score, number)
        progress.advance()

    return lambdamart.train(
        rows.matrix,
        rows.relevance,
        rows.request,
        feature_names=draft.ranker_features,
        settings=settings.ranker,
        seed=settings.seed,
        on_round=on_round,
    )


def _facts(
    store: FeatureStore,
    workspace: Workspace,
    dataset: Dataset,
    window: Window,
    encoder: Encoder,
    settings: TrainingSettings,
) -> dict[str, Any]:
    return {
        "dataset": dataset.name,
        "data_fingerprint": read_json(workspace.reports / "data.json", made_by="make data")["fingerprint"],
        "window_start": window.start.isoformat(),
        "window_end": window.end.isoformat(),
        "repeat_consumption": dataset.repeat_consumption,
        "feature_services": SERVICES,
        "user_features": _raw_features(store, "user_id"),
        "item_features": _raw_features(store, "item_id"),
        "item_attributes": dataset.items.attributes if dataset.items else (),
        "ranker_features": feature_names(encoder),
        "retrievers": (TWO_TOWER, POPULAR),
        "candidates": settings.candidates,
    }


def _raw_features(store: FeatureStore, key: str) -> dict[str, str]:
    # One row of nulls from the store itself tells the types that it answers with.
    row = features_at(store, key, np.array(["\x00"], object), np.array([0], np.int64))
    names = [ref.split(":")[1] for ref in references(stored_features(store, key))]
    return {name: type_name(_value_type(row[name].type)) for name in names}


def _value_type(kind: pa.DataType) -> pa.DataType:
    return pa.list_(kind.value_type) if pa.types.is_large_list(kind) else kind

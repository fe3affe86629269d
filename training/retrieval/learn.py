"""The first stage of a bundle: both towers, their index and every other retriever, learnt and written to a folder."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from feast import FeatureStore

from feature_repo.dataset.declaration import Dataset
from feature_repo.features.columns import take
from feature_repo.store.item_table import ItemTable
from training.bundle import save_retriever
from training.encoder import Encoder
from training.progress import Progress
from training.replay import Moment
from training.retrieval.examples import Examples, tower_examples
from training.retrieval.index import build_index, measure_recall, require_recall
from training.retrieval.popular_within import BY_SEGMENT
from training.retrieval.retrievers import retriever
from training.retrieval.training_log import segments_at, training_log
from training.settings import TrainingSettings

Array = np.ndarray[Any, Any]

WEIGHTS = "tower_weights.npz"
CHECKED = 256  # requests on which towers and index are compared with what they came from


@dataclass(frozen=True)
class Start:
    """Towers to start from: the encoder that they were trained under, and the folder with their weights."""

    encoder: Encoder
    folder: Path


def learn_retrieval(
    store: FeatureStore,
    dataset: Dataset,
    asked: list[Moment],
    catalogue: ItemTable,
    settings: TrainingSettings,
    folder: Path,
    progress: Progress,
    *,
    retrievers: tuple[str, ...],
    start: Start | None = None,
    known: int = 0,
) -> tuple[Encoder, dict[str, float]]:
    """Learn from `asked`; returns the encoder and metrics.

    With a `start` the towers go on from it with the requests after the first `known`, which it has learnt from.

    Raises:
        BundleError: an exported tower differs from its model, or the index finds too little.
    """
    examples = tower_examples(
        store, dataset, asked[known:], catalogue, settings, known=start.encoder if start else None
    )
    metrics = _learn_towers(examples, settings, folder, progress, start, repeats=dataset.repeat_consumption)
    (folder / "encoder.json").write_text(json.dumps(examples.encoder.to_json()), encoding="utf-8")
    progress.stage("other retrievers", len(retrievers))
    by_segment = BY_SEGMENT in retrievers
    segments = segments_at(store, examples.encoder, asked) if by_segment else np.full(len(asked), -1)
    log = training_log(dataset, examples.encoder, catalogue, asked, segments)
    for name in retrievers:
        save_retriever(retriever(name, settings.retrievers).fit(log, seed=settings.seed), folder)
        progress.advance()
    return examples.encoder, metrics


def _learn_towers(
    examples: Examples,
    settings: TrainingSettings,
    folder: Path,
    progress: Progress,
    start: Start | None,
    *,
    repeats: bool,
) -> dict[str, float]:
    # TensorFlow is imported here and nowhere on the way to a served process.
    from training.retrieval import two_tower
    from training.retrieval.export import export
    from training.retrieval.tower_weights import load_weights, save_weights
    from training.retrieval.warm_start import warm_settings, warm_start

    requests, tower = examples.requests, settings.tower.model_copy(update={"spare_met": not repeats})
    sample = take(requests.queries, np.arange(min(CHECKED, len(requests.starts) - 1)))
    if start is None:
        model = two_tower.build(examples.encoder, tower)
    else:
        tower = warm_settings(tower)
        weights = load_weights(start.folder / WEIGHTS)
        model = warm_start(
            weights,
            start.encoder,
            examples.encoder,
            tower,
            queries=sample,
            items=requests.items,
            seed=settings.seed,
        )
    progress.stage("two-tower" if start is None else "two-tower, going on", tower.epochs)
    two_tower.train(model, requests, settings=tower, seed=settings.seed, on_epoch=_tell(progress))
    save_weights(model, folder / WEIGHTS)
    depth, queries = settings.candidates.depth, two_tower.embed(model.query_tower, sample)
    items = two_tower.embed(model.item_tower, requests.items)
    half = len(queries) // 2  # how wide a search is, is chosen on the others
    index = build_index(items, settings.index, queries=queries[: len(queries) - half], k=depth)
    index.save(folder)
    recall = measure_recall(index, queries[half:], depth)
    require_recall(recall, k=depth, least=settings.index.least_recall)
    return {
        "index_recall": recall,
        "query_tower_onnx_difference": export(model.query_tower, sample, folder / "query_tower.onnx"),
        "item_tower_onnx_difference": export(model.item_tower, requests.items, folder / "item_tower.onnx"),
    }


def _tell(progress: Progress) -> Callable[[int, dict[str, float]], None]:
    def on_epoch(epoch: int, logs: dict[str, float]) -> None:
        progress.metric("tower_loss", float(logs["loss"]), epoch)
        if "validation_ndcg" in logs:
            progress.metric("tower_validation_ndcg_at_10", float(logs["validation_ndcg"]), epoch)
        progress.advance()

    return on_epoch

"""A complete bundle, an item snapshot and users' rows of any size, made in seconds: what an answer costs needs no
truth.

The towers are real ones that were never trained, over vectors in clusters, so that the query tower and the index cost
what they do in a bundle that was. Popularity follows a power law; the item-item retrievers have rows as long as a log
of EVENTS events would leave. The ranker is as large as the settings allow.

`python -m bench.serving_graph_world FOLDER ITEMS` builds it; the bundle's files are those of any other.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import xgboost as xgb
from scipy import sparse
from serving_world import facts, unit_rows

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.split import from_microseconds
from feature_repo.features.columns import Columns
from feature_repo.features.item import REACH_FEATURES
from feature_repo.features.plan import FeaturePlan
from feature_repo.store.item_table import item_table, publish
from feature_repo.transforms.state import BUCKETS, HISTORY_ITEMS, MICROSECONDS_A_DAY
from training.bundle import seal
from training.encoder import TOWER_HISTORY, AttributeEncoder, Encoder, Scale
from training.ranker_features import feature_names
from training.ranking.as_onnx import export_ranker
from training.retrieval.sparse_top import csr_arrays
from training.segments import BEHAVIOUR, Segments
from training.settings import (
    CandidateSettings,
    EaseSettings,
    IndexSettings,
    ItemKnnSettings,
    RankerSettings,
    SparseTopSettings,
)
from training.vocabulary import vocabulary

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

RETRIEVERS = ("two-tower", "popular-30d", "ease", "item-knn", "next-item")
NOW_US = 20_000 * MICROSECONDS_A_DAY + MICROSECONDS_A_DAY // 3
EVENTS, USERS, CATEGORIES, CLUSTERS = 2_000_000, 300, 300, 500
INDEX = IndexSettings()


def build(folder: Path, items: int) -> None:
    """`bundle`, `users.json` and an item snapshot of so many items in `folder`."""
    rng = np.random.default_rng(5)
    events = _events(items, rng)
    table = _item_columns(events, rng)
    workspace = Workspace(root=folder, store=folder / "store")
    publish(table, workspace, as_of=from_microseconds(NOW_US))
    (folder / "users.json").write_text(json.dumps([_user(events, rng) for _ in range(USERS)]))
    _bundle(folder / "bundle", table, events, rng)


def _events(items: int, rng: np.random.Generator) -> Array:
    """Events of each item, by a power law of its rank; ranks in no order."""
    shares = (np.arange(items) + 20.0) ** -0.9
    return rng.permutation(np.floor(EVENTS * shares / shares.sum()).astype(np.int64))


def _item_columns(events: Array, rng: np.random.Generator) -> pa.Table:
    items, today = len(events), NOW_US // MICROSECONDS_A_DAY
    days = np.minimum(events, BUCKETS)
    starts = np.concatenate([[0], np.cumsum(days)])
    back = np.repeat(days, days) - (np.arange(starts[-1]) - np.repeat(starts[:-1], days))
    counts = np.repeat(events // np.maximum(days, 1), days) + rng.poisson(0.5, starts[-1])
    offsets = pa.array(starts.astype(np.int32))
    first = (today - 3 * days - 30) * MICROSECONDS_A_DAY
    return pa.table(
        {
            "item_id": [f"i{n:07}" for n in range(items)],
            "title": [f"Item number {n}" for n in range(items)],
            "category": [f"c{n}" for n in rng.integers(CATEGORIES, size=items)],
            "price": rng.gamma(2.0, 10.0, items),
            "item_event_count": events,
            "item_first_event": first,
            "item_last_event": np.full(items, NOW_US - MICROSECONDS_A_DAY),
            "item_days": pa.ListArray.from_arrays(offsets, pa.array(today - back * rng.integers(1, 4, len(back)))),
            "item_counts": pa.ListArray.from_arrays(offsets, pa.array(counts)),
            **{name: events // part for name, part in zip(REACH_FEATURES, (90, 20, 5, 2), strict=True)},
        }
    )


def _user(events: Array, rng: np.random.Generator) -> dict[str, object]:
    """A row as the online store gives it; what was met follows popularity. Histories are full for one user in two."""
    length = int(rng.integers(20, 2 * HISTORY_ITEMS))
    drawn = np.unique(rng.choice(len(events), 2 * length, p=events / events.sum()))
    seen = [f"i{n:07}" for n in rng.permutation(drawn)[:length]]
    times = np.sort(NOW_US - (rng.gamma(1.0, 40.0, len(seen)) * MICROSECONDS_A_DAY).astype(np.int64))
    today, days = NOW_US // MICROSECONDS_A_DAY, min(len(seen), BUCKETS)
    return {
        "user_event_count": len(seen),
        "user_first_event": int(times[0]),
        "user_last_event": int(times[-1]),
        "user_days": [int(today - back) for back in range(days, 0, -1)],
        "user_counts": [1] * days,
        "history_items": seen[-HISTORY_ITEMS:],
        "history_times": times[-HISTORY_ITEMS:].tolist(),
        "taste_category": [f"c{n}" for n in rng.integers(CATEGORIES, size=50)],
        "seen_items": seen,
    }


def _bundle(folder: Path, table: pa.Table, events: Array, rng: np.random.Generator) -> None:
    from training.retrieval import two_tower
    from training.retrieval.export import export
    from training.retrieval.index import build_index
    from training.settings import TwoTowerSettings

    folder.mkdir()
    encoder, settings = _encoder(table), TwoTowerSettings()
    items = item_table(table, from_microseconds(NOW_US))
    model = two_tower.build(encoder, settings)
    inputs = encoder.item_inputs(items.item_ids, items.columns)
    sample = {name: values[:256] for name, values in inputs.items()}
    two_tower.embed(model.item_tower, sample)
    centres = rng.normal(size=(CLUSTERS, settings.dimension))
    vectors = centres[rng.integers(CLUSTERS, size=len(events))] + 0.5 * rng.normal(size=(len(events), len(centres[0])))
    model.item_tower.items.set_weights([np.concatenate([np.zeros((1, settings.dimension)), unit_rows(vectors)])])
    asked = two_tower.embed(model.query_tower, _queries(events, rng))
    index = build_index(two_tower.embed(model.item_tower, inputs), INDEX, queries=asked, k=CandidateSettings().depth)
    index.save(folder)
    export(model.item_tower, sample, folder / "item_tower.onnx")
    export(model.query_tower, _queries(events, rng), folder / "query_tower.onnx")
    for name, weights in _weights(events, rng).items():
        for array, values in csr_arrays("weights", weights).items():
            np.save(folder / f"retriever-{name}={array}.npy", values)
    names = feature_names(encoder, RETRIEVERS)
    ranker = _ranker(len(names), rng)
    ranker.save_model(folder / "ranker.ubj")
    export_ranker(ranker, folder / "ranker.onnx")
    (folder / "encoder.json").write_text(json.dumps(encoder.to_json()))
    manifest = facts(names)
    manifest |= {"retrievers": RETRIEVERS, "index": INDEX, "candidates": CandidateSettings()}
    manifest["user_features"] = {**_dict(manifest["user_features"]), "taste_category": "list<string>"}
    manifest["item_features"] = {**_dict(manifest["item_features"]), "category": "string", "price": "double"}
    seal(folder, manifest)


def _dict(value: object) -> dict[str, str]:
    assert isinstance(value, dict)
    return value


def _encoder(table: pa.Table) -> Encoder:
    category = vocabulary(f"c{n}" for n in range(CATEGORIES))
    return Encoder(
        plan=FeaturePlan(tastes=("category",)),
        user_ids=vocabulary(f"u{n}" for n in range(USERS)),
        item_ids=vocabulary(table["item_id"].to_pylist()),
        users=AttributeEncoder({}, {}, {}),
        items=AttributeEncoder({"category": category}, {}, {"price": Scale(20.0, 14.0)}),
        contexts={},
        segments=Segments(np.zeros(len(BEHAVIOUR)), np.ones(len(BEHAVIOUR)), np.ones((6, len(BEHAVIOUR)))),
    )


def _queries(events: Array, rng: np.random.Generator, count: int = 64) -> Columns:
    met = rng.choice(len(events), (count, TOWER_HISTORY), p=events / events.sum())
    return {
        "user_id": np.arange(count) % 8,
        "history": met + 1,
        "hour": np.arange(count) % 24,
        "weekday": np.arange(count) % 7,
        "activity": np.ones((count, 1), np.float32),
    }


def _weights(events: Array, rng: np.random.Generator) -> dict[str, sparse.csr_array]:
    """Rows as long as the fits leave them: EASE's of its most popular items, the others by an item's events."""
    items, top_n = len(events), SparseTopSettings().top_n
    block = np.argsort(-events, kind="stable")[: EaseSettings().most_items]
    of_ease = np.zeros(items, np.int64)
    of_ease[block] = top_n
    popular = events / events.sum()
    return {
        "ease": _random_rows(of_ease, block, None, rng),
        "item-knn": _random_rows(np.minimum(20 * events, ItemKnnSettings().neighbours), np.arange(items), popular, rng),
        "next-item": _random_rows(np.minimum(20 * events, top_n), np.arange(items), popular, rng),
    }


def _random_rows(lengths: Array, columns: Array, shares: Array | None, rng: np.random.Generator) -> sparse.csr_array:
    drawn = rng.choice(columns, int(lengths.sum()), p=shares)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    weights = rng.gamma(1.0, 0.02, len(rows)).astype(np.float32)
    found = sparse.csr_array((weights, (rows, drawn)), shape=(len(lengths), len(lengths)))
    parts = (found.data, found.indices.astype(np.int32), found.indptr.astype(np.int32))
    return sparse.csr_array(parts, shape=found.shape)


def _ranker(features: int, rng: np.random.Generator) -> xgb.Booster:
    settings = RankerSettings()
    rows = xgb.DMatrix(rng.normal(size=(20_000, features)), rng.integers(2, size=20_000))
    parameters = {"objective": "rank:pairwise", "max_depth": settings.depth, "eta": settings.learning_rate}
    rows.set_group([100] * 200)
    return xgb.train(parameters, rows, num_boost_round=settings.rounds)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    build(target, int(sys.argv[2]))

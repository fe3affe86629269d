"""The graph of an answer in this process, from a user's id to a slate, built in one of two ways on the same store.

`python -m bench.serving_naive_contender naive|ours WORLD REQUESTS` prints the seconds of an answer in the middle.
`naive` is the usual composition: Feast reads the user, `predict` of the Keras tower makes the query, a product with all
items finds the candidates, Feast reads the ranker's features of all candidates, and a DMatrix of them is predicted.
"""

import contextlib
import io
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.contender import Measured
from bench.serving_graph_contender import resident_mb
from bench.serving_graph_world import NOW_US
from bench.serving_store import SLATE, STEP_US
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.split import from_microseconds
from feature_repo.store.item_table import ItemTable, open_item_table
from feature_repo.store.online import OnlineReader, open_online_reader
from feature_repo.store.open import open_store, quiet_feast
from training.bundle import Bundle, load_bundle
from training.recommender import build_recommender
from training.slate import Request

CANDIDATES = 200
WARM_UP = 3  # answers that are not counted
ITEM_VIEWS = ("item_popularity", "item_reach", "item_metadata")

Answer = Callable[[str, int], list[str]]


def ours(bundle: Bundle, items: ItemTable, reader: OnlineReader) -> Answer:
    recommender = build_recommender(bundle, items)

    def answer(user_id: str, moment_us: int) -> list[str]:
        request = Request(user_id, from_microseconds(moment_us), SLATE)
        slate = recommender.recommend(request, reader.user_row(user_id))
        return [item.item_id for item in slate.items]

    return answer


class Naive:
    """The composition from the tutorials of its parts. The tower is the bundle's, in Keras, untrained."""

    def __init__(self, bundle: Bundle, items: ItemTable, reader: OnlineReader) -> None:
        import xgboost as xgb

        from training.retrieval import two_tower
        from training.settings import TwoTowerSettings

        self._xgb, self._bundle, self._items, self._reader = xgb, bundle, items, reader
        self._store = reader.store
        self._ranker = bundle.ranker
        self._tower = two_tower.build(bundle.encoder, TwoTowerSettings()).query_tower
        self._embeddings = np.asarray(bundle.index.vectors)

    def answer(self, user_id: str, moment_us: int) -> list[str]:
        found = self._rank(user_id, moment_us, self._retrieve(user_id, moment_us))
        return list(found[:SLATE])

    def candidates(self, user_id: str, moment_us: int) -> list[str]:
        return self._retrieve(user_id, moment_us)[0]

    def _retrieve(self, user_id: str, moment_us: int) -> tuple[list[str], Any]:
        row = self._reader.user_row(user_id)
        inputs = _query(self._bundle, user_id, row, moment_us)
        query = self._tower.predict(inputs, verbose=0)[0]
        scores = self._embeddings @ query
        best = np.argsort(-scores)[: CANDIDATES + len(row["seen_items"])]
        seen = set(row["seen_items"])
        kept = [place for place in best if self._items.item_ids[place] not in seen][:CANDIDATES]
        return [str(self._items.item_ids[place]) for place in kept], scores[kept]

    def _rank(self, user_id: str, moment_us: int, found: tuple[list[str], Any]) -> list[str]:
        ids, scores = found
        rows = [{"user_id": user_id, "item_id": i, "candidate_id": i, "moment_us": moment_us} for i in ids]
        features = self._store.get_online_features(
            features=self._store.get_feature_service("ranking"), entity_rows=rows
        ).to_df()
        features["two_tower_score"] = scores
        numbers = features.select_dtypes("number").reindex(columns=self._bundle.ranker_features)
        matrix = self._xgb.DMatrix(numbers.to_numpy(np.float32))
        order = np.argsort(-self._ranker.predict(matrix))
        return [ids[place] for place in order]


def naive(bundle: Bundle, items: ItemTable, reader: OnlineReader, users: int) -> Answer:
    graph = Naive(bundle, items, reader)
    wanted = {item for n in range(users) for item in graph.candidates(f"u{n}", NOW_US + n * STEP_US)}
    _store_items(items, sorted(wanted))
    return graph.answer


def _query(bundle: Bundle, user_id: str, row: dict[str, Any], moment_us: int) -> dict[str, Any]:
    import pyarrow as pa

    from feature_repo.features.columns import as_columns

    table = pa.Table.from_pylist([{name: row.get(name) for name in bundle.user_features}])
    columns = as_columns(table.cast(pa.schema(list(bundle.user_features.items()))), list(bundle.user_features))
    return dict(bundle.encoder.queries(np.array([user_id], object), columns, np.array([moment_us]), [{}]))


def _store_items(items: ItemTable, ids: list[str]) -> None:
    """Rows of the items that are read, in the online store: what a read costs hardly depends on the others."""
    from feature_repo.store.item_table import attributes

    store = open_store(Workspace.from_env())
    rows = [attributes(items, item) for item in ids]
    stamp = pd.Timestamp(NOW_US, unit="us", tz="UTC")
    for view in ITEM_VIEWS:
        names = [field.name for field in store.get_feature_view(view).features]
        frame = pd.DataFrame({name: [_plain(row.get(name)) for row in rows] for name in names})
        store.write_to_online_store(view, frame.assign(item_id=ids, event_timestamp=stamp))


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def main(kind: str, world: Path, requests: int) -> Measured:
    quiet_feast()
    workspace = Workspace.from_env()
    items, reader = open_item_table(workspace), open_online_reader(workspace)
    bundle = load_bundle(world / "bundle")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        answer = ours(bundle, items, reader) if kind == "ours" else naive(bundle, items, reader, requests)
        seconds = []
        for number in range(requests):
            started = time.perf_counter()
            slate = answer(f"u{number}", NOW_US + number * STEP_US)
            seconds.append(time.perf_counter() - started)
            if len(slate) != SLATE:
                raise ValueError(f"a slate has {SLATE} items; got {len(slate)}")
    return Measured(float(np.median(seconds[WARM_UP:])), resident_mb(), requests)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    measured = main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
    sys.stdout.write(json.dumps(vars(measured)) + "\n")

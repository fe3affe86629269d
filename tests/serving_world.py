"""A workspace with real parts and a bundle made by hand: every file real, nothing trained.

The towers look ids up in random tables and the ranker is a few trees over random rows: enough for a server to
start on in seconds.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import xgboost as xgb
from onnx import TensorProto, helper, numpy_helper

from feature_repo.core.workspace import Workspace
from feature_repo.features.frames import LISTS
from feature_repo.features.item import REACH_FEATURES
from feature_repo.features.plan import FeaturePlan
from feature_repo.features.request import AMOUNT_STATE, ITEM_STATE, USER_STATE
from training.bundle import seal
from training.encoder import TOWER_HISTORY, AttributeEncoder, Encoder
from training.ranker_features import feature_names
from training.ranking.as_onnx import export_ranker
from training.segments import BEHAVIOUR, Segments
from training.settings import BaselineSettings, CandidateSettings, IndexSettings
from training.vocabulary import vocabulary

RETRIEVERS = ("two-tower", "popular-30d")
USERS, ITEMS, EVENTS, DIMENSION = 20, 40, 400, 8
DATASET = """
name: tiny
events:
  path: events.csv
  columns: {user_id: user, item_id: item, timestamp: at}
  event_type: view
items: {path: items.csv, key: item, text: [title]}
weights: {view: 1}
repeat_consumption: false
"""


def build_world(folder: Path, *, versions: tuple[str, ...]) -> Workspace:
    """Events, tables, a filled store, an item snapshot and a bundle for each version, under `folder`."""
    workspace = Workspace(root=folder / "build", store=folder / "build" / "store")
    write_dataset(folder)
    for command in (
        ["data", "--dataset", str(folder / "dataset.yaml")],
        ["apply"],
        ["materialize", "--until", "held-out"],
    ):
        subprocess.run(
            [sys.executable, "-m", "feature_repo", *command],
            env={**os.environ, "BUILD": str(workspace.root), "STORE_URL": str(workspace.store)},
            check=True,
            capture_output=True,
        )
    for version in versions:
        write_bundle(workspace.bundles / version)
    return workspace


def write_dataset(folder: Path) -> None:
    rng = np.random.default_rng(7)
    users, items = rng.integers(USERS, size=EVENTS), rng.integers(ITEMS, size=EVENTS)
    rows = (f"u{u},i{i},{900_000_000 + n * 3_600}" for n, (u, i) in enumerate(zip(users, items, strict=True)))
    (folder / "dataset.yaml").write_text(DATASET)
    (folder / "events.csv").write_text("user,item,at\n" + "\n".join(rows) + "\n")
    titles = "\n".join(f"i{i},Film number {i}" for i in range(ITEMS))
    (folder / "items.csv").write_text(f"item,title\n{titles}\n")


def write_bundle(folder: Path, *, seed: int = 7) -> None:
    folder.mkdir(parents=True)
    none = AttributeEncoder({}, {}, {})
    encoder = Encoder(
        plan=FeaturePlan(),
        user_ids=vocabulary(f"u{n}" for n in range(USERS)),
        item_ids=vocabulary(f"i{n}" for n in range(ITEMS)),
        users=none,
        items=none,
        contexts={},
        segments=Segments(np.zeros(len(BEHAVIOUR)), np.ones(len(BEHAVIOUR)), np.zeros((1, len(BEHAVIOUR)))),
    )
    names = feature_names(encoder, RETRIEVERS)
    rng = np.random.default_rng(seed)
    item_table = unit_rows(rng.normal(size=(len(encoder.item_ids), DIMENSION)))
    query_table = unit_rows(rng.normal(size=(len(encoder.user_ids), DIMENSION)))
    onnx.save(query_tower(query_table), folder / "query_tower.onnx")
    onnx.save(
        table_lookup(
            "item_id",
            item_table,
            {"item_id": ([None], TensorProto.INT64), "popularity": ([None, 1], TensorProto.FLOAT)},
        ),
        folder / "item_tower.onnx",
    )
    np.save(folder / "index.npy", item_table[1:])
    (folder / "encoder.json").write_text(json.dumps(encoder.to_json()))
    rows = xgb.DMatrix(rng.normal(size=(200, len(names))), rng.integers(2, size=200))
    ranker = xgb.train({"objective": "rank:ndcg", "max_depth": 3}, rows, num_boost_round=5)
    ranker.save_model(folder / "ranker.ubj")
    export_ranker(ranker, folder / "ranker.onnx")
    seal(folder, facts(names))


def facts(names: tuple[str, ...]) -> dict[str, object]:
    kinds = {True: "list<int64>", False: "int64"}
    of_users, of_items = (*USER_STATE, *AMOUNT_STATE), (*ITEM_STATE, *REACH_FEATURES)
    state = {n: kinds[n.endswith(LISTS)] for n in (*of_users, *of_items)}
    return {
        "dataset": "tiny",
        "data_fingerprint": "made by hand",
        "window_start": "1998-07-09T16:00:00+00:00",
        "window_end": "1998-07-20T00:00:00+00:00",
        "repeat_consumption": False,
        "feature_services": ("retrieval", "ranking"),
        "user_features": {n: k for n, k in state.items() if n in of_users}
        | {"history_items": "list<string>", "history_times": "list<int64>", "seen_items": "list<string>"},
        "item_features": {n: k for n, k in state.items() if n in of_items} | {"title": "string"},
        "item_attributes": ("title",),
        "ranker_features": names,
        "retrievers": RETRIEVERS,
        "candidates": CandidateSettings(total=20, depth=15, retrievers=RETRIEVERS[1:]),
        "retriever_settings": BaselineSettings(),
        "index": IndexSettings(),
        "metrics": {},
    }


def unit_rows(
    matrix: "np.ndarray[tuple[int, int], np.dtype[np.float64]]",
) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


def query_tower(table: "np.ndarray[tuple[int, int], np.dtype[np.float32]]") -> onnx.ModelProto:
    whole = TensorProto.INT64
    inputs = {"user_id": ([None], whole), "history": ([None, TOWER_HISTORY], whole), "hour": ([None], whole)}
    inputs |= {"weekday": ([None], whole), "activity": ([None, 1], TensorProto.FLOAT)}
    return table_lookup("user_id", table, inputs)


def table_lookup(
    key: str,
    table: "np.ndarray[tuple[int, int], np.dtype[np.float32]]",
    inputs: dict[str, tuple[list[int | None], int]],
) -> onnx.ModelProto:
    """A tower that looks its key up in a table, whatever else it is given."""
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", key], ["embedding"])],
        "tower",
        [helper.make_tensor_value_info(name, kind, shape) for name, (shape, kind) in inputs.items()],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [None, table.shape[1]])],
        [numpy_helper.from_array(table, "table")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)

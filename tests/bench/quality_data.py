"""The two published random protocols: their files, checked by hash, as what may be learnt from and what is scored."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from feature_repo.core.errors import DatasetError, MissingArtifact
from feature_repo.core.workspace import PROJECT, Workspace
from feature_repo.dataset.declaration import Dataset, load_dataset
from feature_repo.dataset.read import connect, read_entities, read_raw_events
from feature_repo.dataset.source import fetch
from training.static.cuts import hold_out
from training.static.one_moment import Pairs

Array = np.ndarray[Any, Any]

LCFN, MOVIELENS = "ml-1m-lcfn", "movielens-100k"
SPLITS = ("validation", "test")
LCFN_SHA256 = {
    "train.txt": "f088986b22f14f17136f9c4ef6f1269201f83dfb9ce259f1fd4ed46d72a92599",
    "test.txt": "7ca364f7f9321417b521745833b12719a2feb13253bccece2c04d5afe9fc3e15",
}
LCFN_USERS, LCFN_ITEMS = 6_022, 3_043
LCFN_VALIDATION = 1 / 9  # of the training pairs, so that it is to them as the test is to all of them
MOVIELENS_HELD = 0.25
CUT_SEED, VALIDATION_SEED = 20, 21


@dataclass(frozen=True)
class Part:
    """What may be learnt from, and what is held out of it: `held` [u, i]."""

    known: Pairs
    held: sparse.csr_array


def split_of(environment: Mapping[str, str]) -> str:
    """Which part is scored: SPLIT, by default the validation cut.

    Raises:
        DatasetError: SPLIT is another word.
    """
    split = environment.get("SPLIT") or SPLITS[0]
    if split not in SPLITS:
        raise DatasetError(f"SPLIT is {' or '.join(SPLITS)}; got {split!r}")
    return split


def data_folder() -> Path:
    """The folder of data sets that the project does not carry: BENCH_DATA, by default beside the project."""
    return Path(os.environ.get("BENCH_DATA") or PROJECT.parent / "shared" / "data")


def lcfn(folder: Path, split: str) -> Part:
    """MovieLens-1M in the split of LCFN; the file of test pairs is opened for a test only.

    Raises:
        MissingArtifact: a file is not there.
        DatasetError: a file is not the one that the published figures are of.
    """
    shape = (LCFN_USERS, LCFN_ITEMS)
    train = _pairs_of(_checked(folder / LCFN / "train.txt"), shape)
    user_ids, item_ids = (np.array([f"{kind}{row}" for row in range(n)]) for kind, n in zip("ui", shape, strict=True))
    everything = Pairs(user_ids, item_ids, train, {})
    if split == "test":
        return Part(everything, _pairs_of(_checked(folder / LCFN / "test.txt"), shape))
    return _cut(everything, LCFN_VALIDATION, VALIDATION_SEED)


def movielens(workspace: Workspace, split: str) -> Part:
    """MovieLens-100K, a quarter of each user's ratings held out; the validation cut takes a quarter of the others."""
    dataset = fetch(load_dataset(MOVIELENS), workspace.root / "downloads")
    test = _cut(_all_pairs(dataset), MOVIELENS_HELD, CUT_SEED)
    return test if split == "test" else _cut(test.known, MOVIELENS_HELD, VALIDATION_SEED)


def _cut(pairs: Pairs, share: float, seed: int) -> Part:
    kept, held = hold_out(pairs.met, share, np.random.default_rng(seed))
    return Part(pairs.only(kept), held)


def _checked(path: Path) -> str:
    if not path.exists():
        raise MissingArtifact(f"{path} is not there; BENCH_DATA= names the folder that holds {path.parent.name}")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != LCFN_SHA256[path.name]:
        raise DatasetError(f"{path}: expected SHA-256 {LCFN_SHA256[path.name]}; got {found}")
    return content.decode()


def _pairs_of(text: str, shape: tuple[int, int]) -> sparse.csr_array:
    """Lines of a user's row and the rows of their items."""
    lines = [np.array(line.split(), np.int64) for line in text.splitlines() if line.strip()]
    users = np.repeat([line[0] for line in lines], [len(line) - 1 for line in lines])
    items = np.concatenate([line[1:] for line in lines])
    return sparse.csr_array((np.ones(len(users), np.float32), (users, items)), shape=shape)


def _all_pairs(dataset: Dataset) -> Pairs:
    connection = connect()
    assert dataset.items is not None
    events = read_raw_events(connection, dataset).project("user_id, item_id").distinct().order("ALL").fetchnumpy()
    user_ids, users = np.unique(events["user_id"].astype(str), return_inverse=True)
    item_ids, items = np.unique(events["item_id"].astype(str), return_inverse=True)
    ones = np.ones(len(users), np.float32)
    met = sparse.csr_array((ones, (users, items)), shape=(len(user_ids), len(item_ids)))
    table = read_entities(connection, dataset, dataset.items, "item_id").to_arrow_table().to_pydict()
    row_of = {item: row for row, item in enumerate(table["item_id"])}
    rows = [row_of[item] for item in item_ids.tolist()]
    return Pairs(
        user_ids, item_ids, met, {name: _column([table[name][row] for row in rows]) for name in _named(dataset)}
    )


def _named(dataset: Dataset) -> tuple[str, ...]:
    assert dataset.items is not None
    return (*dataset.items.categorical, *dataset.items.text, *dataset.items.multi)


def _column(values: list[Any]) -> Array:
    """Texts [i], or lists of texts as [i, n], None after the last."""
    lists = [value if isinstance(value, list) else [value] for value in values]
    table = np.full((len(lists), max(map(len, lists))), None, object)
    for row, found in enumerate(lists):
        table[row, : len(found)] = found
    return table

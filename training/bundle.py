"""The bundle: everything that a version serves, as files with hashes. No pickle, no TensorFlow.

manifest.json       what it is, and SHA-256 and size of every other file
query_tower.onnx    item_tower.onnx
index.npy           item embeddings of the training window, rows in the order of the encoder's item ids
index.faiss         where there are many: cells of them
tower_weights.npz   weights of the towers, to start the next version from
retriever-*.npy     an array of another retriever that was fitted, over the encoder's item ids
ranker.ubj          XGBoost's own format
ranker.onnx         the same trees, which onnxruntime walks in a third of the time
encoder.json        vocabularies, scales, text model, segments
reference.parquet   what it recommended at the end of its training window: the reference for drift
model_card.md       for people
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from feature_repo.core.errors import BundleError, RecommenderError
from feature_repo.core.workspace import write_json
from feature_repo.features.columns import Columns, take
from training.encoder import Encoder
from training.prior import with_prior
from training.ranker_features import feature_names
from training.retrieval.index import ItemIndex, load_index
from training.retrieval.port import Retriever
from training.retrieval.retrievers import retriever as make_retriever
from training.settings import BaselineSettings, CandidateSettings, IndexSettings, PriorSettings

if TYPE_CHECKING:
    import xgboost as xgb

Array = np.ndarray[Any, Any]

MANIFEST = "manifest.json"
FORMAT = 4
EMBED_ROWS = 4096  # items embedded at once
NO_RANKER = "a bundle's ranker must be loaded; got towers alone"


class RankerFailed(RecommenderError):
    """There are no scores of the ranker."""


class Manifest(BaseModel):
    """What a bundle says of itself. `user_features` and `item_features` are the raw features it reads, with types."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    dataset: str
    data_fingerprint: str
    window_start: str
    window_end: str
    repeat_consumption: bool
    feature_services: tuple[str, ...]
    user_features: dict[str, str]
    item_features: dict[str, str]
    item_attributes: tuple[str, ...]
    ranker_features: tuple[str, ...]
    retrievers: tuple[str, ...]
    candidates: CandidateSettings
    prior: PriorSettings = PriorSettings(openings={}, newcomers={})  # versions before it had none
    pause_hours: float = 1.0
    retriever_settings: BaselineSettings
    index: IndexSettings
    metrics: dict[str, float]
    files: dict[str, str]


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle; its methods are the models, vectorised, on raw feature columns."""

    folder: Path
    manifest: Manifest
    encoder: Encoder
    query_tower: ort.InferenceSession
    index: ItemIndex
    retrievers: tuple[Retriever, ...]
    trees: ort.InferenceSession | None = None  # the ranker's
    ranker_file: Path | None = None

    @property
    def ranker(self) -> "xgb.Booster":
        """The trees as XGBoost has them, read anew: for explanations, and not for answers.

        Raises:
            RankerFailed: the bundle is one of towers alone.
        """
        import xgboost as xgb  # with the scikit-learn that it looks for 75 MB that a server has no use for

        if self.ranker_file is None:
            raise RankerFailed(NO_RANKER)
        return xgb.Booster(model_file=self.ranker_file)

    @property
    def candidates(self) -> CandidateSettings:
        return self.manifest.candidates

    @property
    def ranker_features(self) -> tuple[str, ...]:
        return self.manifest.ranker_features

    @property
    def item_attributes(self) -> tuple[str, ...]:
        return self.manifest.item_attributes

    @property
    def repeat_consumption(self) -> bool:
        return self.manifest.repeat_consumption

    @property
    def user_features(self) -> dict[str, pa.DataType]:
        return {name: _TYPES[kind] for name, kind in self.manifest.user_features.items()}

    def embed_query(
        self,
        user_ids: Array,
        users: Columns,
        moments_us: Array,
        contexts: Sequence[Mapping[str, str]],
        *,
        history: Array | None = None,
    ) -> Array:
        """Unit vectors [n, dimension] for n requests; `history` is that of `Encoder.queries`, where it is known."""
        inputs = self.encoder.queries(user_ids, users, moments_us, contexts, history=history)
        embedded: Array = self.query_tower.run(None, inputs)[0]
        return embedded

    def embed_items(self, item_ids: Array, items: Columns) -> Array:
        """Unit vectors [n, dimension] for n items: from the index, or for an item new since then from its features."""
        known = self.encoder.item_ids.encode(item_ids)
        if len(known) == len(self.index.vectors) and (known == np.arange(1, len(known) + 1)).all():
            return np.asarray(self.index.vectors)  # the catalogue of the training window
        embeddings: Array = self.index.vectors[np.maximum(known, 1) - 1]
        new = np.flatnonzero(known == 0)
        if len(new):
            embeddings[new] = self.run_item_tower(item_ids[new], take(items, new))
        return embeddings

    def run_item_tower(self, item_ids: Array, items: Columns) -> Array:
        """Unit vectors [n, dimension] straight from the item tower."""
        inputs = self.encoder.item_inputs(item_ids, items)
        # Opened for this: it is as large as the vocabulary, and is asked when items are new.
        tower = _open_session(self.folder / "item_tower.onnx")
        parts = [
            tower.run(None, {name: values[at : at + EMBED_ROWS] for name, values in inputs.items()})[0]
            for at in range(0, max(len(item_ids), 1), EMBED_ROWS)
        ]
        return np.concatenate(parts)

    def rank(self, matrix: Array) -> Array:
        """Ranker scores [n] of candidates' features [n, features]."""
        scores = self.bare_scores(matrix)
        prior, hours, depth = self.manifest.prior, self.manifest.pause_hours, self.candidates.depth
        return with_prior(scores, matrix, self.ranker_features, prior, pause_hours=hours, depth=depth)

    def bare_scores(self, matrix: Array) -> Array:
        """The same without the prior of openings.

        Raises:
            RankerFailed: the ranker does not work, or takes other features.
        """
        if self.trees is None:
            raise RankerFailed(NO_RANKER)
        try:
            scores: Array = self.trees.run(None, {"rows": matrix})[0][:, 0]
        except Exception as error:  # the runtime's own exceptions have no class in common
            raise RankerFailed(f"the ranker's trees must take {matrix.shape} features; {error}") from error
        return scores

    def with_ranker(self, folder: Path) -> "Bundle":
        """The same with the ranker whose files lie in `folder`."""
        return replace(self, trees=_open_session(folder / "ranker.onnx"), ranker_file=folder / "ranker.ubj")

    def under(self, prior: PriorSettings) -> "Bundle":
        """The same with another prior."""
        return replace(self, manifest=self.manifest.model_copy(update={"prior": prior}))


_TYPES = {
    "string": pa.string(),
    "double": pa.float64(),
    "int64": pa.int64(),
    "list<string>": pa.list_(pa.string()),
    "list<int64>": pa.list_(pa.int64()),
}


def type_name(kind: pa.DataType) -> str:
    """The name under which a raw feature's type is written into the manifest."""
    value = kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else kind
    if pa.types.is_string(value) or pa.types.is_large_string(value):
        name = "string"
    else:
        name = "int64" if pa.types.is_integer(value) else "double"
    name = name if value is kind else f"list<{name}>"
    if name not in _TYPES:
        raise BundleError(f"a raw feature is one of {', '.join(_TYPES)}; got {kind}")
    return name


def seal(folder: Path, manifest: dict[str, Any]) -> Manifest:
    """Write the manifest of a folder whose other files are complete."""
    files = {path.name: _digest(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST}
    sealed = Manifest(**manifest, files=files, format=FORMAT)
    write_json(folder / MANIFEST, sealed.model_dump(mode="json"))
    return sealed


def load_bundle(folder: Path) -> Bundle:
    """Open the bundle in `folder` after checking every file's hash.

    Raises:
        BundleError: a file is missing, altered or not named by the manifest.
    """
    bundle = load_towers(folder, read_manifest(folder)).with_ranker(folder)
    expected = feature_names(bundle.encoder, bundle.manifest.retrievers)
    learnt = bundle.trees.get_inputs()[0].shape[1] if bundle.trees else 0
    if bundle.ranker_features != expected or learnt != len(expected):
        raise BundleError(
            f"{folder}: this code gives the ranker {len(expected)} features; the bundle's was trained on "
            f"{learnt}: {sorted(set(expected) ^ set(bundle.ranker_features))[:5]} differ"
        )
    return bundle


def load_towers(folder: Path, manifest: Manifest) -> Bundle:
    """Open what retrieval needs. For the time before there is a ranker.

    The two-tower is the first of the manifest's retrievers.
    """
    return Bundle(
        folder=folder,
        manifest=manifest,
        encoder=Encoder.from_json(json.loads((folder / "encoder.json").read_text(encoding="utf-8"))),
        query_tower=_open_session(folder / "query_tower.onnx"),
        index=load_index(folder),
        retrievers=tuple(_load_retriever(folder, name, manifest) for name in manifest.retrievers[1:]),
    )


def _open_session(file: Path) -> ort.InferenceSession:
    threads = ort.SessionOptions()
    threads.intra_op_num_threads = 1  # a run is shorter than waking a second thread
    return ort.InferenceSession(file, threads, providers=["CPUExecutionProvider"])


def save_retriever(retriever: Retriever, folder: Path) -> None:
    """Write what was fitted; a retriever that learns nothing has no file."""
    for array, values in retriever.arrays().items():
        np.save(_retriever_file(folder, retriever.name, array), values, allow_pickle=False)


def _load_retriever(folder: Path, name: str, manifest: Manifest) -> Retriever:
    start, end = str(_retriever_file(folder, name, "*").name).split("*")
    paths = {path.name.removeprefix(start).removesuffix(end): path for path in folder.glob(f"{start}*{end}")}
    # Read, not mapped: a request reads a hundred rows here and there, and of memory numpy asks for huge pages.
    arrays = {array: np.load(path, allow_pickle=False) for array, path in paths.items()}
    earlier = folder / f"{start.removesuffix('=')}.npz"  # all arrays in one file, as bundles before had them
    if earlier.exists():
        with np.load(earlier, allow_pickle=False) as saved:
            arrays = dict(saved)
    return make_retriever(name, manifest.retriever_settings).restore(arrays)


def _retriever_file(folder: Path, name: str, array: str) -> Path:
    return folder / f"retriever-{name}={array}.npy"


def read_manifest(folder: Path) -> Manifest:
    """The manifest of `folder`, after checking that the files are exactly those that it names."""
    path = folder / MANIFEST
    if not path.exists():
        raise BundleError(f"{folder}: expected a bundle with a {MANIFEST}; it has none")
    try:
        manifest = Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise BundleError(f"{path}: {error.errors()[0]['msg']} at {error.errors()[0]['loc']}") from None
    if manifest.format != FORMAT:
        raise BundleError(f"{path}: this code reads bundle format {FORMAT}; got {manifest.format}")
    found = {file.name for file in folder.iterdir()} - {MANIFEST}
    if found != set(manifest.files):
        raise BundleError(f"{folder}: the manifest names {sorted(manifest.files)}; got {sorted(found)}")
    for name, expected in manifest.files.items():
        if _digest(folder / name) != expected:
            raise BundleError(f"{folder / name}: expected SHA-256 {expected}; got {_digest(folder / name)}")
    return manifest


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

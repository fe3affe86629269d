"""One seed under both protocols with time: `python -m bench.quality_time_contender SPLIT SEED OUT ROOT`.

Trains as `make train` does up to the window's start and asks the window in replay and on the split. Beside the bundle's
own retrievers stand all others, fitted on the whole training window.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from feast import FeatureStore

from feature_repo.core.workspace import Workspace, write_json
from feature_repo.dataset.prepare import active_dataset
from feature_repo.dataset.split import load_split, to_microseconds
from feature_repo.store.item_table import item_table
from feature_repo.store.materialize import items_at
from feature_repo.store.open import open_store, quiet_feast
from training.bundle import Bundle, load_bundle
from training.evaluation.hits import counts_of, hits_of
from training.evaluation.metrics import ndcg
from training.evaluation.protocols import asked_of, protocols
from training.evaluation.replayed import replay
from training.evaluation.world import load_world
from training.pipeline import Progress, train
from training.replay import Moment, moments, open_timeline
from training.retrieval.port import Retriever
from training.retrieval.retrievers import RETRIEVERS, retriever
from training.retrieval.training_log import segments_at, training_log, usable
from training.settings import TrainingSettings

# Milliseconds for each of its answers, from persons' rows; its place is in the protocols without time.
LEFT_OUT = {"kernel"}


def main(split_name: str, seed: int, out: Path, root: Path) -> None:
    workspace = Workspace(root=root, store=root / "store")
    quiet_feast()
    split, store = load_split(workspace), open_store(workspace)
    start, end = {
        "validation": (split.champion_end, split.challenger_end),
        "test": (split.challenger_end, split.test_end),
    }[split_name]
    settings = TrainingSettings(seed=seed)
    with tempfile.TemporaryDirectory(dir=root) as scratch:
        folder = Path(scratch) / "bundle"
        folder.mkdir()
        train(workspace, settings, end=start, folder=folder, progress=Progress(_say, lambda: None, lambda *_: None))
        bundle = load_bundle(folder)
        known = moments(workspace, split.start, start)
        beside = _beside(store, workspace, bundle, known, settings, to_microseconds(start))
        asked = moments(workspace, start, end)
        found = {}
        for protocol in protocols(asked, to_microseconds(start)):
            _say(protocol.name, len(protocol.asked))
            timeline = open_timeline(store, workspace, start=start, end=end)
            replayed = replay(store, bundle, timeline, protocol.asked, lambda: None, beside=beside)
            which = asked_of(protocol.asked, timeline.table.rows, np.random.default_rng(0))
            world = load_world(workspace, timeline.table, start=start, end=end)
            relevant = counts_of(which.relevant)
            found[protocol.name] = {
                "values": {m: ndcg(hits_of(s, which.relevant), relevant).tolist() for m, s in replayed.slates.items()},
                "user": which.user.tolist(),
                "segment": world.user_segments(protocol.asked).tolist(),
            }
    write_json(out, {"protocols": found, "retrievers": bundle.manifest.retrievers})


def _beside(
    store: FeatureStore,
    workspace: Workspace,
    bundle: Bundle,
    known: list[Moment],
    settings: TrainingSettings,
    until_us: int,
) -> list[Retriever]:
    dataset = active_dataset(workspace)
    catalogue = item_table(items_at(store, workspace, until_us), load_split(workspace).start)
    log = training_log(dataset, bundle.encoder, catalogue, known, segments_at(store, bundle.encoder, known))
    own = {*bundle.manifest.retrievers, *LEFT_OUT}
    names = [name for name in usable(tuple(RETRIEVERS), dataset) if name not in own]
    return [retriever(name, settings.retrievers).fit(log, seed=settings.seed) for name in names]


def _say(stage: str, _: Any) -> None:
    sys.stdout.write(f"{stage}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
    sys.stdout.write(json.dumps("done") + "\n")

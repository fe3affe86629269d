"""The leak check of a training run: a sample of its rows against features that cannot see the future.

Covered: every stored feature that a feature service reads, fetched the way training fetches it, for requests that the
run learns from, one of the items that each went on to, and other items. What a matrix adds to them is a function of
these values and the moment. Not covered: scores and ranks of retrievers; items' attributes in the towers' examples,
which are those of the window's cut; events that reached the log late, since an event does not say when it did.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast import FeatureStore

from feature_repo.core.errors import LeakFound
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.prepare import active_dataset, entity_rows
from feature_repo.store.historical import features_at
from training.leaks.compare import compare
from training.leaks.oracle import build_worlds, newest_rows
from training.leaks.probes import LateRows, Probe, asked_items, asked_users, choose_probes
from training.replay import Moment


@dataclass(frozen=True)
class LeakCheck:
    """A check that found no leak: rows looked at, and how many values of each feature were compared."""

    rows: int
    values: Mapping[str, int]

    @property
    def unseen(self) -> tuple[str, ...]:
        """Features that were null in every row, so that nothing is known of them."""
        return tuple(name for name, count in self.values.items() if count == 0)

    def metrics(self) -> dict[str, float]:
        return {
            "leak_check_rows": float(self.rows),
            "leak_check_features": float(len(self.values) - len(self.unseen)),
            "leak_check_values": float(sum(self.values.values())),
            "leaks_found": 0.0,
        }

    def sentence(self) -> str:
        """For the model card."""
        features, values = len(self.values) - len(self.unseen), sum(self.values.values())
        none = f"; nothing to compare for {', '.join(self.unseen)}" if self.unseen else ""
        told = f"PASS: {features} features in {self.rows} rows equal what was known before each request"
        return f"{told} ({values} values{none})."


def check_leaks(
    store: FeatureStore,
    workspace: Workspace,
    asked: Sequence[Moment],
    *,
    requests: int,
    rng: np.random.Generator,
) -> LeakCheck:
    """Compare a sample of `asked` (in order of time): at most `requests`, and some near rows that were recorded late.

    Raises:
        LeakFound: the stores give what was not known yet, or no value could be compared.
    """
    events = pq.read_table(workspace.events, columns=["item_id", "timestamp"])
    entities = {key: entity_rows(workspace, key) for key in ("user_id", "item_id")}
    first_us = pc.min(_microseconds(events["timestamp"]))
    late = {key: _late_rows(path, key, first_us) for key, path in entities.items()}
    probes = choose_probes(
        asked,
        items=events["item_id"].unique().to_numpy(zero_copy_only=False),
        requests=requests,
        late_users=late["user_id"],
        late_items=late["item_id"],
        rng=rng,
    )
    checked = _compare(store, workspace, probes, entities)
    if not any(checked.values.values()):
        raise LeakFound(
            f"a leak check needs values to compare; got none in {checked.rows} rows of {len(checked.values)} features"
        )
    return checked


def _compare(
    store: FeatureStore, workspace: Workspace, probes: Sequence[Probe], entities: Mapping[str, Path]
) -> LeakCheck:
    rows = 0
    values: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix=".leaks.", dir=workspace.root) as name:
        folder = Path(name)
        build_worlds(active_dataset(workspace), probes, events=workspace.events, entities=entities, folder=folder)
        for key, asked in (("user_id", asked_users(probes)), ("item_id", asked_items(probes))):
            stored = features_at(store, key, asked.ids, asked.moments_us)
            compared = compare(stored, newest_rows(folder, asked, key), asked, key=key)
            rows += compared.rows
            values |= compared.values
    return LeakCheck(rows, values)


def _late_rows(path: Path, key: str, first_us: pa.Scalar) -> LateRows:
    if not path.exists() or "recorded" not in pq.read_schema(path).names:
        return LateRows(np.zeros(0, object), np.zeros(0, np.int64), np.zeros(0, np.int64))
    rows = pq.read_table(path, columns=[key, "valid_from", "recorded"])
    holds = pc.fill_null(_microseconds(rows["valid_from"]), first_us)
    rows = rows.append_column("holds", holds).append_column("known", _microseconds(rows["recorded"]))
    late = rows.filter(pc.greater(rows["known"], rows["holds"]))
    return LateRows(*(late[name].to_numpy(zero_copy_only=False) for name in (key, "holds", "known")))


def _microseconds(moments: pa.ChunkedArray) -> pa.ChunkedArray:
    return moments.cast(pa.timestamp("us", "UTC")).cast(pa.int64())

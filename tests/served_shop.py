"""A shop whose requests are served without a server: the online store, the item snapshot and the service's own path
from a row to the ranker's matrix and to the log, over an encoder that was fitted and a bundle without models."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from generated_shop import write_shop

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.declaration import load_dataset
from feature_repo.dataset.prepare import prepare
from feature_repo.dataset.pseudonym import open_pseudonyms
from feature_repo.dataset.split import load_split, to_microseconds
from feature_repo.features.columns import as_columns, row_as_columns
from feature_repo.store.apply import apply_definitions
from feature_repo.store.historical import features_at
from feature_repo.store.item_table import open_item_table
from feature_repo.store.materialize import materialize
from feature_repo.store.online import open_online_reader
from feature_repo.store.open import open_store, quiet_feast
from serving.request_log import LoggedRequest, metadata_of, to_table
from training.bundle import seal, type_name
from training.encoder import Encoder, fit_encoder
from training.ranker_features import (
    LAST_ITEM_SCORE,
    CandidateRows,
    Requests,
    attribute_matrix,
    feature_matrix,
    feature_names,
)
from training.retrieval.catalogue import TableCatalogue
from training.retrieval.examples import SEEN
from training.retrieval.fusion import retrieval_features
from training.settings import BaselineSettings, CandidateSettings, IndexSettings, TrainingSettings

NOW = datetime(2026, 5, 1, tzinfo=UTC)
RETRIEVERS = ("two-tower", "popular-30d")
CANDIDATES = 12
VERSION = "1"

Row = Mapping[str, Any]
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ServedShop:
    """`filled` is the moment up to which the stores are filled; requests come after it."""

    workspace: Workspace
    encoder: Encoder
    bundle: Path
    filled: datetime

    @property
    def names(self) -> tuple[str, ...]:
        return feature_names(self.encoder, RETRIEVERS)

    def serve(
        self,
        requests: int,
        *,
        at: Callable[[int], datetime],
        change_row: Callable[[dict[str, Any]], dict[str, Any]] = dict,
        change_matrix: Callable[[Array, tuple[str, ...]], Array] = lambda matrix, _: matrix,
        version: str = VERSION,
        name: str = "one",
        arrived: datetime | None = None,
    ) -> None:
        """Log requests 0, 1, ... of users in turn, each at its moment; `change_...` is what breaks on the way.

        They arrive at their moments, or all at `arrived`.
        """
        rng = np.random.default_rng(5)
        items, reader = open_item_table(self.workspace), open_online_reader(self.workspace)
        catalogue = TableCatalogue(items, self.encoder.item_ids, self.encoder.plan)
        fitted = attribute_matrix(self.encoder.items, items.columns, len(items))
        schema = self.user_schema()
        rows = []
        for number in range(requests):
            user, moment = f"p{number % 61}", at(number)
            row = change_row(reader.user_row(user))
            places = rng.choice(len(items), CANDIDATES, replace=False)
            candidates = CandidateRows(
                np.zeros(CANDIDATES, np.int64),
                items.item_ids[places],
                catalogue.tastes(places),
                fitted[places],
                {
                    name: rng.normal(size=CANDIDATES).astype(np.float32)
                    for name in (*retrieval_features(RETRIEVERS), LAST_ITEM_SCORE)
                },
                catalogue.features(places, to_microseconds(moment)),
            )
            asked = Requests(row_as_columns(row, schema), np.array([to_microseconds(moment)]), [{"device": "phone"}])
            matrix = change_matrix(feature_matrix(self.encoder, asked, candidates), self.names)
            logged = self._logged(f"{name}-{number}", user, moment, row, candidates.item_ids, matrix, version)
            rows.append(replace(logged, received_at=arrived or moment))
        pseudonyms = open_pseudonyms(self.workspace)
        table = to_table(rows, pseudonyms).replace_schema_metadata(metadata_of(pseudonyms))
        self.workspace.request_log.mkdir(exist_ok=True)
        pq.write_table(table, self.workspace.request_log / f"{name}.parquet")

    def user_schema(self) -> dict[str, Any]:
        one = features_at(open_store(self.workspace), "user_id", np.array(["p1"], object), np.array([0]))
        return {f.name: f.type for f in one.schema if f.name not in ("user_id", "event_timestamp")}

    def _logged(
        self, request_id: str, user: str, moment: datetime, row: Row, ids: Array, matrix: Array, version: str
    ) -> LoggedRequest:
        return LoggedRequest(
            request_id=request_id,
            received_at=moment,
            moment=moment,
            user_id=user,
            variant="stable",
            model_version=version,
            degraded=(),
            user_row=row,
            k=1,
            slate=[str(ids[0])],
            propensities=[1.0],
            candidates=ids,
            sources=np.array(["two-tower"] * len(ids), object),
            scores=np.zeros(len(ids), np.float32),
            features=matrix,
            feature_names=self.names,
        )


def build_served_shop(folder: Path) -> ServedShop:
    """Tables of all events, and stores filled up to the end of their first 80 %; BUILD and STORE_URL name the place."""
    quiet_feast()
    workspace = Workspace(root=folder / "build", store=folder / "build" / "store")
    dataset = load_dataset(str(write_shop(folder)))
    prepare(dataset, workspace, now=NOW)
    apply_definitions(workspace)
    filled = load_split(workspace).challenger_end
    materialize(workspace, until=filled)
    store = open_store(workspace)
    events = pq.read_table(workspace.events).slice(0, 500)
    users, moments_us = events["user_id"].to_numpy(), events["timestamp"].cast("int64").to_numpy()
    table = features_at(store, "user_id", users, moments_us, leave_out=SEEN)
    raw = as_columns(table, [c for c in table.column_names if c not in ("user_id", "event_timestamp")])
    items = open_item_table(workspace)
    contexts = [{"device": value} for value in events["device"].to_pylist()]
    settings = TrainingSettings()
    encoder = fit_encoder(
        dataset,
        user_ids=users,
        users=raw,
        moments_us=moments_us,
        contexts=contexts,
        item_ids=items.item_ids,
        items=items.columns,
        settings=settings.encoder,
        seed=1,
    )
    bundle = workspace.bundles / VERSION
    bundle.mkdir(parents=True)
    (bundle / "encoder.json").write_text(json.dumps(encoder.to_json()))
    kinds = {field.name: type_name(field.type) for field in table.schema if field.name in raw}
    seal(
        bundle,
        {
            "dataset": dataset.name,
            "data_fingerprint": "made by hand",
            "window_start": events["timestamp"][0].as_py().isoformat(),
            "window_end": filled.isoformat(),
            "repeat_consumption": True,
            "feature_services": ("retrieval", "ranking"),
            "user_features": kinds,
            "item_features": {},
            "item_attributes": (),
            "ranker_features": feature_names(encoder, RETRIEVERS),
            "retrievers": RETRIEVERS,
            "candidates": CandidateSettings(retrievers=RETRIEVERS[1:]),
            "retriever_settings": BaselineSettings(),
            "index": IndexSettings(),
            "metrics": {},
        },
    )
    return ServedShop(workspace, encoder, bundle, filled)

"""Feast's own log of served features: written by the service, read back by Feast."""

import resource
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.feature_logging import LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination
from feast.types import Array, Int64, String

from feature_repo.core.errors import StoreUnavailable
from feature_repo.dataset.pseudonym import Pseudonyms
from serving.feature_log import FeatureLog, open_feature_log
from serving.request_log import LoggedRequest

pytestmark = [
    pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
PSEUDONYMS = Pseudonyms(b"the key of this deployment", in_store=False)
USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
VIEWS = {"activity": [Field(name="events", dtype=Int64), Field(name="days", dtype=Array(Int64))]}
VIEWS["profile"] = [Field(name="city", dtype=String), Field(name="job", dtype=String)]


def opened(folder: Path, *, logged: bool = True, **destination: Any) -> FeatureStore:
    config = RepoConfig(
        project="logs",
        provider="local",
        registry=str(folder / "registry.db"),
        offline_store={"type": "feature_repo.store.asof.AsofOfflineStore"},
        online_store=None,
        entity_key_serialization_version=3,
        repo_path=folder,
    )
    store = FeatureStore(config=config)
    views = [
        FeatureView(
            name=name,
            entities=[USER],
            schema=fields,
            source=FileSource(name=f"{name}_table", path=str(folder / f"{name}.parquet"), timestamp_field="at"),
        )
        for name, fields in VIEWS.items()
    ]
    to = FileLoggingDestination(**{"path": str(folder / "log"), **destination})
    service = FeatureService(name="served_user", features=views, logging_config=LoggingConfig(destination=to))
    store.apply([USER, *views, *([service] if logged else [])])
    return store


def row(number: int, user_id: str, user_row: dict[str, Any] | None) -> LoggedRequest:
    nothing = np.zeros(0, object)
    return LoggedRequest(
        request_id=f"r{number}",
        received_at=NOON + timedelta(hours=number),
        moment=NOON,
        user_id=user_id,
        variant="stable",
        model_version="3",
        degraded=(),
        user_row=user_row,
        k=10,
        slate=(),
        propensities=(),
        candidates=nothing,
        sources=nothing,
        scores=np.zeros(0, np.float32),
        features=np.zeros((0, 2), np.float32),
        feature_names=("f", "g"),
    )


ROWS = [
    row(0, "ann", {"events": 3, "days": np.array([1, 2]), "city": "Rome"}),
    row(1, "bob", {}),
    row(2, "cy", None),
    row(3, "ann", {"events": 4, "days": [2], "city": "Oslo", "job": "cook"}),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """A store with what the service logged of two users; a third one's row could not be read."""
    store = opened(tmp_path_factory.mktemp("store"))
    log = open_feature_log(store)
    assert isinstance(log, FeatureLog)
    log.write(ROWS[:2], PSEUDONYMS)
    log.write(ROWS[2:], PSEUDONYMS)
    return store


def test_feast_reads_its_log_back_with_the_schema_of_its_logging_source(store: FeatureStore) -> None:
    service = store.get_feature_service("served_user")

    found = store._get_provider().retrieve_feature_service_logs(
        feature_service=service,
        start_date=NOON,
        end_date=NOON + timedelta(hours=2),
        config=store.config,
        registry=store.registry,
    )

    rows = {logged["__request_id"]: logged for logged in found.to_arrow().to_pylist()}
    assert rows.keys() == {"r0", "r1"}
    assert {name: rows["r0"][name] for name in ("activity__events", "activity__days", "profile__city")} == {
        "activity__events": 3,
        "activity__days": [1, 2],
        "profile__city": "Rome",
    }
    assert rows["r0"]["user_id"] == PSEUDONYMS.of("ann")
    assert rows["r0"]["__log_timestamp"] == NOON


def test_what_feast_itself_logs_lies_beside_what_the_service_logs(tmp_path: Path) -> None:
    store = opened(tmp_path)
    log = open_feature_log(store)
    assert log is not None
    log.write(ROWS[:1], PSEUDONYMS)
    (file,) = (tmp_path / "log").iterdir()

    store.write_logged_features(pq.read_table(file), store.get_feature_service("served_user"))

    assert pq.read_table(tmp_path / "log")["__request_id"].to_pylist() == ["r0", "r0"]


def test_a_status_tells_a_value_from_an_empty_one_and_from_no_row(store: FeatureStore) -> None:
    path = store.get_feature_service("served_user").logging_config.destination.path

    table = pd.read_parquet(path).set_index("__request_id").sort_index()

    statuses = [name for name in table.columns if name.endswith("__status")]
    assert table.loc["r0", statuses].tolist() == [1, 1, 1, 2]
    assert table.loc["r1", statuses].tolist() == [3, 3, 3, 3]
    assert table.index.tolist() == ["r0", "r1", "r3"]
    assert set(table["__log_date"]) == {date(2026, 5, 1)}


def test_the_log_is_a_source_of_feasts_historical_retrieval(store: FeatureStore) -> None:
    source = store.get_feature_service("served_user").logging_config.destination.to_data_source()
    source.timestamp_field = "__log_timestamp"
    names = [("activity__events", Int64), ("profile__city", String)]
    view = FeatureView(
        name="logged",
        entities=[USER],
        ttl=timedelta(0),
        schema=[Field(name=name, dtype=kind) for name, kind in names],
        source=source,
    )
    store.apply([view])
    asked = pd.DataFrame(
        {
            "user_id": [PSEUDONYMS.of("ann")] * 3,
            "event_timestamp": [NOON - timedelta(hours=1), NOON + timedelta(hours=1), NOON + timedelta(hours=9)],
        }
    )

    found = store.get_historical_features(entity_df=asked, features=[f"logged:{name}" for name, _ in names]).to_arrow()

    assert found["activity__events"].to_pylist() == [None, 3, 4]
    assert found["profile__city"].to_pylist() == [None, "Rome", "Oslo"]


def test_definitions_that_declare_no_log_have_none(tmp_path: Path) -> None:
    assert open_feature_log(opened(tmp_path, logged=False)) is None


def test_a_destination_that_is_no_plain_folder_is_refused(tmp_path: Path) -> None:
    log = open_feature_log(opened(tmp_path, path="s3://bucket/log"))
    assert log is not None

    with pytest.raises(StoreUnavailable, match="a folder of this machine without partitions; got 's3://bucket/log'"):
        log.write(ROWS, PSEUDONYMS)


def test_a_disk_that_is_full_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    log = open_feature_log(opened(tmp_path))
    assert log is not None
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        with pytest.raises((OSError, pa.ArrowException)):
            log.write(ROWS, PSEUDONYMS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert list((tmp_path / "log").iterdir()) == []
    log.write(ROWS, PSEUDONYMS)
    assert len(list((tmp_path / "log").iterdir())) == 1

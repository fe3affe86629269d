"""The whole loop on a generated log, by the commands that a user types."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from generated_shop import write_shop

from feature_repo.core.workspace import Workspace
from feature_repo.dataset.split import load_split, to_microseconds
from feature_repo.store.historical import features_at
from feature_repo.store.open import open_store, quiet_feast
from serving.process import running_server
from serving.request_log import read_request_log
from training import registry
from training.bundle import load_bundle
from training.ranker_features import LAST_ITEM_SCORE
from training.retrieval.fusion import retrieval_features
from training.segments import BEHAVIOUR

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore:On demand feature view is an experimental feature:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning"),
]


def command(workspace: Workspace, *words: str, expect: int = 0, **environment: str) -> str:
    env = {**os.environ, "BUILD": str(workspace.root), "STORE_URL": str(workspace.store), **environment}
    env.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run([sys.executable, "-m", *words], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout if expect == 0 else done.stderr


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Data, features, two versions and their comparison, all made by commands."""
    folder = tmp_path_factory.mktemp("shop")
    workspace = Workspace(root=folder / "build", store=folder / "build" / "store")
    command(workspace, "feature_repo", "data", "--dataset", str(write_shop(folder)))
    command(workspace, "feature_repo", "apply")
    command(workspace, "feature_repo", "materialize", "--until", "held-out")
    command(workspace, "training", "train")
    command(workspace, "training", "train")
    command(workspace, "training", "evaluate")
    return workspace


def test_the_first_version_is_champion_and_the_second_challenger(shop: Workspace) -> None:
    assert registry.aliases(shop) == {"champion": "1", "challenger": "2"}


def test_both_stages_beat_popularity_on_people_with_a_taste(shop: Workspace) -> None:
    report = json.loads((shop.reports / "evaluation.json").read_text())

    by_model = {r["model"]: r for r in report["metrics"] if r["version"] == "1" and r["metric"] == "ndcg@10"}
    assert by_model["two-stage"]["low"] > by_model["popular-30d"]["high"]
    assert by_model["two-tower"]["value"] > by_model["popular-30d"]["value"]
    assert report["lift"]["low"] > 0
    assert report["comparison"]["low"] <= report["comparison"]["value"] <= report["comparison"]["high"]


def test_a_bundle_says_what_it_reads_and_holds_no_pickle(shop: Workspace) -> None:
    bundle = load_bundle(registry.download_bundle(shop, "1"))

    assert bundle.manifest.feature_services == ("retrieval", "ranking")
    assert {"age", "city", "history_items", "user_days", "taste_maker"} <= set(bundle.manifest.user_features)
    assert bundle.manifest.metrics["leaks_found"] == 0
    assert bundle.manifest.metrics["leak_check_values"] > 500
    assert {Path(name).suffix for name in bundle.manifest.files} == {
        ".onnx",
        ".npy",
        ".npz",
        ".ubj",
        ".json",
        ".parquet",
        ".md",
    }


def test_without_a_canary_the_alias_stays(shop: Workspace) -> None:
    said = command(shop, "k8s", "promote")

    assert "canary: canary.json is not there: run `make canary`" in said
    assert "the aliases stay" in said
    assert registry.aliases(shop)["champion"] == "1"


def test_a_canary_of_two_real_versions_ends_as_its_evidence_says(shop: Workspace) -> None:
    """The held-out window of a small shop ends before the policy has seen enough: that is HALTED, never PROMOTED."""
    # Four servers and a test runner share two cores here: an answer that is late is no fault of a version's.
    patience = {"SERVE_DEADLINE_MS": "10000", "SERVE_STORE_MS": "5000"}
    command(shop, "k8s", "canary", "--users", "replay", "--requests-per-step", "9999", **patience)

    report = json.loads((shop.reports / "canary.json").read_text())
    shadow = json.loads((shop.reports / "shadow.json").read_text())
    assert (report["champion"], report["challenger"], report["end_state"]) == ("1", "2", "HALTED")
    assert (report["verdict"], report["steps"]) == ("INCONCLUSIVE", [])
    assert shadow["verdict"] == "INCONCLUSIVE"
    assert shadow["failed"] == shadow["canary"]["errors"] == shadow["stable"]["errors"] == 0
    assert shadow["canary"]["requests"] > 50
    assert registry.aliases(shop) == {"champion": "1", "challenger": "2"}


def test_a_second_run_reuses_what_is_up_to_date(shop: Workspace) -> None:
    assert "up to date" in command(shop, "feature_repo", "data", "--dataset", str(shop.root.parent / "dataset.yaml"))
    assert "version 1 is up to date" in command(shop, "training", "train", "--window", "champion")
    assert "up to date" in command(shop, "training", "evaluate")


def test_the_features_that_a_request_saw_are_those_of_its_moment(shop: Workspace) -> None:
    """Served and historical, compared for every feature of the user, of the request and of every candidate."""
    quiet_feast()
    moment = load_split(shop).challenger_end
    registry.download_bundle(shop, "1")
    people = [*(f"p{n}" for n in range(12)), "a stranger"]
    body = {"k": 10, "context": {"timestamp": moment.isoformat()}}
    with running_server(shop, version="1") as server, httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as http:
        answers = [http.post("/recommend", json={"user_id": person, **body}).json() for person in people]

    log = {row["request_id"]: row for row in read_request_log(shop).to_pylist()}
    bundle, store = load_bundle(registry.download_bundle(shop, "1")), open_store(shop)
    for person, answer in zip(people, answers, strict=True):
        row = log[answer["request_id"]]
        assert row["slate"] == [item["item_id"] for item in answer["items"]]
        assert_user_row(store, person, moment, json.loads(row["user_features"]))
        assert_ranker_features(store, bundle, person, moment, row)


def assert_user_row(store: Any, person: str, moment: datetime, served: dict[str, Any]) -> None:
    keys, moments = np.array([person], object), np.array([to_microseconds(moment)])
    then = features_at(store, "user_id", keys, moments).drop(["user_id", "event_timestamp"]).to_pylist()[0]
    assert {n: v for n, v in served.items() if v is not None} == {n: v for n, v in then.items() if v is not None}


def assert_ranker_features(store: Any, bundle: Any, person: str, moment: datetime, row: dict[str, Any]) -> None:
    """Against `get_historical_features` of the whole feature service, on-demand views included."""
    frame = pd.DataFrame({"user_id": person, "item_id": row["candidates"], "candidate_id": row["candidates"]})
    frame["moment_us"] = to_microseconds(moment)
    frame["event_timestamp"] = pd.Series([moment] * len(frame)).astype("datetime64[us, UTC]")
    then = store.get_historical_features(entity_df=frame, features=store.get_feature_service("ranking")).to_df()
    served = pd.DataFrame(row["features"], columns=row["feature_names"])
    fitted = fitted_columns(bundle, then)
    stored = [name for name in row["feature_names"] if name not in fitted]
    retrieval = [*retrieval_features(bundle.manifest.retrievers), LAST_ITEM_SCORE]
    assert [name for name in stored if name not in then.columns] == retrieval
    for name in row["feature_names"]:
        if name not in retrieval:
            expected = fitted[name] if name in fitted else then[name].to_numpy(float)
            expected = np.nan_to_num(expected) if name.startswith("item_users_") else expected
            np.testing.assert_allclose(served[name], expected, rtol=1e-6, atol=1e-6, err_msg=name)


def fitted_columns(bundle: Any, then: pd.DataFrame) -> dict[str, Any]:
    """What the bundle's fitted parameters make of raw features: codes, imputed numbers, flags, texts, segment."""
    columns: dict[str, Any] = {"context:device": np.zeros(len(then))}
    for prefix, side in (("user", bundle.encoder.users), ("item", bundle.encoder.items)):
        for name, known in side.categorical.items():
            columns[f"{prefix}:{name}"] = known.encode(then[name].to_numpy(object))
        for name, known in side.multi.items():
            for value in known.values:
                has = [value in (v if v is not None else ()) for v in then[name]]
                columns[f"{prefix}:{name}={value}"] = np.array(has, float)
        for name, scale in side.numeric.items():
            columns[f"{prefix}:{name}"] = then[name].fillna(scale.mean).to_numpy(float)
            columns[f"{prefix}:{name}=missing"] = then[name].isna().to_numpy(float)
    behaviour = np.log1p(then[list(BEHAVIOUR)].iloc[0].to_numpy(float))
    segments = bundle.encoder.segments
    standard = np.where(np.isnan(behaviour), 0, (behaviour - segments.means) / segments.deviations)
    nearest = ((standard - segments.centroids) ** 2).sum(axis=1).argmin()
    return {**columns, "user_segment": np.full(len(then), nearest)}


def test_changing_the_future_changes_no_feature_of_the_past(shop: Workspace, tmp_path: Path) -> None:
    """Through Feast itself: half of the log is rewritten, and everything asked at or before the cut stays the same."""
    quiet_feast()
    events = pq.read_table(shop.events)
    cut = events["timestamp"][events.num_rows // 2].as_py()
    other = Workspace(root=tmp_path / "build", store=tmp_path / "build" / "store")
    folder = tmp_path / "source"
    folder.mkdir()
    declared = write_shop(folder)
    later = pa.compute.greater(events["timestamp"], cut)
    swapped = pa.compute.if_else(later, pa.compute.binary_join_element_wise("t", "1", ""), events["item_id"])
    renamed = events.set_column(events.column_names.index("item_id"), "item_id", swapped)
    source = renamed.select(["user_id", "item_id", "timestamp", "event_type", "value", "device"])
    for file in folder.glob("events-*.parquet"):
        file.unlink()
    pq.write_table(
        source.rename_columns(["person", "thing", "at", "what", "paid", "device"]), folder / "events-1.parquet"
    )
    command(other, "feature_repo", "data", "--dataset", str(declared))
    command(other, "feature_repo", "apply")

    asked = events.filter(pa.compute.less_equal(events["timestamp"], cut))
    moments = asked["timestamp"].cast(pa.int64()).to_numpy()
    for key in ("user_id", "item_id"):
        keys = asked[key].to_numpy()
        one, two = (features_at(open_store(w), key, keys, moments) for w in (shop, other))
        assert one.num_rows > 1000
        assert one.equals(two)
    after = pq.read_table(other.tables / "item_popularity.parquet")
    assert not after.equals(pq.read_table(shop.tables / "item_popularity.parquet"))


def test_a_broken_dataset_is_one_sentence_and_exit_status_two(shop: Workspace, tmp_path: Path) -> None:
    (tmp_path / "dataset.yaml").write_text("name: shop\ncolour: red\n")

    said = command(shop, "feature_repo", "data", "--dataset", str(tmp_path / "dataset.yaml"), expect=2)

    assert said.startswith("error: ")
    assert "dataset.yaml" in said
    assert said.count("\n") == 1


def test_a_killed_preparation_starts_again_cleanly(tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path / "build", store=tmp_path / "build" / "store")
    declared = str(write_shop(tmp_path))
    env = {**os.environ, "BUILD": str(workspace.root), "STORE_URL": str(workspace.store)}
    child = subprocess.Popen([sys.executable, "-m", "feature_repo", "data", "--dataset", declared], env=env)
    deadline = time.monotonic() + 60
    while not list(workspace.root.glob(".store.*")) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (workspace.reports / "data.json").exists()

    command(workspace, "feature_repo", "data", "--dataset", declared)

    assert json.loads((workspace.reports / "data.json").read_text())["events"] > 3000
    assert load_split(workspace).start >= datetime(2025, 1, 1, tzinfo=UTC)
    assert not list(workspace.root.glob(".store.*"))


def test_a_view_that_the_champion_reads_is_not_altered_under_it(shop: Workspace, tmp_path: Path) -> None:
    """The owner of the data drops an attribute that the served version was trained on."""
    other = Workspace(root=tmp_path / "build", store=tmp_path / "build" / "store")
    shutil.copytree(shop.root, other.root, ignore=shutil.ignore_patterns("mlflow"))
    declared = write_shop(tmp_path)
    declared.write_text(declared.read_text().replace("numeric: [age]", "numeric: []"))
    command(other, "feature_repo", "data", "--dataset", str(declared))

    said = command(other, "feature_repo", "apply", expect=2)

    assert "reads the feature 'age' as double, which would be gone" in said


def test_the_evaluation_is_a_page_and_says_how_the_two_stages_do_beside_their_best_retriever(shop: Workspace) -> None:
    report = json.loads((shop.reports / "evaluation.json").read_text())
    page = (shop.reports / "evaluation.html").read_text()

    compared = {(row["version"], row["protocol"]) for row in report["over_retrievers"]}
    assert compared == {(version, protocol) for version in "12" for protocol in ("replay", "split")}
    assert {row["model"] for row in report["split"]} >= {"two-stage", "two-tower", "ease", "popular-30d"}
    assert "two-stage v2" in page
    assert "nan" not in page.lower().replace("finance", "")


def test_a_warm_start_learns_the_new_days_keeps_some_of_the_order_and_knows_new_ids(
    shop: Workspace, tmp_path: Path
) -> None:
    """Last, since it moves the challenger."""
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"ranker": {"distillation": 0.1}}))

    command(shop, "training", "train", "--window", "challenger", START_FROM="champion", SETTINGS=str(settings))

    champion, warm = (load_bundle(registry.download_bundle(shop, version)) for version in "13")
    assert registry.aliases(shop)["challenger"] == "3"
    client = registry.connect(shop)
    run = client.get_run(str(client.get_model_version(registry.MODEL, "3").run_id))
    assert (run.data.params["start_from"], run.data.params["ranker.distillation"]) == ("1", "0.1")
    assert warm.manifest.window_end > champion.manifest.window_end
    assert set(champion.encoder.item_ids.values) <= set(warm.encoder.item_ids.values)
    assert set(champion.encoder.user_ids.values) <= set(warm.encoder.user_ids.values)
    assert warm.encoder.items == champion.encoder.items
    assert warm.manifest.metrics["index_recall"] == 1.0

"""Replay on a log without users and items tables: only events say what exists."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from serving_world import write_bundle

from feature_repo.core.errors import DatasetError
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.split import Split, load_split, to_microseconds
from feature_repo.features.columns import as_columns
from feature_repo.features.request import ITEM_STATE, state_at
from feature_repo.store.historical import features_at
from feature_repo.store.open import open_store, quiet_feast
from training.bundle import load_bundle
from training.evaluation.replayed import replay
from training.replay import ItemTimeline, moments, open_timeline

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning"),
]
DECLARED = """
name: bare
events:
  path: events.csv
  columns: {user_id: user, item_id: item, timestamp: at}
  event_type: view
weights: {view: 1}
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A new item every tenth event, so that the held-out window brings items of its own."""
    folder = tmp_path_factory.mktemp("bare")
    rng = np.random.default_rng(5)
    rows = (f"u{n % 7},i{rng.integers(n // 10 + 1)},{1_760_000_000 + 3_600 * n}" for n in range(300))
    (folder / "events.csv").write_text("user,item,at\n" + "\n".join(rows) + "\n")
    (folder / "dataset.yaml").write_text(DECLARED)
    workspace = Workspace(root=folder / "build", store=folder / "build" / "store")
    env = {**os.environ, "BUILD": str(workspace.root), "STORE_URL": str(workspace.store)}
    for words in (["data", "--dataset", str(folder / "dataset.yaml")], ["apply"]):
        subprocess.run([sys.executable, "-m", "feature_repo", *words], env=env, check=True, capture_output=True)
    quiet_feast()
    return workspace


def timeline_of(workspace: Workspace) -> tuple[Split, ItemTimeline]:
    split = load_split(workspace)
    return split, open_timeline(open_store(workspace), workspace, start=split.challenger_end, end=split.test_end)


def test_an_item_comes_into_being_with_its_first_event_and_not_before(bare: Workspace) -> None:
    split, timeline = timeline_of(bare)
    log = pq.read_table(bare.events, columns=["item_id", "timestamp"]).to_pylist()
    born = {row["item_id"]: row["timestamp"] for row in reversed(log)}
    later = [moment for moment in born.values() if moment >= split.challenger_end]
    assert later

    for moment in moments(bare, split.challenger_end, split.test_end):
        timeline.advance(moment.moment_us)
        known = set(timeline.table.item_ids[timeline.table.known])
        assert known == {item for item, since in born.items() if since < moment.time}


def test_the_state_that_a_replay_arrives_at_is_the_one_in_the_store(bare: Workspace) -> None:
    split, timeline = timeline_of(bare)
    end = np.full(len(timeline.table), to_microseconds(split.test_end))

    timeline.advance(int(end[0]))

    rows = features_at(open_store(bare), "item_id", timeline.table.item_ids, end)
    expected = state_at("item", as_columns(rows, ITEM_STATE), end)
    found = state_at("item", timeline.table.columns, end)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_a_replay_in_which_nobody_gets_a_slate_is_refused_with_a_sentence(bare: Workspace, tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle")
    _, timeline = timeline_of(bare)

    with pytest.raises(DatasetError, match="a replay needs a request that can be answered; none of 0 got a slate"):
        replay(open_store(bare), load_bundle(tmp_path / "bundle"), timeline, [], lambda: None)

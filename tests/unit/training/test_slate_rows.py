"""What evaluation leaves behind of every request: the rows, and that a person is taken out of them."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from feature_repo.core.workspace import Workspace
from feature_repo.store.id_rows import IdRows
from training.erase.person import Person
from training.erase.reports import Reports
from training.evaluation.protocols import asked_of
from training.evaluation.slate_rows import slate_rows, slates_name
from training.replay import Moment

ASKED = [Moment("ann", 5, ("a", "b")), Moment("bob", 7, ("c",))]
ITEMS = np.array(["a", "b", "c"], object)
SLATES = np.array([[2, 0], [1, -1]])


def rows():  # type: ignore[no-untyped-def]
    answer = asked_of(ASKED, IdRows(ITEMS), np.random.default_rng(0))
    return slate_rows(ASKED, SLATES, answer, segments=np.array(["new", "light"]), item_ids=ITEMS)


def test_a_row_holds_the_slate_as_items_and_which_of_them_were_met() -> None:
    first, second = rows().drop(["moment"]).to_pylist()

    assert first == {
        "request_id": "ann@5",
        "user_id": "ann",
        "segment": "new",
        "relevant": 2,
        "slate": ["c", "a"],
        "hits": [False, True],
    }
    assert (second["slate"], second["hits"], second["relevant"]) == (["b"], [False], 1)


def test_erasing_a_person_takes_their_slates_too_and_those_of_a_version_that_is_gone(tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path, store=tmp_path / "store")
    workspace.reports.mkdir()
    for version in ("1", "2"):
        pq.write_table(rows(), workspace.reports / slates_name(version))

    Reports(workspace, Person("ann", "", distinctive=False), lambda: {"2"}).erase()

    [left] = workspace.reports.iterdir()
    assert left.name == "current-2.slates.parquet"
    assert pq.read_table(left)["user_id"].to_pylist() == ["bob"]

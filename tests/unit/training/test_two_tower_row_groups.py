from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.retrieval.batches import batches
from training.retrieval.row_groups import RowGroups, row_batches, write_requests
from training.retrieval.training_sets import Requests
from training.settings import TwoTowerSettings

ITEMS = {"item_id": np.arange(1, 41)}


def numbered(first: int, last: int) -> Requests:
    """Requests whose user, history and positives all tell their number; every third has two positives."""
    numbers = np.arange(first, last)
    counts = 1 + (numbers % 3 == 0)
    queries = {"user_id": numbers, "history": np.stack([numbers, numbers + 1], axis=1)}
    return Requests(queries, np.concatenate([[0], np.cumsum(counts)]), np.repeat(numbers, counts) % 40, ITEMS)


def test_an_epoch_from_row_groups_holds_every_request_once_with_its_own_positives(tmp_path: Path) -> None:
    path = tmp_path / "requests.parquet"
    write_requests((numbered(at, at + 10) for at in (0, 10, 20)), path)
    groups = RowGroups(path, ITEMS)
    settings = TwoTowerSettings(batch_size=8, epochs=2)

    found = list(batches(groups, settings, 3).as_numpy_iterator())

    assert len(groups) == 30
    assert [len(batch["query"]["user_id"]) for batch in found] == [8, 8, 8, 6] * 2
    epochs = [np.concatenate([b["query"]["user_id"] for b in part]) for part in (found[:4], found[4:])]
    assert all(sorted(users.tolist()) == list(range(30)) for users in epochs)
    assert epochs[0].tolist() != epochs[1].tolist()
    for batch in found:
        users = batch["query"]["user_id"]
        assert (batch["query"]["history"][:, 1] == users + 1).all()
        assert (batch["item"] == users[batch["row"]] % 40).all()
        assert (np.bincount(batch["row"], minlength=len(users)) == 1 + (users % 3 == 0)).all()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 12))
def test_batches_have_their_size_whatever_the_row_groups(sizes: list[int], size: int) -> None:
    ends = np.cumsum(sizes).tolist()
    parts = [numbered(first, last) for first, last in zip([0, *ends], ends, strict=False)]

    found = [len(batch["query"]["user_id"]) for batch in row_batches(parts * 2, ends[-1], size)]

    epoch = [size] * (ends[-1] // size) + [ends[-1] % size] * (ends[-1] % size > 0)
    assert found == epoch * 2

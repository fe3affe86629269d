from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from feature_repo.features.columns import Columns
from feature_repo.store.item_table import item_table
from training.retrieval.port import Queries
from training.retrieval.queries import LEAST_WEIGHT, queries_of

TABLE = item_table(pa.table({"item_id": ["new", "a", "b", "c"]}), datetime(2026, 1, 1, tzinfo=UTC))
KNOWN = np.array([-1, 0, 1, 2])  # "new" came after the retrievers were fitted


def asked(*histories: list[str | None]) -> Queries:
    users: Columns = {
        "history_items": np.array(histories, object),
        "history_times": np.array([[n + 1 if item else 0 for n, item in enumerate(one)] for one in histories]),
    }
    return queries_of(
        np.array([f"u{n}" for n in range(len(histories))], object),
        users,
        np.full(len(histories), 100),
        [{}] * len(histories),
        segments=np.zeros(len(histories), np.int64),
        ids=TABLE.rows,
        known=KNOWN,
        vocabulary=3,
        half_life=1.0,
    )


def test_the_newest_item_counts_fully_and_each_one_before_it_half_as_much() -> None:
    found = asked(["a", "b", "c"])

    np.testing.assert_allclose(found.met.toarray(), [[0.25, 0.5, 1.0]])


def test_a_shorter_history_in_a_batch_counts_from_its_own_newest_item() -> None:
    found = asked(["a", "b", "c"], ["b", None, None])

    np.testing.assert_allclose(found.met.toarray(), [[0.25, 0.5, 1.0], [0, 1.0, 0]])
    assert found.history.tolist() == [[1, 2, 3], [-1, -1, 2]]
    assert found.history_us.tolist() == [[1, 2, 3], [0, 0, 1]]


def test_an_item_met_twice_counts_by_its_newest_time() -> None:
    found = asked(["a", "b", "a"])

    np.testing.assert_allclose(found.met.toarray(), [[1.0, 0.5, 0]])


def test_what_counts_less_than_the_least_weight_is_left_out() -> None:
    found = asked(["c", *["a"] * 7, "b"], ["c", *["a"] * 6, "b", None])

    np.testing.assert_allclose(found.met.toarray(), [[0.5, 1.0, 0.0], [0.5, 1.0, LEAST_WEIGHT]])
    assert found.history[0].tolist() == [3, *[1] * 7, 2]


def test_items_that_retrievers_or_the_table_do_not_know_are_passed_over() -> None:
    found = asked(["new", "nobody", "b"], [None, None, None])

    np.testing.assert_allclose(found.met.toarray(), [[0, 1.0, 0], [0, 0, 0]])
    assert found.history.tolist() == [[0, -1, 2], [-1, -1, -1]]

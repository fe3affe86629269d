"""Why an item is shown, which items are new, and which match what somebody declared."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from serving_parts import NOW, FakeRecommender

from feature_repo.store.item_table import item_table
from feature_repo.store.redis_address import with_time_limits
from serving.graph.fresh import FreshItems
from serving.graph.matching import Matching
from serving.graph.reasons import reasons
from serving.runtime import Runtime

ROWS = np.array([0, 2, 9])


def test_the_reason_for_an_item_is_the_nearest_one_of_the_history() -> None:
    recommender = FakeRecommender()

    # i1 is at 10 degrees to i0 and i2, i9 at 10 to i8.
    assert reasons(recommender, ["i1", "i8", "gone"], ROWS) == [  # type: ignore[arg-type]
        "because you chose Title of i1 </script>",
        "because you chose Title of i1 </script>",
        "because you chose Title of i8 </script>",
    ]


def test_what_is_far_from_everything_and_the_item_itself_are_no_reason() -> None:
    recommender = FakeRecommender()

    assert reasons(recommender, ["i0"], ROWS) == ["", "because you chose Title of i0 </script>", ""]  # type: ignore[arg-type]
    assert reasons(recommender, [], ROWS) == ["", "", ""]  # type: ignore[arg-type]


def test_reasons_are_in_an_answer_that_asks_for_them_and_in_no_other(client: Any, runtime: Runtime) -> None:
    runtime.reader.rows["known"] = {"history_items": ["i1"]}  # type: ignore[attr-defined]

    plain = client.post("/recommend", json={"user_id": "known", "k": 1}).json()["items"]
    told = client.post("/recommend", json={"user_id": "known", "k": 1, "explain": True}).json()["items"]

    assert "reason" not in plain[0]
    assert told == [{**plain[0], "reason": "because you chose Title of i1 </script>"}]


def test_explain_is_true_or_false(client: Any) -> None:
    reply = client.post("/recommend", json={"user_id": "known", "explain": 1})

    assert (reply.status_code, reply.json()) == (400, {"error": "explain must be true or false; got 1"})


def test_items_without_an_event_and_items_whose_first_one_is_near_are_new() -> None:
    fresh, recommender = FreshItems(), FakeRecommender()

    assert np.flatnonzero(fresh.mask(recommender, NOW, days=30)).tolist() == [8, 9]  # type: ignore[arg-type]
    assert fresh.mask(recommender, NOW, days=500).all()  # type: ignore[arg-type]


def test_a_match_is_the_share_of_declared_attributes_that_an_item_has_one_value_of() -> None:
    table = pa.table(
        {
            "item_id": ["a", "b", "c"],
            "genre": ["drama", "comedy", None],
            "tags": pa.array([["old", "long"], ["new"], []], pa.list_(pa.string())),
            "year": [1999.0, 2020.0, float("nan")],
        }
    )
    items, matching = item_table(table, NOW), Matching()

    share = matching.share(items, {"genre": ("drama", "comedy"), "tags": ("long",)})
    unknown = matching.share(items, {"mood": ("dark",), "year": ("a word",), "genre": ()})

    assert share.tolist() == pytest.approx([1.0, 0.5, 0.0])
    assert unknown.tolist() == [0.0, 0.0, 0.0]
    assert matching.share(items, {"year": ("1999",)}).tolist() == [1.0, 0.0, 0.0]


def test_a_redis_address_takes_the_time_limits_of_who_reads() -> None:
    address = "h:6379,db=0,retry=null,socket_timeout=10,socket_connect_timeout=2,password=p"

    assert with_time_limits(address, 1.0) == (
        "h:6379,db=0,retry=null,password=p,socket_connect_timeout=1.0,socket_timeout=1.0"
    )

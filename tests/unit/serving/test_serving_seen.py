from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.store.item_table import item_table
from serving.filters.bloom import BloomSeen, hash_pairs, sized
from serving.filters.seen import ExactSeen, Seen

UNSEEN = np.array([f"other {n}" for n in range(50_000)], object)
some_ids = st.lists(st.text(max_size=8), max_size=30, unique=True)


@pytest.mark.parametrize("kind", ["exact", "bloom"])
@given(seen=some_ids, asked=some_ids)
@settings(max_examples=40, deadline=None)
def test_what_was_seen_is_never_taken_for_unseen(kind: str, seen: list[str], asked: list[str]) -> None:
    filters: Seen = ExactSeen(seen) if kind == "exact" else BloomSeen.of(seen, error=0.01)
    ids = np.array([*seen, *asked], object)

    unseen = filters.unseen(ids)

    assert unseen.shape == ids.shape
    assert not unseen[: len(seen)].any()
    if kind == "exact":
        assert unseen.tolist() == [item not in seen for item in ids]


@pytest.mark.parametrize("error", [0.1, 0.01, 0.001])
def test_a_bloom_filter_takes_as_many_unseen_items_for_seen_as_it_states(error: float) -> None:
    seen = BloomSeen.of((f"seen {n}" for n in range(2_000)), error=error)

    false_alarms = 1 - seen.unseen(UNSEEN).mean()

    assert seen.false_alarms() == pytest.approx(error, rel=0.25)
    assert abs(false_alarms - error) < 5 * np.sqrt(error / len(UNSEEN)) + 0.15 * error


def test_a_filter_made_for_more_items_has_fewer_false_alarms_until_they_come() -> None:
    roomy = BloomSeen.of(["a", "b"], error=0.01, expected=1_000)

    assert roomy.false_alarms() < 1e-6


def test_nobody_has_seen_anything_in_an_empty_filter() -> None:
    assert BloomSeen.of([], error=0.01).unseen(UNSEEN).all()
    assert ExactSeen([]).unseen(UNSEEN).all()
    assert ExactSeen(["a"]).unseen(UNSEEN[:0]).shape == (0,)
    assert BloomSeen.of(["a"], error=0.01).unseen(UNSEEN[:0]).shape == (0,)


def test_a_filter_is_the_same_after_a_round_trip_through_bytes() -> None:
    seen = BloomSeen.of((f"seen {n}" for n in range(100)), error=0.05)

    again = BloomSeen.from_bytes(seen.to_bytes())

    assert (again.unseen(UNSEEN[:2_000]) == seen.unseen(UNSEEN[:2_000])).all()
    assert len(seen.to_bytes()) == 1 + sized(100, 0.05)[0] // 8


def test_hashes_kept_with_a_table_answer_as_the_ids_do() -> None:
    seen = BloomSeen.of(UNSEEN[:50], error=0.05)

    assert (seen.unseen_hashed(hash_pairs(UNSEEN[:500])) == seen.unseen(UNSEEN[:500])).all()


@pytest.mark.parametrize("error", [0.0, 1.0, -0.1])
def test_a_share_of_false_alarms_that_no_filter_has_is_refused(error: float) -> None:
    with pytest.raises(ValueError, match=f"must be between 0 and 1; got {error}"):
        BloomSeen.of(["a"], error=error)


def test_the_exact_set_over_a_table_passes_over_items_that_the_table_does_not_have() -> None:
    table = item_table(pa.table({"item_id": ["a", "b", "c"]}), datetime(2024, 5, 1, tzinfo=UTC))

    assert ExactSeen(["b", "gone"]).unseen_of(table).tolist() == [True, False, True]

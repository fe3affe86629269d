import numpy as np
import pytest
from scipy import sparse

from feature_repo.core.errors import NotMeasurable
from training.evaluation.bootstrap import user_weights
from training.evaluation.summary import (
    Asked,
    Items,
    difference_rows,
    item_segment_rows,
    measured,
    model_row,
    user_segment_rows,
)
from training.verdict import Verdict

# Four requests of three users; what is relevant to each; a catalogue of five items, the first the most popular.
RELEVANT = sparse.csr_array(np.array([[0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [1, 0, 0, 1, 0], [0, 0, 0, 0, 1]], dtype=float))
ASKED = Asked(RELEVANT, np.array([0, 0, 1, 2]), user_weights(3, np.random.default_rng(0)))
ITEMS = Items(np.array([9, 5, 3, 1, 0]), np.eye(5))
POPULAR = np.tile([0, 1], (4, 1))
GOOD = np.array([[1, 0], [2, 1], [0, 3], [2, 4]])


def values(slates: np.ndarray) -> dict[str, np.ndarray]:
    return measured(slates, ASKED, ITEMS, primitive=POPULAR, ks=(1, 2))


def test_a_model_has_its_accuracy_and_what_lies_beyond_it_for_each_request() -> None:
    found = values(GOOD)

    assert found["ndcg@1"].tolist() == [1.0, 1.0, 1.0, 0.0]
    assert found["recall@2"].tolist() == [1.0, 1.0, 1.0, 1.0]
    assert found["serendipity@2"].tolist() == [0.0, 0.5, 0.5, 0.5]
    assert found["diversity@2"].tolist() == [1.0] * 4
    assert found["popularity@2"] == pytest.approx([0.8, 0.6, 0.6, 0.3])
    assert found["novelty@2"][0] == pytest.approx(-(np.log2(10 / 23) + np.log2(6 / 23)) / 2)


def test_without_vectors_there_is_no_diversity() -> None:
    found = measured(GOOD, ASKED, Items(ITEMS.events), primitive=POPULAR, ks=(2,))

    assert "diversity@2" not in found
    assert np.isfinite(np.stack(list(found.values()))).all()


def test_seeds_are_averaged_for_each_request() -> None:
    found = values(np.stack([GOOD, POPULAR]))

    assert found["recall@2"] == pytest.approx((values(GOOD)["recall@2"] + values(POPULAR)["recall@2"]) / 2)


def test_the_row_of_a_model_has_intervals_and_what_all_slates_together_have() -> None:
    row = model_row("good", GOOD, values(GOOD), ASKED, ITEMS, about="knows")

    assert (row.name, row.about) == ("good", "knows")
    assert row.metrics["ndcg@1"].value == 0.75
    assert row.metrics["ndcg@1"].low == 0.0
    assert row.metrics["coverage"].value == 1.0
    assert row.metrics["gini"].value == pytest.approx(sum([-4 * 1, -2 * 1, 0 * 2, 2 * 2, 4 * 2]) / (4 * 8))
    consumed = np.mean([0.7, 0.5, (0.9 + 0.3) / 2, 0.1])
    assert row.metrics["popularity_lift"].value == pytest.approx(np.mean([0.8, 0.6, 0.6, 0.3]) / consumed - 1)


def test_coverage_of_several_seeds_is_their_mean() -> None:
    both = np.stack([GOOD, POPULAR])

    row = model_row("both", both, values(both), ASKED, ITEMS)

    assert row.metrics["coverage"].value == pytest.approx((1.0 + 0.4) / 2)


def test_a_model_that_shows_nothing_has_zeros_and_no_lift() -> None:
    silent = np.full((4, 2), -1)

    row = model_row("silent", silent, values(silent), ASKED, ITEMS)

    assert {name: estimate.value for name, estimate in row.metrics.items()} == dict.fromkeys(row.metrics, 0.0)
    assert "popularity_lift" not in row.metrics


def test_every_model_is_compared_with_the_reference() -> None:
    by_model = {"good": values(GOOD)["ndcg@2"], "popular": values(POPULAR)["ndcg@2"]}

    (found,) = difference_rows(by_model, "popular", ASKED)

    assert found.model == "good"
    assert found.estimate.value == pytest.approx((by_model["good"] - by_model["popular"]).mean())
    assert found.verdict is Verdict.PASS


def test_segments_of_users_and_items_become_rows() -> None:
    rng = np.random.default_rng(0)
    labels = np.array(["light", "light", "light", "new"])
    recall = {"good": values(GOOD)["recall@2"]}

    new, light = user_segment_rows(recall, labels, ASKED, rng, k=1)
    fresh, old = item_segment_rows(
        {"good": GOOD}, np.array([False, False, False, True, True]), ASKED, metric="recall@2", rng=rng, least_users=1
    )

    assert (light.of, light.segment, light.requests, light.users, light.estimate.value) == ("users", "light", 3, 2, 1.0)
    assert (new.segment, new.users, new.estimate.low) == ("new", 1, None)
    assert (fresh.of, fresh.segment, fresh.requests, fresh.estimate.value) == ("items", "new", 2, 1.0)
    assert (old.segment, old.requests) == ("old", 3)


def test_a_segment_of_items_that_nobody_wants_has_no_row() -> None:
    rng = np.random.default_rng(0)

    found = item_segment_rows({"good": GOOD}, np.zeros(5, bool), ASKED, metric="ndcg@2", rng=rng, least_users=1)

    assert [row.segment for row in found] == ["old"]


def test_segments_of_too_few_users_are_merged_or_have_no_row() -> None:
    rng = np.random.default_rng(0)
    labels = np.array(["light", "light", "light", "new"])
    recall = {"good": values(GOOD)["recall@2"]}
    new_items = np.array([False, False, False, True, True])

    (both,) = user_segment_rows(recall, labels, ASKED, rng, k=3)

    assert (both.segment, both.requests, both.users) == ("other", 4, 3)
    assert user_segment_rows(recall, labels, ASKED, rng) == []
    assert item_segment_rows({"good": GOOD}, new_items, ASKED, metric="recall@2", rng=rng) == []


def test_no_slate_at_all_is_refused() -> None:
    with pytest.raises(NotMeasurable, match=r"expected slates \[requests, k\] or \[seeds, requests, k\]"):
        values(np.zeros((0, 2), int))

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from feature_repo.core.errors import BundleError, DatasetError
from training.retrieval.export import TOLERANCE, export
from training.retrieval.held_out import ndcg_of
from training.retrieval.port import Array, Log, Queries
from training.retrieval.tower_weights import grown, load_weights, save_weights, set_weights, weights_of
from training.retrieval.towers import Sizes
from training.retrieval.training_sets import Bags, Requests, split_bags
from training.retrieval.two_tower import TwoTower, build_towers, embed, train
from training.retrieval.two_tower_retriever import TwoTowerRetriever
from training.settings import TwoTowerSettings
from training.vocabulary import vocabulary

USERS, ITEMS = 24, 8
SMALL = TwoTowerSettings(dimension=8, hidden=8, epochs=6, batch_size=8, learning_rate=0.03, item_dropout=0.2)
SIZES = Sizes(users=USERS + 1, items=ITEMS + 1, item_categories=(3,))


def checkerboard(**changes: Any) -> Requests:
    """Even users go on to even items, odd ones to odd items, as their histories and their items' category tell."""
    rng = np.random.default_rng(2)
    users = np.tile(np.arange(USERS), 8)
    parity = users % 2
    history = np.where(
        rng.random((len(users), 4)) < 0.7, 2 * rng.integers(4, size=(len(users), 4)) + parity[:, None] + 1, 0
    )
    positives = 2 * rng.integers(4, size=2 * len(users)) + np.repeat(parity, 2)
    return Requests(
        **{
            "queries": {"user_id": users + 1, "history": history},
            "starts": np.arange(0, 2 * len(users) + 1, 2),
            "positives": positives,
            "items": {"item_id": np.arange(1, ITEMS + 1), "categories": np.arange(ITEMS)[:, None] % 2 + 1},
            "held_share": 0.2,
        }
        | changes
    )


def trained(examples: Requests | Bags, settings: TwoTowerSettings = SMALL, sizes: Sizes = SIZES) -> TwoTower:
    model = build_towers(sizes, settings)
    train(model, examples, settings=settings, seed=4, on_epoch=lambda _number, _logs: None)
    return model


@pytest.fixture(scope="module")
def model() -> TwoTower:
    return trained(checkerboard())


def right_side(model: TwoTower, queries: Mapping[str, Array], parity: Array, items: Mapping[str, Array]) -> float:
    """Share of queries whose best four items are those of their parity."""
    scores = embed(model.query_tower, dict(queries)) @ embed(model.item_tower, dict(items)).T
    best = np.argsort(-scores, axis=1)[:, :4]
    return float((best % 2 == parity[:, None]).all(axis=1).mean())


def test_towers_learn_a_checkerboard(model: TwoTower) -> None:
    examples = checkerboard()

    assert right_side(model, examples.queries, (examples.queries["user_id"] - 1) % 2, examples.items) > 0.9


def test_a_new_user_is_known_by_the_history_alone(model: TwoTower) -> None:
    queries = {"user_id": np.zeros(2, np.int64), "history": np.array([[0, 1, 3, 5], [0, 0, 2, 4]])}

    assert right_side(model, queries, np.array([0, 1]), checkerboard().items) == 1.0


def test_a_new_item_is_known_by_its_category_alone(model: TwoTower) -> None:
    even, odd = embed(
        model.query_tower, {"user_id": np.array([0, 0]), "history": np.array([[1, 3, 5, 7], [2, 4, 6, 8]])}
    )

    new = embed(model.item_tower, {"item_id": np.zeros(2, np.int64), "categories": np.array([[1], [2]])})

    assert even @ new[0] > even @ new[1]
    assert odd @ new[1] > odd @ new[0]


def test_the_same_seed_gives_the_same_weights(model: TwoTower) -> None:
    first, again = weights_of(model), weights_of(trained(checkerboard()))

    assert all((first[name] == again[name]).all() for name in first)


def test_training_ends_with_the_weights_of_the_best_epoch() -> None:
    seen: list[dict[str, float]] = []
    examples = checkerboard()
    model = build_towers(SIZES, SMALL)
    hot = SMALL.model_copy(update={"learning_rate": 3.0, "epochs": 8, "patience": 2})

    best = train(model, examples, settings=hot, seed=4, on_epoch=lambda _number, logs: seen.append(logs))

    scores = [logs["validation_ndcg"] for logs in seen]
    assert examples.held is not None
    held = examples.held
    found = ndcg_of(
        embed(model.query_tower, held.queries) @ embed(model.item_tower, examples.items).T, held, spare_met=True
    )
    assert best == max(scores) == pytest.approx(found)
    assert len(scores) < 8
    assert len(scores) - 1 - int(np.argmax(scores)) == 2


def test_a_larger_catalogue_is_learnt_from_sampled_candidates_and_hard_negatives() -> None:
    sampled = SMALL.model_copy(
        update={"exact_items": 2, "uniform_negatives": 3, "hard_negatives": 1, "hard_refresh": 2, "epochs": 8}
    )

    model = trained(checkerboard(), sampled)

    examples = checkerboard()
    assert not model.exact
    assert (model.hard.numpy() >= 0).any()
    assert right_side(model, examples.queries, (examples.queries["user_id"] - 1) % 2, examples.items) > 0.9


def test_a_single_request_is_learnt_from_and_not_held_out() -> None:
    queries = {"user_id": np.array([1]), "history": np.array([[0, 0, 0, 0]])}
    one = checkerboard(queries=queries, starts=np.array([0, 1]), positives=np.array([3]))

    assert len(one) == 1
    assert one.held is None


def test_no_request_at_all_is_refused() -> None:
    queries = {"user_id": np.zeros(0, np.int64), "history": np.zeros((0, 4), np.int64)}
    nothing = checkerboard(queries=queries, starts=np.array([0]), positives=np.zeros(0, np.int64))

    with pytest.raises(DatasetError, match="the towers learn from requests with a positive; got none"):
        trained(nothing)


def test_exported_towers_agree_with_those_they_came_from(model: TwoTower, tmp_path: Path) -> None:
    examples = checkerboard()
    empty = {**examples.queries, "history": examples.queries["history"] * (np.arange(192) % 2)[:, None]}

    assert export(model.query_tower, empty, tmp_path / "query_tower.onnx") <= TOLERANCE
    assert export(model.item_tower, examples.items, tmp_path / "item_tower.onnx") <= TOLERANCE


def test_weights_survive_a_file_without_objects(model: TwoTower, tmp_path: Path) -> None:
    examples = checkerboard()
    save_weights(model, tmp_path / "tower_weights.npz")
    again = build_towers(SIZES, SMALL)

    set_weights(again, load_weights(tmp_path / "tower_weights.npz"), queries=examples.queries, items=examples.items)

    one, two = (embed(m.query_tower, examples.queries) for m in (model, again))
    assert (one == two).all()


def test_weights_of_other_towers_are_refused(model: TwoTower) -> None:
    other = build_towers(Sizes(users=3, items=ITEMS + 1, item_categories=(3,)), SMALL)
    examples = checkerboard(queries={"user_id": np.array([1]), "history": np.array([[0, 0, 0, 1]])})

    with pytest.raises(BundleError, match=r"got \(25, 8\) for users, expected \(3, 8\), and 0 more"):
        set_weights(other, weights_of(model), queries=examples.queries, items=examples.items)


def test_a_table_grows_for_new_ids_and_keeps_the_rows_of_old_ones() -> None:
    table = np.arange(9.0).reshape(3, 3)

    found = grown(table, vocabulary(["b", "d"]), vocabulary(["a", "b", "c", "d"]), rng=np.random.default_rng(1))

    assert found[[0, 2, 4]].tolist() == table.tolist()
    np.testing.assert_allclose(found[[1, 3]], table[[0, 0]], atol=0.5)
    assert (found[1] != found[3]).any()


def test_a_validation_cut_takes_its_share_of_the_bags_of_some_users() -> None:
    met = sparse.csr_array(np.ones((10, 10), np.float32))

    kept, chosen, taken = split_bags(met, 0.3, 4, seed=1)

    assert len(chosen) == 4
    assert taken.sum(axis=1).tolist() == [3.0] * 4
    assert (kept[chosen] + taken).toarray().tolist() == np.ones((4, 10)).tolist()
    assert kept.sum() == 100 - 12


class Same:
    """A catalogue that is the vocabulary, and one item that came later."""

    item_ids = np.array([f"i{n}" for n in range(ITEMS)] + ["late"], object)
    known = np.array([*range(ITEMS), -1])

    def state(self, moment_us: int) -> dict[str, Array]:
        raise NotImplementedError(moment_us)


def test_the_retriever_over_bags_knows_users_by_their_bags() -> None:
    users, items = np.repeat(np.arange(USERS), 3), np.tile(np.arange(3), USERS)
    items = 2 * items + users % 2
    users, items = users[2:], items[2:]  # the first user has one event
    log = Log(
        user_ids=np.array([f"u{n}" for n in range(USERS)], object),
        item_ids=Same.item_ids[:ITEMS],
        users=users,
        items=items,
        moments_us=np.zeros(len(users), np.int64),
        weights=np.ones(len(users)),
    )
    bags = sparse.csr_array(np.eye(ITEMS, dtype=np.float32)[:2])
    queries = Queries(
        np.array(["new", "u1"], object), np.zeros(2), bags, np.full((2, 1), -1), np.zeros((2, 1)), [{}] * 2, np.zeros(2)
    )
    small = SMALL.model_copy(update={"epochs": 20})

    fitted = TwoTowerRetriever(small).fit(log, seed=1)
    scores = fitted.scores(queries, Same())
    again = TwoTowerRetriever(small).restore(fitted.arrays()).scores(queries, Same())

    assert scores[0, [2, 4]].min() > scores[0, [3, 5]].max()
    assert scores[1, [3, 5]].min() > scores[1, [2, 4]].max()
    assert np.isneginf(scores[:, -1]).all()
    np.testing.assert_array_equal(scores, again)

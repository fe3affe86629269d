import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from training.retrieval import softmax
from training.retrieval.attention import AGES, HistoryAttention, age_codes
from training.retrieval.frequency import StreamingFrequency
from training.retrieval.held_out import Held, ndcg_of
from training.retrieval.hidden import hide_items, hide_queries
from training.retrieval.spectral import spectral_items
from training.retrieval.stopping import hardest
from training.retrieval.tensorflow_quiet import tf
from training.settings import TwoTowerSettings


@pytest.fixture
def attention() -> HistoryAttention:
    tf.keras.utils.set_random_seed(3)
    layer = HistoryAttention(heads=2, dimension=4)
    layer.over_list(tf.zeros((1, 3)), tf.zeros((1, 5, 4)), tf.zeros((1, 5)))
    rng = np.random.default_rng(3)
    kernel, bias, joined, recency = layer.get_weights()
    layer.set_weights([rng.normal(size=kernel.shape), rng.normal(size=bias.shape), joined, recency])
    return layer


def test_a_list_and_a_bag_of_the_same_items_are_attended_to_alike(attention: HistoryAttention) -> None:
    rng = np.random.default_rng(5)
    asker, items = rng.normal(size=(2, 3)).astype(np.float32), rng.normal(size=(2, 5, 4)).astype(np.float32)
    there = np.array([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]], np.float32)

    of_list = attention.over_list(asker, items, there)
    of_bag = attention.over_bag(asker, items[there > 0], np.nonzero(there)[0])

    np.testing.assert_allclose(of_list, of_bag, atol=1e-5)


def test_an_empty_history_is_a_zero_and_no_nan(attention: HistoryAttention) -> None:
    nobody = np.ones((1, 3), np.float32)

    of_list = attention.over_list(nobody, np.ones((1, 5, 4), np.float32), np.zeros((1, 5), np.float32))
    of_bag = attention.over_bag(nobody, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))

    assert of_list.numpy().tolist() == of_bag.numpy().tolist() == [[0.0] * 4]


def test_the_newest_items_weigh_more_when_their_bias_says_so(attention: HistoryAttention) -> None:
    kernel, bias, joined, recency = attention.get_weights()
    recency[0] = 8.0
    attention.set_weights([kernel * 0, bias * 0, joined, recency])
    items = np.array([[[9.0] * 4, [1.0] * 4]], np.float32)

    pooled = attention.over_list(np.zeros((1, 3), np.float32), items, np.ones((1, 2), np.float32))

    np.testing.assert_allclose(pooled, [[1.0] * 4], atol=0.01)


@given(st.integers(1, 600), st.integers(1, 600))
def test_an_age_has_one_code_in_histories_of_any_width(short: int, long: int) -> None:
    width = min(short, long)

    assert (age_codes(short)[-width:] == age_codes(long)[-width:]).all()
    assert age_codes(long).max() < AGES


NOTHING_ELSE: list[tuple[int, int]] = []


def loss_of(logits: list[list[float]], positives: list[tuple[int, int]], spared: list[tuple[int, int]]) -> float:
    split = [
        tuple(tf.constant([pair[at] for pair in pairs], tf.int64) for at in (0, 1)) for pairs in (positives, spared)
    ]
    return float(softmax.softmax_loss(tf.constant(logits), *split))


def test_the_loss_of_one_positive_is_minus_its_log_softmax() -> None:
    loss = loss_of([[1.0, 2.0, 0.5]], [(0, 1)], NOTHING_ELSE)

    assert loss == pytest.approx(-np.log(np.exp(2.0) / np.exp([1.0, 2.0, 0.5]).sum()), abs=1e-5)


def test_positives_of_one_request_do_not_compete() -> None:
    loss = loss_of([[1.0, 2.0, 0.5]], [(0, 0), (0, 1)], NOTHING_ELSE)

    each = [-np.log(np.exp(own) / (np.exp(own) + np.exp(0.5))) for own in (1.0, 2.0)]
    assert loss == pytest.approx(np.mean(each), abs=1e-5)


def test_a_basket_counts_as_much_as_a_single_item() -> None:
    logits = [[1.0, 2.0, 0.5], [0.0, 0.0, 3.0]]

    both = loss_of(logits, [(0, 0), (0, 1), (1, 2)], NOTHING_ELSE)

    basket = loss_of(logits[:1], [(0, 0), (0, 1)], NOTHING_ELSE)
    single = loss_of(logits[1:], [(0, 2)], NOTHING_ELSE)
    assert both == pytest.approx((basket + single) / 2, abs=1e-5)


def test_what_is_spared_does_not_compete_and_what_is_no_candidate_is_passed_over() -> None:
    loss = loss_of([[1.0, 2.0, 0.5]], [(0, 1)], [(0, 0), (0, softmax.NOT_THERE)])

    assert loss == pytest.approx(-np.log(np.exp(2.0) / np.exp([2.0, 0.5]).sum()), abs=1e-5)


def test_a_request_that_everything_is_spared_for_costs_nothing() -> None:
    assert loss_of([[1.0, 2.0]], [(0, 0)], [(0, 1)]) == 0.0


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 30.0))
def test_the_gradient_of_the_loss_is_that_of_its_formula(seed: int, spread: float) -> None:
    """Beside a gradient that TensorFlow derives from the formula, in double precision."""
    rng = np.random.default_rng(seed)
    values = rng.normal(scale=spread, size=(4, 6))
    kind = rng.integers(0, 3, size=(4, 6))  # a negative, a positive, spared
    kind[:, :2] = 1, 0
    chosen = [tuple(tf.constant(part) for part in np.nonzero(kind == number)) for number in (1, 2)]
    logits = tf.Variable(values, dtype=tf.float32)
    exact = tf.Variable(values, dtype=tf.float64)

    with tf.GradientTape(persistent=True) as tape:
        found = softmax.softmax_loss(logits, *chosen)
        negatives = tf.where(kind == 0, exact, -np.inf)
        each = tf.nn.softplus(tf.reduce_logsumexp(negatives, axis=1, keepdims=True) - exact)
        known = tf.reduce_mean(tf.reduce_sum(tf.where(kind == 1, each, 0.0), axis=1) / (kind == 1).sum(axis=1))

    assert float(found) == pytest.approx(float(known), rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(tape.gradient(found, logits), tape.gradient(known, exact), atol=2e-6)


def test_a_frequent_candidate_loses_the_log_of_its_probability() -> None:
    logits = softmax.corrected(tf.zeros((1, 2)), tf.constant([1.0, 0.1]))

    np.testing.assert_allclose(logits, [[0.0, np.log(10.0)]], atol=1e-5)


def test_sampled_softmax_with_the_correction_agrees_with_the_full_one() -> None:
    """Over many draws the corrected sum over sampled items is the sum over all: what logQ is for."""
    rng = np.random.default_rng(1)
    logits, frequency = rng.normal(size=50), rng.uniform(0.05, 0.5, 50)
    probability = softmax.inclusion(tf.constant(frequency, tf.float32), 10, 50).numpy()

    sums = []
    for _ in range(1500):
        drawn = (rng.random(50) < frequency) | np.isin(np.arange(50), rng.integers(50, size=10))
        kept = softmax.corrected(tf.constant(logits[None, drawn], tf.float32), probability[drawn])
        sums.append(np.exp(kept.numpy()).sum())

    assert np.mean(sums) == pytest.approx(np.exp(logits).sum(), rel=0.03)


@pytest.mark.parametrize("hashes", [1, 2])
def test_streaming_frequency_finds_how_often_an_item_comes_up(hashes: int) -> None:
    frequency = StreamingFrequency(64, rate=0.05, gap=10.0, hashes=hashes)
    update = tf.function(frequency.update, reduce_retracing=True)

    for step in range(600):
        update(tf.constant([n for n, every in enumerate((1, 2, 10)) if step % every == 0], tf.int64))

    np.testing.assert_allclose(frequency.probability(tf.range(3, dtype=tf.int64)), [1.0, 0.5, 0.1], atol=0.02)


def test_streaming_frequency_follows_a_change() -> None:
    frequency = StreamingFrequency(8, rate=0.1, gap=1.0)
    for step in range(100):
        frequency.update(tf.constant([0] if step % 20 == 0 else [1], tf.int64))
    rare = float(frequency.probability(tf.constant([0], tf.int64))[0])

    for _ in range(100):
        frequency.update(tf.constant([0], tf.int64))

    assert rare < 0.5
    assert float(frequency.probability(tf.constant([0], tf.int64))[0]) > 0.95


@settings(max_examples=20)
@given(st.floats(0.0, 1.0))
def test_hidden_ids_become_the_unknown_one(share: float) -> None:
    chosen = TwoTowerSettings(id_dropout=share, item_dropout=share, history_dropout=share)
    ids = tf.range(1, 2001, dtype=tf.int64)

    queries = hide_queries({"user_id": ids, "history": ids[None]}, chosen)
    items = hide_items({"item_id": ids, "popularity": tf.ones((2000, 1))}, chosen)

    for hidden in (queries["user_id"], queries["history"][0], items["item_id"]):
        assert set(hidden.numpy().tolist()) <= {0, *range(1, 2001)}
        assert float(tf.reduce_mean(tf.cast(hidden == 0, tf.float32))) == pytest.approx(share, abs=0.08)
    assert (items["popularity"].numpy()[items["item_id"].numpy() > 0] == 1.0).all()


def test_an_item_with_nothing_but_an_id_keeps_it() -> None:
    ids = tf.range(1, 100, dtype=tf.int64)

    assert (hide_items({"item_id": ids}, TwoTowerSettings(item_dropout=0.9))["item_id"] == ids).numpy().all()


def test_hard_negatives_are_the_highest_that_are_no_positives() -> None:
    scores = np.array([[0.9, 0.8, 0.7, 0.1], [0.1, 0.2, 0.3, 0.4]])

    found = hardest(scores, np.array([0, 1, 1, 1]), np.array([0, 0, 1, 2]), 2)

    assert [sorted(row) for row in found.tolist()] == [[1, 2], [-1, 3]]


def test_ndcg_of_held_out_requests_spares_what_was_met() -> None:
    held = Held(
        {}, sparse.csr_array(np.array([[0, 0, 1.0], [0, 0, 0]])), sparse.csr_array(np.array([[1.0, 0, 0], [0, 0, 0]]))
    )
    scores = np.array([[3.0, 1.0, 2.0], [0.0, 0.0, 0.0]])

    assert ndcg_of(scores, held, spare_met=True) == 1.0
    assert ndcg_of(scores, held, spare_met=False) == pytest.approx(1 / np.log2(3))


def test_items_met_by_the_same_users_start_near_each_other() -> None:
    checkerboard = sparse.csr_array(np.tile(np.eye(2, dtype=np.float32), (6, 4)))

    start = spectral_items(checkerboard, 3, seed=1)
    near = start @ start.T

    assert near[0, 2] > 0.9 * near[0, 0]
    assert abs(near[0, 1]) < 0.1 * near[0, 0]
    assert (start == spectral_items(checkerboard, 3, seed=1)).all()

import json

import numpy as np
import pytest

from feature_repo.dataset.declaration import Dataset, EntityTable, Events
from training.encoder import TOWER_HISTORY, Encoder, fit_encoder, flags, scale
from training.settings import EncoderSettings
from training.vocabulary import vocabulary

DATASET = Dataset(
    name="tiny",
    events=Events(
        path="-", columns={"user_id": "u", "item_id": "i", "timestamp": "t"}, event_type="view", context=("device",)
    ),
    users=EntityTable(path="-", key="u", categorical=("city",), numeric=("age",)),
    items=EntityTable(path="-", key="i", multi=("tags",)),
    weights={"view": 1.0},
)
USERS = {
    "city": np.array(["Rome", None], object),
    "age": np.array([30.0, np.nan]),
    "user_event_count": np.array([2.0, np.nan]),
    "user_first_event": np.array([0.0, np.nan]),
    "user_last_event": np.array([0.0, np.nan]),
    "user_days": np.array([[0], [0]]),
    "user_counts": np.array([[2], [0]]),
    "history_items": np.array([["a", "b", "zzz"], [None, None, None]], object),
    "history_times": np.array([[1, 1, 1], [0, 0, 0]]),
}
CONTEXTS = [{"device": "phone"}, {}]
ITEMS = {"tags": np.array([["x", None], ["x", "y"]], object)}
MOMENTS = np.array([0, 3_600_000_000])


@pytest.fixture
def encoder() -> Encoder:
    ids = np.array(["ann", "bob"], object), np.array(["a", "b"], object)
    return fit_encoder(
        DATASET,
        user_ids=ids[0],
        users=USERS,
        moments_us=MOMENTS,
        contexts=CONTEXTS,
        item_ids=ids[1],
        items=ITEMS,
        settings=EncoderSettings(),
        seed=1,
    )


def test_what_training_did_not_see_is_index_zero(encoder: Encoder) -> None:
    found = encoder.queries(np.array(["ann", "new"], object), USERS, MOMENTS, CONTEXTS)

    assert found["user_id"].tolist() == [1, 0]
    assert found["categories"].tolist() == [[1], [0]]
    assert found["context"].tolist() == [[1], [0]]
    assert encoder.item_inputs(np.array(["b", "new"], object), ITEMS)["item_id"].tolist() == [2, 0]


def test_history_ends_with_the_newest_item(encoder: Encoder) -> None:
    history = encoder.queries(np.array(["ann", "bob"], object), USERS, MOMENTS, CONTEXTS)["history"]

    assert history.shape == (2, TOWER_HISTORY)
    assert history[0, -3:].tolist() == [1, 2, 0]  # the last item is unknown to training
    assert not history[0, :-3].any()
    assert not history[1].any()


def test_a_long_history_shows_the_tower_its_end(encoder: Encoder) -> None:
    long = np.array([["a"] * TOWER_HISTORY + ["b"]], object)

    found = encoder.queries(
        np.array(["ann"], object),
        {**{name: values[:1] for name, values in USERS.items()}, "history_items": long},
        MOMENTS[:1],
        [{}],
    )["history"]

    assert found[0].tolist() == [1] * (TOWER_HISTORY - 1) + [2]


def test_a_missing_number_is_the_mean_with_an_indicator() -> None:
    fitted = scale(np.array([10.0, 20.0, np.nan]))

    assert [column.tolist() for column in fitted.imputed(np.array([20.0, np.nan]))] == [[20.0, 15.0], [0.0, 1.0]]
    assert fitted.encode(np.array([20.0, np.nan])).tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_a_number_without_a_spread_or_without_values_stays_finite() -> None:
    for numbers in (np.array([3.0, 3.0]), np.array([np.nan, np.nan]), np.array([])):
        assert np.isfinite(scale(numbers).encode(np.array([3.0, np.nan]))).all()


def test_flags_mark_every_known_value_once() -> None:
    known = vocabulary(["x", "y"])

    assert flags(known, np.array([["y", "x"], ["zzz", None]], object)).tolist() == [[1.0, 1.0], [0.0, 0.0]]


def test_an_encoder_survives_json(encoder: Encoder) -> None:
    again = Encoder.from_json(json.loads(json.dumps(encoder.to_json())))

    ids = np.array(["bob", "new"], object)
    one, two = encoder.queries(ids, USERS, MOMENTS, CONTEXTS), again.queries(ids, USERS, MOMENTS, CONTEXTS)
    assert all((one[name] == two[name]).all() for name in one)

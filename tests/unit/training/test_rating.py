import numpy as np
import pytest

from feature_repo.core.errors import NotMeasurable
from training.evaluation.bootstrap import user_weights
from training.evaluation.rating import RatingModel, Ratings, RatingSettings, rating_errors

EXACT = RatingSettings(factors=1, damping_items=0.0, damping_users=0.0)


def fit(ratings: Ratings, settings: RatingSettings = EXACT, users: int = 2, items: int = 2) -> RatingModel:
    return RatingModel.fit(ratings, users=users, items=items, settings=settings, seed=0)


def two_tastes() -> Ratings:
    """A checkerboard: every user loves every other item, and the means say nothing."""
    users, items = (axis.ravel() for axis in np.meshgrid(np.arange(6), np.arange(8), indexing="ij"))
    return Ratings(users, items, np.where((users + items) % 2 == 0, 5.0, 1.0))


def test_biases_add_up_to_the_mean_of_users_and_items() -> None:
    model = fit(Ratings(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.array([5.0, 3.0, 3.0, 1.0])))

    assert model.mean == 3.0
    assert model.by_biases(np.array([0, 1]), np.array([0, 1])).tolist() == [5.0, 1.0]


def test_damping_draws_a_bias_of_few_ratings_towards_nothing() -> None:
    settings = RatingSettings(factors=0, damping_items=1.0, damping_users=0.0)

    model = fit(Ratings(np.array([0, 1]), np.array([0, 1]), np.array([4.0, 2.0])), settings)

    assert model.item_bias.tolist() == [0.5, -0.5, 0.0]


def test_factors_learn_what_biases_cannot() -> None:
    ratings = two_tastes()
    model = fit(ratings, users=6, items=8)

    found = rating_errors(model, ratings, user_weights(6, np.random.default_rng(0)), ratings.users)

    assert found["mean"].rmse.value == found["biases"].rmse.value == pytest.approx(2.0)
    assert found["biases"].mae.value == pytest.approx(2.0)
    assert found["svd"].rmse.value == pytest.approx(0.0, abs=1e-9)
    assert found["svd"].rmse.low <= found["svd"].rmse.value <= found["svd"].rmse.high


def test_an_unknown_user_or_item_gets_the_mean_and_the_bias_that_is_known() -> None:
    model = fit(Ratings(np.array([0, 1]), np.array([0, 0]), np.array([5.0, 4.0])), users=2, items=2)

    unknown = np.array([-1, 0, -1])
    assert model.predict(unknown, np.array([-1, -1, 0])).tolist() == [4.5, 5.0, 4.5]


def test_predictions_stay_within_the_range_that_was_seen() -> None:
    model = fit(Ratings(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([5.0, 5.0, 1.0])))

    found = model.predict(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))

    assert found.min() >= 1.0
    assert found.max() <= 5.0


def test_the_same_seed_gives_the_same_factors() -> None:
    ratings = two_tastes()

    assert np.array_equal(fit(ratings, users=6, items=8).user_factors, fit(ratings, users=6, items=8).user_factors)


def test_ratings_that_are_all_equal_have_no_error_and_no_factors() -> None:
    ratings = Ratings(np.array([0, 1]), np.array([0, 1]), np.array([3.0, 3.0]))
    model = fit(ratings)

    found = rating_errors(model, ratings, user_weights(2, np.random.default_rng(0)), ratings.users)

    assert model.user_factors.shape == (3, 0)
    assert {name: e.rmse.value for name, e in found.items()} == {"mean": 0.0, "biases": 0.0, "svd": 0.0}


def test_no_rating_and_a_rating_that_is_no_number_are_refused() -> None:
    none = np.zeros(0, int)
    with pytest.raises(NotMeasurable, match="at least one rating; got shapes"):
        Ratings(none, none, np.zeros(0))
    with pytest.raises(NotMeasurable, match="expected finite ratings"):
        Ratings(np.array([0]), np.array([0]), np.array([np.nan]))

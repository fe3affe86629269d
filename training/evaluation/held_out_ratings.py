"""The rating baseline on a held-out window, where users rate: learnt before it, measured in it."""

import numpy as np

from training.evaluation.bootstrap import user_weights
from training.evaluation.rating import RatingErrors, RatingModel, Ratings, RatingSettings, rating_errors
from training.evaluation.world import World

RATING = "rating"  # the event type whose values are ratings


def held_out_rating_errors(world: World, *, seed: int) -> dict[str, RatingErrors]:
    """Errors of the mean, of biases and of the SVD; empty where nothing was rated before the window or in it."""
    rated = (world.event_types == RATING) & np.isfinite(world.values)
    before, window = rated & world.before, rated & ~world.before
    ids, users = np.unique(world.users, return_inverse=True)
    asked, numbers = np.unique(users[window], return_inverse=True)
    if not before.any() or len(asked) < 2:
        return {}
    learned = Ratings(users[before], world.items[before], world.values[before])
    model = RatingModel.fit(learned, users=len(ids), items=world.catalogue, settings=RatingSettings(), seed=seed)
    known_users, known_items = np.isin(users[window], learned.users), np.isin(world.items[window], learned.items)
    test = Ratings(
        np.where(known_users, users[window], -1), np.where(known_items, world.items[window], -1), world.values[window]
    )
    return rating_errors(model, test, user_weights(len(asked), np.random.default_rng(seed)), numbers)

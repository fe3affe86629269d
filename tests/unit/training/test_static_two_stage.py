"""Two stages without time, on users of two tastes."""

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from feature_repo.core.errors import DatasetError
from training.settings import AlsSettings, BaselineSettings, EaseSettings, RankerSettings
from training.static.candidates import Ranked
from training.static.cuts import hold_out
from training.static.members import unfitted
from training.static.one_moment import OneMoment, Pairs
from training.static.settings import Member, StaticSettings
from training.static.two_stage import TWO_STAGE, held_out, slates, two_stage

Array = np.ndarray[Any, Any]

USERS, ITEMS, K = 40, 24, 3
BASELINES = BaselineSettings(
    als=AlsSettings(factors=2, regularization=1.0, iterations=3), ease=EaseSettings(regularization=5.0)
)
SETTINGS = StaticSettings(
    members=(
        Member(retriever="popular", proposes=False),
        Member(retriever="ease", settings=BASELINES),
        Member(retriever="als", label="als-mean", copies=2, settings=BASELINES),
    ),
    folds=4,
    fitted_folds=2,
    depth=10,
    total=10,
    ranker=RankerSettings(rounds=5, depth=2, min_child_weight=0.0),
)


def tastes() -> tuple[Pairs, sparse.csr_array]:
    """Users met two thirds of the items of their parity; a quarter of that is held out."""
    rng = np.random.default_rng(0)
    same = np.arange(USERS)[:, None] % 2 == np.arange(ITEMS) % 2
    met = sparse.csr_array((same & (rng.random((USERS, ITEMS)) < 0.67)).astype(np.float32))
    kept, held = hold_out(met, 0.25, rng)
    users, items = (np.array([f"{kind}{row}" for row in range(n)]) for kind, n in (("u", USERS), ("i", ITEMS)))
    return Pairs(users, items, kept, {}), held


def run(settings: StaticSettings = SETTINGS, seed: int = 1) -> tuple[dict[str, Array], Pairs, list[str]]:
    pairs, _ = tastes()
    steps: list[str] = []
    return two_stage(pairs, np.arange(USERS), settings, k=K, seed=seed, on_step=steps.append), pairs, steps


def test_slates_hold_items_of_the_own_taste_that_were_not_met() -> None:
    found, pairs, steps = run()

    assert set(found) == {"popular", "ease", "als-mean", TWO_STAGE}
    assert {"fold 1 of 2", "fold 2 of 2", "ranker", "everything"} <= set(steps)
    for name, slate in found.items():
        assert slate.shape == (USERS, K)
        assert not pairs.met.toarray()[np.arange(USERS)[:, None], slate].any()
        if name != "popular":
            assert (slate % 2 == np.arange(USERS)[:, None] % 2).mean() > 0.95


def test_the_same_seed_gives_the_same_slates() -> None:
    one, again = run()[0], run()[0]

    for name in one:
        np.testing.assert_array_equal(one[name], again[name])


def test_with_a_whole_share_the_linear_blend_decides_alone() -> None:
    only_ease = (Member(retriever="ease", settings=BASELINES),)

    found, _, _ = run(SETTINGS.model_copy(update={"members": only_ease, "blend_share": 1.0}))

    np.testing.assert_array_equal(found[TWO_STAGE], found["ease"])


def test_more_fitted_folds_than_folds_are_refused() -> None:
    with pytest.raises(DatasetError, match="at most 4 folds to fit; got 5"):
        run(SETTINGS.model_copy(update={"fitted_folds": 5}))


def test_what_was_held_out_is_told_by_user_and_item() -> None:
    held = sparse.csr_array(np.array([[0, 1, 0], [1, 0, 0]], np.float32))
    nothing = np.zeros((4, 0), np.float32)
    found = Ranked({}, np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), nothing, nothing, nothing)

    np.testing.assert_array_equal(held_out(held, found), [0, 1, 1, 0])


def test_a_slate_ends_where_candidates_end() -> None:
    nothing = np.zeros((3, 0), np.float32)
    found = Ranked({}, np.array([4, 4, 7]), np.array([5, 6, 2]), nothing, nothing, nothing)

    slate = slates(found, np.array([0.1, 0.9, 0.5]), np.array([4, 6, 7]), 3)

    np.testing.assert_array_equal(slate, [[6, 5, -1], [-1, -1, -1], [2, -1, -1]])


def test_copies_that_were_restored_score_like_those_that_were_fitted() -> None:
    pairs, _ = tastes()
    queries, catalogue = pairs.queries(np.arange(5)), OneMoment(pairs)
    fitted = unfitted(SETTINGS.members[2]).fit(pairs.log, seed=1)

    restored = unfitted(SETTINGS.members[2]).restore(fitted.arrays())

    np.testing.assert_array_equal(restored.scores(queries, catalogue), fitted.scores(queries, catalogue))
    assert np.isfinite(fitted.scores(queries, catalogue)).any()

"""What every retriever promises, whatever it learns."""

import io
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from checkerboard import (
    ITEMS,
    NOW,
    SETTINGS,
    UNMET,
    USERS,
    TinyCatalogue,
    catalogue_of,
    checkerboard,
    log_of,
    one_of,
    queries_of,
)
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import sparse

from feature_repo.core.errors import SettingsRefused
from training.retrieval.answers import answer_of
from training.retrieval.item_state import FORMULAS
from training.retrieval.port import NOTHING, Retriever
from training.retrieval.retrievers import NOT_SERVABLE, RETRIEVERS, retriever
from training.settings import BaselineSettings, SparseTopSettings

Array = np.ndarray[Any, Any]

LOG = checkerboard()
CATALOGUE = catalogue_of(LOG)
EVERYBODY = queries_of(LOG, list(range(USERS + 1)))
BY_STATE = frozenset(FORMULAS)
GENERAL = BY_STATE | {"popular-segment", "popular-context"}  # what they say of a stranger they say of everybody
PERSONAL = frozenset(RETRIEVERS) - GENERAL

every = pytest.mark.parametrize("name", RETRIEVERS)


@cache
def fitted(name: str) -> Retriever:
    return retriever(name, SETTINGS).fit(LOG, seed=3)


def scores(name: str, queries: Any = EVERYBODY, catalogue: Any = CATALOGUE) -> Array:
    return fitted(name).scores(queries, catalogue)


@every
def test_scores_are_one_float32_for_each_query_and_item_and_never_nan(name: str) -> None:
    found = scores(name)

    assert found.shape == (USERS + 1, ITEMS + 1)
    assert found.dtype == np.float32
    assert not np.isnan(found).any()
    assert np.isfinite(found).any()
    assert fitted(name).name == name


@every
def test_what_was_fitted_comes_back_from_plain_arrays_with_equal_scores(name: str) -> None:
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **fitted(name).arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as saved:
        restored = retriever(name, SETTINGS).restore(dict(saved))

    np.testing.assert_array_equal(restored.scores(EVERYBODY, CATALOGUE), scores(name))


@every
def test_the_same_log_and_seed_give_the_same_scores(name: str) -> None:
    again = retriever(name, SETTINGS).fit(LOG, seed=3)

    np.testing.assert_array_equal(again.scores(EVERYBODY, CATALOGUE), scores(name))


@every
def test_a_batch_is_answered_like_its_queries_one_by_one(name: str) -> None:
    alone = [scores(name, one_of(EVERYBODY, row)) for row in range(USERS + 1)]

    np.testing.assert_allclose(np.concatenate(alone), scores(name), rtol=1e-4, atol=1e-5)


@every
def test_a_new_user_with_the_same_past_is_answered_like_a_known_one(name: str) -> None:
    strangers = replace(EVERYBODY, user_ids=np.array([f"new{n}" for n in range(USERS + 1)], object))

    np.testing.assert_array_equal(scores(name, strangers), scores(name))


@every
def test_a_user_without_a_past_gets_what_holds_for_everybody_or_nothing(name: str) -> None:
    found = scores(name, queries_of(LOG, [0, 1], history=False))

    assert not np.isnan(found).any()
    if name in PERSONAL:
        assert (found == NOTHING).all()
    else:
        np.testing.assert_array_equal(found[0], found[1])
        assert np.isfinite(found[0, :ITEMS]).all()


@every
def test_an_item_that_came_after_the_log_changes_nothing_for_the_others(name: str) -> None:
    order = np.array([-1, 3, 2, 1, 0, 7, 6, 5, 4, 8])
    later = TinyCatalogue(np.array([f"x{row}" for row in order], object), order, LOG)
    moved = np.argsort(order)[1:]
    history = np.where(EVERYBODY.history >= 0, moved[EVERYBODY.history], -1)

    found = scores(name, replace(EVERYBODY, history=history), later)

    assert (found[:, 0] == NOTHING).all()
    np.testing.assert_array_equal(found[:, moved], scores(name))


@every
def test_an_item_that_nobody_met_has_no_score_except_by_its_content(name: str) -> None:
    found = scores(name)[:, UNMET]

    assert np.isfinite(found).any() == (name == "content")


@every
def test_a_log_without_events_leaves_nothing_to_say(name: str) -> None:
    empty = log_of([], users=0, items=3)
    stranger = queries_of(log_of([], users=1, items=3), [0])

    found = retriever(name, SETTINGS).fit(empty, seed=3).scores(stranger, catalogue_of(empty))

    assert found.shape == (1, 3)
    assert (found == NOTHING).all()


@every
def test_no_query_is_no_row(name: str) -> None:
    assert scores(name, queries_of(LOG, [])).shape == (0, ITEMS + 1)


@pytest.mark.parametrize("name", sorted(set(RETRIEVERS) - BY_STATE - {"repeat"}))
def test_on_the_checkerboard_the_missing_item_of_the_own_group_comes_first(name: str) -> None:
    found = np.where(LOG.met.toarray() > 0, NOTHING, scores(name))[:USERS, :ITEMS]

    np.testing.assert_array_equal(found.argmax(axis=1), np.arange(USERS))


@pytest.mark.parametrize("name", sorted(PERSONAL - {"repeat", "next-item", "content"}))
@given(bag=st.lists(st.floats(0.0, 1.0, width=32), min_size=ITEMS + 1, max_size=ITEMS + 1))
def test_any_bag_is_answered_without_nan(name: str, bag: list[float]) -> None:
    met = sparse.csr_array(np.array([bag], np.float32))
    met.eliminate_zeros()

    found = scores(name, replace(one_of(EVERYBODY, 0), met=met))

    assert found.dtype == np.float32
    assert not np.isnan(found).any()
    assert not np.isposinf(found).any()


def listed(scores: Array, allowed: Array, count: int) -> list[int]:
    """The first rows by score, of equal ones the first: what an answer's list has to be."""
    rows = [row for row in range(len(scores)) if allowed[row] and np.isfinite(scores[row])]
    return sorted(rows, key=lambda row: (-scores[row], row))[:count]


@every
@hypothesis_settings(max_examples=20)
@given(
    order=st.permutations(range(-1, ITEMS + 1)),
    allowed=st.lists(st.booleans(), min_size=ITEMS + 2, max_size=ITEMS + 2),
    user=st.integers(0, USERS),
    count=st.integers(1, ITEMS + 3),
)
def test_the_answer_to_one_query_is_what_its_scores_of_all_items_say(
    name: str, order: list[int], allowed: list[bool], user: int, count: int
) -> None:
    known = np.array(order)
    catalogue = TinyCatalogue(np.array([f"x{row}" for row in range(len(order))], object), known, LOG)
    asked = one_of(EVERYBODY, user)
    query = replace(asked, history=np.where(asked.history >= 0, catalogue.rows_of[asked.history], -1))

    answer = answer_of(fitted(name), query, catalogue)

    whole = scores(name, query, catalogue)[0]
    assert answer.best(count, np.array(allowed)).tolist() == listed(whole, np.array(allowed), count)
    rows = np.random.default_rng(count).permutation(len(order))
    np.testing.assert_array_equal(answer.at(rows), whole[rows])


@pytest.mark.parametrize("name", ["ease", "edlae", "item-knn", "next-item"])
def test_weights_kept_as_the_top_of_each_row_are_answered_from_as_whole_ones_are(name: str) -> None:
    sparse_top = SparseTopSettings(dense_items=0, top_n=3)
    cut = retriever(name, SETTINGS.model_copy(update={"sparse": sparse_top})).fit(LOG, seed=3)

    answers = [answer_of(cut, one_of(EVERYBODY, row), CATALOGUE) for row in range(USERS + 1)]

    whole, everything = cut.scores(EVERYBODY, CATALOGUE), np.ones(ITEMS + 1, bool)
    for row, answer in enumerate(answers):
        assert answer.best(ITEMS, everything).tolist() == listed(whole[row], everything, ITEMS)
        np.testing.assert_array_equal(answer.at(np.arange(ITEMS + 1)), whole[row])


@every
def test_only_what_answers_from_persons_rows_is_kept_out_of_bundles(name: str) -> None:
    rows_of_users = [part for part, values in fitted(name).arrays().items() if len(LOG.user_ids) + 1 in values.shape]

    assert (name in NOT_SERVABLE) == ("met_indptr" in rows_of_users)


def test_days_of_one_batch_are_told_apart() -> None:
    later = replace(EVERYBODY, moments_us=np.array([NOW, NOW + 300 * 86_400_000_000] * 4 + [NOW]))

    found = scores("popular-30d", later)

    assert found[0, 0] > found[1, 0]
    np.testing.assert_array_equal(found[0], found[2])


def test_settings_and_names_that_are_unknown_are_refused() -> None:
    with pytest.raises(ValidationError, match="extra"):
        BaselineSettings.model_validate({"ease": {"lambda": 500}})
    with pytest.raises(SettingsRefused, match=r"a retriever is one of popular, .*; got 'bert'"):
        retriever("bert", SETTINGS)

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.retrieval.fusion import as_columns, fuse, retrieval_features

EVERYTHING = np.ones((1, 4), bool)


def test_what_two_retrievers_rank_second_comes_before_what_one_of_them_ranks_first() -> None:
    scores = {"a": np.array([[9.0, 8.0, 1.0, 0.0]]), "b": np.array([[0.0, 8.0, 1.0, 9.0]])}

    found = fuse(scores, EVERYTHING, depth=2, total=4)

    assert found.rows.tolist() == [1, 0, 3]
    assert found.source.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(found.ranks, [[2, 2], [1, 3], [3, 1]])


def test_what_may_not_be_recommended_is_no_candidate_and_takes_no_rank() -> None:
    allowed = np.array([[False, True, True, True]])

    found = fuse({"a": np.array([[9.0, 8.0, 7.0, 6.0]])}, allowed, depth=2, total=4)

    assert found.rows.tolist() == [1, 2]
    assert found.ranks.ravel().tolist() == [1, 2]


def test_a_retriever_with_nothing_to_say_has_no_score_and_no_rank() -> None:
    scores = {"a": np.array([[1.0, 2.0, 3.0, 4.0]]), "b": np.full((1, 4), -np.inf)}

    found = fuse(scores, EVERYTHING, depth=4, total=2)
    columns = as_columns(("a", "b"), found)

    assert found.rows.tolist() == [3, 2]
    assert np.isnan(columns["b_score"]).all()
    assert columns["b_rank"].tolist() == [5, 5]
    assert tuple(columns) == retrieval_features(("a", "b"))


@given(st.integers(1, 5), st.integers(1, 8), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_a_batch_gives_what_its_queries_give_one_by_one(queries: int, depth: int, total: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = {name: rng.integers(0, 4, (queries, 7)).astype(float) for name in "ab"}
    allowed = rng.random((queries, 7)) < 0.7

    whole = fuse(scores, allowed, depth=depth, total=total)

    for query in range(queries):
        one = fuse(
            {name: s[query : query + 1] for name, s in scores.items()},
            allowed[query : query + 1],
            depth=depth,
            total=total,
        )
        mine = whole.query == query
        np.testing.assert_array_equal(whole.rows[mine], one.rows)
        np.testing.assert_array_equal(whole.ranks[mine], one.ranks)
        assert len(set(one.rows.tolist())) == len(one.rows) <= total
        assert allowed[query, one.rows].all()

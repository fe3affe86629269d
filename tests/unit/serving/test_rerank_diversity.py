import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rerank_candidates import candidates, ids, policy, slate

from serving.rerank.diversity import RIDGE, gain_by, unit_rows
from serving.rerank.ranked import RerankRefused
from serving.rerank.rules import Diversity

Array = np.ndarray


def greedy(diversity: Diversity, relevance: Array, embeddings: Array, k: int) -> list[int]:
    gain = gain_by(diversity, relevance, embeddings, k=k)
    chosen = []
    for _ in range(k):
        chosen.append(int(gain.gain.argmax()))
        gain.drop(chosen[-1:])
        gain.chose(chosen[-1])
    return chosen


def kernel(embeddings: Array) -> Array:
    """The DPP's kernel as its formula says it."""
    unit = unit_rows(embeddings)
    return (1 - RIDGE) * (1 + unit @ unit.T) / 2 + RIDGE * np.eye(len(unit))


def worth_of(slate_rows: list[int], relevance: Array, whole_kernel: Array, weight: float) -> float:
    logdet = np.linalg.slogdet(whole_kernel[np.ix_(slate_rows, slate_rows)])[1]
    return float(weight * relevance[slate_rows].sum() + (1 - weight) * logdet)


@st.composite
def small_sets(draw: st.DrawFn) -> tuple[Array, Array, float, int]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 8))
    embeddings = rng.normal(size=(count, draw(st.integers(1, 5))))
    return rng.random(count), embeddings, draw(st.sampled_from([0.0, 0.2, 0.5, 0.9])), draw(st.integers(1, count))


@given(small_sets())
@settings(max_examples=60, deadline=None)
def test_mmr_chooses_what_its_formula_puts_first_at_every_step(small: tuple[Array, Array, float, int]) -> None:
    relevance, embeddings, weight, k = small
    unit = unit_rows(embeddings)

    chosen = greedy(Diversity(method="mmr", relevance=weight), relevance, embeddings, k)

    assert len(set(chosen)) == k
    for step, row in enumerate(chosen):
        before = chosen[:step]
        nearest = np.max(unit @ unit[before].T, axis=1) if before else np.zeros(len(unit))
        gains = weight * relevance - (1 - weight) * nearest
        gains[before] = -np.inf
        assert gains[row] == pytest.approx(gains.max(), abs=1e-9)


@given(small_sets())
@settings(max_examples=60, deadline=None)
def test_dpp_takes_the_largest_determinant_at_every_step_as_brute_force_finds_it(
    small: tuple[Array, Array, float, int],
) -> None:
    relevance, embeddings, weight, k = small
    whole = kernel(embeddings)

    chosen = greedy(Diversity(method="dpp", relevance=weight), relevance, embeddings, k)

    assert len(set(chosen)) == k
    for step in range(k):
        best = max(
            worth_of([*chosen[:step], row], relevance, whole, weight)
            for row in range(len(relevance))
            if row not in chosen[:step]
        )
        assert worth_of(chosen[: step + 1], relevance, whole, weight) == pytest.approx(best, abs=1e-6)


def test_mmr_passes_over_the_twin_of_the_best_item() -> None:
    # i1 is i0 again; i2 is unlike both, and worth 0.4 * 0.5 against 0.9 * 0.5 - 1 * 0.5.
    ranked = candidates([1.0, 0.9, 0.4, 0.0], embeddings=[[1, 0], [1, 0], [0, 1], [-1, 0]])

    found = slate(ranked, policy(diversity={"method": "mmr", "relevance": 0.5}), k=2)

    # i3 is the opposite of i0: 0 * 0.5 + 1 * 0.5 beats the 0.2 of i2.
    assert ids(found) == ["i0", "i3"]
    assert found.propensities.tolist() == [1, 1]


def test_dpp_takes_one_item_of_each_kind_before_a_second_of_any() -> None:
    ranked = candidates([0.9, 1.0, 0.8, 0.7, 0.6, 0.0], embeddings=[[1, 0], [1, 0], [1, 0], [0, 1], [0, 1], [-1, 0]])

    found = slate(ranked, policy(diversity={"method": "dpp", "relevance": 0.5}), k=3)

    assert ids(found)[0] == "i1"
    assert set(ids(found)) == {"i1", "i3", "i5"}


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_relevance_alone_decides_when_its_weight_is_1(method: str) -> None:
    rng = np.random.default_rng(1)
    ranked = candidates(rng.normal(size=20).tolist(), embeddings=rng.normal(size=(20, 3)))

    found = slate(ranked, policy(diversity={"method": method, "relevance": 1.0}), k=20)

    assert found.places.tolist() == np.argsort(-ranked.scores).tolist()


@pytest.mark.parametrize("method", ["mmr", "dpp"])
@pytest.mark.parametrize("vector", [[1.0, 2.0], [0.0, 0.0]])
def test_items_that_are_all_alike_are_ordered_by_relevance(method: str, vector: list[float]) -> None:
    ranked = candidates([0.1, 0.5, 0.3, 0.4], embeddings=[vector] * 4)

    found = slate(ranked, policy(diversity={"method": method, "relevance": 0.5}), k=4)

    assert ids(found) == ["i1", "i3", "i2", "i0"]


def test_dpp_goes_on_where_there_are_more_places_than_dimensions() -> None:
    rng = np.random.default_rng(1)
    ranked = candidates(rng.normal(size=100).tolist(), embeddings=rng.normal(size=(100, 2)))

    found = slate(ranked, policy(diversity={"method": "dpp", "relevance": 0.2}), k=100)

    assert sorted(found.places) == list(range(100))


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_an_embedding_that_is_not_finite_is_refused(method: str) -> None:
    ranked = candidates([1.0, 2.0], embeddings=[[1.0, 0.0], [np.nan, 1.0]])

    with pytest.raises(RerankRefused, match="an embedding must be finite; got another in row 1"):
        slate(ranked, policy(diversity={"method": method}))

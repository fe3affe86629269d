"""Interleaving: fair to both rankers, and preferring the better one."""

from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.core.errors import NotMeasurable
from feature_repo.core.team_draft import chances, team_draft
from monitoring.experiments.interleaving.optimised import optimised
from monitoring.experiments.interleaving.preference import preference
from training.verdict import Verdict

SHORT = st.permutations(range(7)).flatmap(lambda items: st.integers(1, 6).map(lambda n: items[:n]))
RANKINGS = st.permutations(range(8)).map(lambda items: items[:5])


@settings(deadline=None, max_examples=50)
@given(one=RANKINGS, two=RANKINGS, seed=st.integers(0, 1_000))
def test_a_team_draft_takes_the_best_items_left_and_has_teams_of_equal_size(
    one: list[int], two: list[int], seed: int
) -> None:
    found = team_draft(one, two, k=5, rng=np.random.default_rng(seed))

    assert len(set(found.items)) == 5
    assert set(found.items) <= set(one) | set(two)
    teams = [credit for credit in found.credit if credit]
    assert abs(sum(teams)) <= 1
    for at, credit in enumerate(found.credit):
        ranking = two if credit > 0 else one
        assert found.items[at] == next(item for item in ranking if item not in found.items[:at])


def throwing(coins: tuple[float, ...]) -> Any:
    """In the place of a generator: these numbers."""
    return SimpleNamespace(random=iter(coins).__next__)


def test_who_clicks_at_random_gives_a_team_draft_no_credit_at_any_place() -> None:
    rng = np.random.default_rng(1)

    credits = np.array([team_draft("abcde", "acbfg", k=5, rng=rng).credit for _ in range(4_000)])

    assert (credits[:, 0] == 0).all()
    assert np.abs(credits.mean(axis=0)).max() < 4 / np.sqrt(4_000)


def test_a_team_draft_ends_where_both_rankings_do() -> None:
    found = team_draft("ab", "ba", k=5, rng=np.random.default_rng(2))

    assert (len(found.items), set(found.items)) == (2, {"a", "b"})
    assert sum(map(abs, team_draft("abcd", "e", k=5, rng=np.random.default_rng(2)).credit)) == 2
    assert team_draft("", "", k=5, rng=np.random.default_rng(2)).items == ()


@settings(deadline=None, max_examples=30)
@given(one=SHORT, two=SHORT)
def test_the_chance_of_an_item_at_a_place_is_the_share_of_drafts_that_put_it_there(
    one: list[int], two: list[int]
) -> None:
    drafts = [team_draft(one, two, k=5, rng=throwing(coins)).items for coins in product((0.0, 0.9), repeat=5)]

    for slate in set(drafts):
        shares = [sum(other[at] == item for other in drafts) / len(drafts) for at, item in enumerate(slate)]
        assert chances(one, two, slate) == pytest.approx(shares)


@settings(deadline=None, max_examples=50)
@given(one=RANKINGS, two=RANKINGS, credit=st.sampled_from(["linear", "inverse"]))
def test_an_optimised_mixture_is_fair_at_every_place_and_allows_only_what_a_ranker_could_make(
    one: list[int], two: list[int], credit: str
) -> None:
    found = optimised(one, two, k=5, credit=credit)  # type: ignore[arg-type]

    assert found.probabilities.sum() == pytest.approx(1.0)
    assert found.probabilities @ found.credit == pytest.approx(np.zeros(5), abs=1e-7)
    for slate in found.slates:
        items = [found.names[place] for place in slate]
        for at, item in enumerate(items):
            best = [next(i for i in ranking if i not in items[:at]) for ranking in (one, two)]
            assert item in best


def test_equal_rankings_have_one_slate_without_credit() -> None:
    found = optimised("abc", "abc", k=3)

    assert found.slates.tolist() == [[0, 1, 2]]
    assert found.credit.tolist() == [[0.0, 0.0, 0.0]]


def test_two_items_swapped_are_shown_either_way_half_of_the_time() -> None:
    found = optimised("ab", "ba", k=2, credit="linear")

    assert found.slates.tolist() == [[0, 1], [1, 0]]
    assert found.probabilities == pytest.approx([0.5, 0.5])
    assert found.credit.tolist() == [[-1.0, 1.0], [1.0, -1.0]]


def test_a_drawn_slate_has_the_items_and_credits_of_its_mixture() -> None:
    found = optimised("ab", "bc", k=2).draw(np.random.default_rng(3))

    assert set(found.items) < {"a", "b", "c"}
    assert len(found.credit) == 2


def test_where_no_mixture_is_fair_the_sentence_says_so() -> None:
    with pytest.raises(NotMeasurable, match="fair at every place with binary credit"):
        optimised("abc", "bca", k=3, credit="binary")


@pytest.mark.parametrize(("one", "k", "words"), [("abc", 4, "got 4 places of 3"), ("abb", 3, "got 1 again")])
def test_rankings_that_cannot_be_mixed_are_refused(one: str, k: int, words: str) -> None:
    with pytest.raises(NotMeasurable, match=words):
        optimised(one, "abcd", k=k)


def test_a_ranking_that_repeats_an_item_is_refused_by_the_team_draft() -> None:
    with pytest.raises(NotMeasurable, match="names each item once"):
        team_draft("aa", "ab", k=2, rng=np.random.default_rng(1))


def test_the_better_ranker_is_preferred_by_its_credit() -> None:
    """Item a is clicked half of the time and b never; the second ranker puts a first."""
    rng = np.random.default_rng(4)
    mixture = optimised("bx", "ax", k=2)
    drawn = [mixture.draw(rng) for _ in range(300)]
    credit = np.array([sum(c for i, c in zip(d.items, d.credit, strict=True) if i == "a") for d in drawn])
    credit *= rng.random(300) < 0.5

    found = preference(credit, np.arange(300) // 3)

    assert found.verdict(0.05) is Verdict.PASS
    assert preference(-credit, np.arange(300) // 3).verdict(0.05) is Verdict.FAIL
    assert (found.first, found.second + found.ties) == (0, 300)


def test_credit_that_points_both_ways_is_inconclusive() -> None:
    found = preference(np.tile([1.0, -1.0], 50), np.arange(100))

    assert found.verdict(0.05) is Verdict.INCONCLUSIVE


def test_without_a_click_that_tells_them_apart_there_is_no_preference() -> None:
    with pytest.raises(NotMeasurable, match="got none in 3 requests"):
        preference(np.zeros(3), np.arange(3))

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.core.errors import DatasetError, SettingsRefused
from training.ranking.distillation import mixed, ranks_within
from training.ranking.objectives import gains_by_objective, weighted_gains
from training.ranking.position_bias import in_shown_order
from training.ranking.query_groups import Dropped, QueryGroups, checked, informative
from training.ranking.relevance import answers, check_grades, gains
from training.settings import Objective

TYPES = ("view", "purchase", "hide")
CLICKS = Objective(name="clicks", weights={"view": 1.0}, share=1.0)
SALES = Objective(name="sales", weights={"purchase": 1.0}, share=3.0)


def rows(relevance: list[float], groups: list[int], **more: list[float]) -> QueryGroups:
    columns = {name: np.array(values) for name, values in more.items()}
    matrix = np.arange(len(groups), dtype=np.float32)[:, None]
    return QueryGroups(matrix, np.array(relevance, np.float32), np.array(groups), **columns)


def test_an_event_answers_the_candidate_of_its_own_request_alone() -> None:
    request, items = np.array([0, 0, 1]), np.array(["a", "b", "a"], object)

    found = answers(request, items, [(0, "a", "view"), (1, "c", "view"), (1, "a", "rate")], TYPES)

    assert found.tolist() == [[True, False, False], [False] * 3, [False] * 3]


def test_of_several_events_on_one_item_the_largest_weight_counts_and_a_negative_one_is_nothing() -> None:
    answered = np.array([[1, 1, 0], [1, 0, 1], [0, 0, 1], [0, 0, 0]], bool)

    found = gains(answered, TYPES, {"view": 1, "purchase": 3, "hide": -2})

    assert found.tolist() == [3, 1, 0, 0]


def test_gains_of_objectives_are_mixed_by_their_shares() -> None:
    answered = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0]], bool)

    both = gains_by_objective(answered, TYPES, [CLICKS, SALES])

    assert both.tolist() == [[1, 0], [0, 1], [1, 1]]
    assert weighted_gains(both, [CLICKS, SALES]) == pytest.approx([0.25, 0.75, 1.0])


def test_an_objective_on_an_event_type_that_the_log_does_not_have_is_refused() -> None:
    rent = Objective(name="rent", weights={"rental": 1.0})

    with pytest.raises(
        SettingsRefused, match=r"'rent' weighs event types of the log, view, purchase, hide; got rental"
    ):
        gains_by_objective(np.zeros((1, 3), bool), TYPES, [rent])


def test_gains_without_an_objective_each_are_refused() -> None:
    with pytest.raises(SettingsRefused, match="each of 1 objectives; got 2"):
        weighted_gains(np.zeros((3, 2)), [CLICKS])


@pytest.mark.parametrize(
    ("grades", "said"), [([0.0, 32.0], "at most 31; got 32"), ([0.0, 1.5], "a whole number; got 1.5")]
)
def test_the_exponential_gain_takes_whole_grades_up_to_31(grades: list[float], said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        check_grades(np.array(grades))


def test_requests_that_say_nothing_about_order_are_left_out_and_counted() -> None:
    given_rows = rows([0, 0, 1, 0, 1, 1, 2, 1], [0, 0, 1, 1, 2, 2, 3, 3])

    kept, dropped = informative(given_rows)

    assert kept.groups.tolist() == [1, 1, 3, 3]
    assert dropped == Dropped(without_positive=1, only_positives=1)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=40))
def test_what_is_kept_has_a_pair_in_every_request(pairs: list[tuple[int, int]]) -> None:
    ordered = sorted(pairs)
    kept, dropped = informative(rows([float(g) for _, g in ordered], [q for q, _ in ordered]))

    of_request = [set(kept.relevance[kept.groups == q]) for q in set(kept.groups)]
    assert all(len(found) > 1 for found in of_request)
    assert len(of_request) + dropped.without_positive + dropped.only_positives == len({q for q, _ in pairs})


@pytest.mark.parametrize(
    ("matrix", "relevance", "groups", "said"),
    [
        ([[0.0], [np.inf]], [0, 1], [0, 0], "infinite in price"),
        ([[0.0], [1.0]], [0, -1], [0, 0], "at least 0; got -1"),
        ([[0.0], [1.0]], [0, np.nan], [0, 0], "at least 0; got nan"),
        ([[0.0], [1.0]], [0, 1], [1, 0], "out of order"),
        ([[0.0, 1.0], [1.0, 2.0]], [0, 1], [0, 0], r"\(2, 1\); got \(2, 2\)"),
    ],
)
def test_rows_that_no_ranker_can_learn_from_are_refused(
    matrix: list[list[float]], relevance: list[float], groups: list[int], said: str
) -> None:
    with pytest.raises(DatasetError, match=said):
        checked(QueryGroups(np.array(matrix), np.array(relevance), np.array(groups)), ("price",))


def test_a_missing_feature_is_none_of_the_refused() -> None:
    missing = QueryGroups(np.array([[np.nan], [1.0]]), np.array([0, 1]), np.array([0, 0]))

    assert checked(missing, ("price",)) is missing


def test_rows_stand_as_they_were_shown_and_what_was_not_shown_comes_last() -> None:
    shown = rows([0, 1, 0, 0, 1], [0, 0, 0, 1, 1], positions=[2, 1, 0, 1, 2])

    ordered = in_shown_order(shown)

    assert ordered.matrix[:, 0].tolist() == [1, 0, 2, 3, 4]


def test_a_request_whose_relevant_item_was_not_shown_teaches_nothing_about_places() -> None:
    found = in_shown_order(rows([1, 0, 1, 0], [0, 0, 1, 1], positions=[0, 1, 1, 2]))

    assert found.groups.tolist() == [1, 1]


def test_position_bias_without_positions_is_refused() -> None:
    with pytest.raises(DatasetError, match="the events have none"):
        in_shown_order(rows([1, 0], [0, 0]))
    with pytest.raises(DatasetError, match="none does"):
        in_shown_order(rows([1, 0], [0, 0], positions=[0, 0]))


def test_ranks_begin_anew_in_every_request() -> None:
    assert ranks_within(np.array([0.1, 0.9, 0.5, 0.2, 0.7]), np.array([0, 0, 0, 1, 1])).tolist() == [3, 1, 2, 2, 1]


def test_the_champions_first_places_get_their_share_of_the_gain() -> None:
    taught = mixed(rows([0, 2, 0], [0, 0, 0], champion=[0.9, 0.1, 0.5]), share=0.25, depth=2)

    assert taught.relevance == pytest.approx([0.25, 0.75, 0.25 / np.log2(3)])


def test_distillation_without_the_champions_scores_is_refused() -> None:
    with pytest.raises(DatasetError, match="the champion's score of every candidate"):
        mixed(rows([1, 0], [0, 0]), share=0.5, depth=2)

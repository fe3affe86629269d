from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.core.errors import SettingsRefused
from feature_repo.core.k_anonymity import OTHER, merged, published, published_sizes


def test_groups_with_enough_people_keep_their_names() -> None:
    assert published_sizes({"a": 10, "b": 12}, k=10) == {"a": "a", "b": "b"}


def test_small_groups_become_one() -> None:
    assert published_sizes({"a": 4, "b": 6, "c": 20}, k=10) == {"a": OTHER, "b": OTHER, "c": "c"}


def test_one_small_group_takes_the_smallest_other_with_it_so_that_no_subtraction_shows_it() -> None:
    assert published_sizes({"a": 1, "b": 30, "c": 20}, k=10) == {"a": OTHER, "b": "b", "c": OTHER}


def test_too_few_people_altogether_are_withheld() -> None:
    assert published_sizes({"a": 4, "b": 5}, k=10) == {"a": None, "b": None}


def test_somebody_in_two_small_groups_counts_once() -> None:
    assert published({"a": {1, 2}, "b": {2, 3}}, k=4) == {"a": None, "b": None}
    assert published({"a": {1, 2}, "b": {3, 4}}, k=4) == {"a": OTHER, "b": OTHER}


def test_a_group_that_is_called_other_already_takes_the_small_ones_in() -> None:
    assert published_sizes({OTHER: 30, "a": 2, "b": 40}, k=10) == {OTHER: OTHER, "a": OTHER, "b": "b"}


def test_no_rows_give_no_groups() -> None:
    assert merged(np.array([], object), np.array([], object)).tolist() == []


def test_every_published_group_of_a_random_table_has_k_people_and_nobody_is_lost() -> None:
    @given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 30))), st.integers(1, 8))
    def holds(rows: list[tuple[str, int]], k: int) -> None:
        labels, people = (np.array([row[n] for row in rows], object) for n in (0, 1))

        names = merged(labels, people, k=k)

        groups = defaultdict(set)
        for name, person in zip(names.tolist(), people.tolist(), strict=True):
            groups[name].add(person)
        withheld = groups.pop(None, set())
        assert all(len(members) >= k for members in groups.values())
        assert not withheld or not groups

    holds()


def test_what_is_no_k_and_what_is_no_table_is_refused() -> None:
    with pytest.raises(SettingsRefused, match=r"1 or more; got 0"):
        published_sizes({"a": 1}, k=0)
    with pytest.raises(SettingsRefused, match=r"got 2 groups and 1 people"):
        merged(np.array(["a", "b"]), np.array([1]))

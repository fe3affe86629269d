import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.store.id_rows import IdRows

IDS = st.text(max_size=3)


@given(st.lists(IDS, unique=True), st.lists(IDS))
def test_ids_are_found_where_they_are_and_others_nowhere(known: list[str], wanted: list[str]) -> None:
    expected = [known.index(item) if item in known else -1 for item in wanted]

    assert IdRows(known).of(wanted).tolist() == expected
    assert IdRows(known).of(known).tolist() == [*range(len(known))]


class Alike(str):
    """Hashes like all others of its kind."""

    __slots__ = ()

    def __hash__(self) -> int:
        return 1


@pytest.mark.parametrize("known", [["a", "b", "c"], ["c", "a", "b"]])
def test_ids_with_one_hash_are_told_apart(known: list[str]) -> None:
    found = IdRows([Alike(item) for item in known]).of([Alike(item) for item in ("a", "b", "c", "d")])

    assert found.tolist() == [known.index("a"), known.index("b"), known.index("c"), -1]


def test_one_id_is_looked_up_as_in_a_dict() -> None:
    found = IdRows(["b", "a"])

    assert (found["a"], found.get("c"), "c" in found, len(found), [*found]) == (1, None, False, 2, ["b", "a"])


def test_an_id_that_must_be_there_and_is_not_is_named() -> None:
    assert IdRows(["b", "a"]).of_all(["a", "b"]).tolist() == [1, 0]
    with pytest.raises(KeyError, match="c"):
        IdRows(["b", "a"]).of_all(["a", "c", "b"])

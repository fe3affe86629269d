import json
import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.vocabulary import HashedVocabulary, category_vocabulary, vocabulary_from_json

MANY = [f"brand {n}" for n in range(400)]


def test_values_up_to_the_limit_have_a_code_of_their_own() -> None:
    known = category_vocabulary(["b", "a", None, "a"], limit=2)

    assert known.encode(np.array(["a", "b", "c", None], object)).tolist() == [1, 2, 0, 0]
    assert known.collision_rate == 0
    assert len(known) == 3


def test_more_values_than_the_limit_are_hashed_and_the_collision_rate_is_what_is_measured() -> None:
    known = category_vocabulary(MANY, limit=100)

    codes = known.encode(np.array([*MANY, "never seen", None], object))
    assert isinstance(known, HashedVocabulary)
    assert len(known) == 101
    assert codes[-1] == 0
    assert (codes[:-1] > 0).all()
    assert codes.max() <= 100
    shared = [n for n in range(len(MANY)) if (codes[: len(MANY)] == codes[n]).sum() > 1]
    assert known.collision_rate == len(shared) / len(MANY)


def test_a_hash_is_the_same_in_another_process() -> None:
    program = "import numpy as np; from training.vocabulary import HashedVocabulary as H; "
    program += "print(H(1000, 0.5).encode(np.array(['shoes', 'déjà vu', '🙂'], object)).tolist())"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    here = HashedVocabulary(1000, 0.5).encode(np.array(["shoes", "déjà vu", "🙂"], object)).tolist()

    assert json.loads(other) == here


@given(values=st.lists(st.none() | st.text(max_size=6), max_size=12), limit=st.integers(1, 6))
def test_a_vocabulary_survives_json(values: list[str | None], limit: int) -> None:
    known = category_vocabulary(values, limit=limit)

    again = vocabulary_from_json(json.loads(json.dumps(known.to_json())))

    texts = np.array([*values, "other"], object)
    assert again.encode(texts).tolist() == known.encode(texts).tolist()
    assert len(again) == len(known)

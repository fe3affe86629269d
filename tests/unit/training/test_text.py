import json

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from training.text import TextModel, fit_text

TITLES = ["Toy Story", "Toy Story 2", "A Bug's Life", "Star Wars", "Star Trek: First Contact", "First Wars", "Life"]
COLUMNS = {"title": np.array([*TITLES, None], object), "blurb": np.array(["toy film"] * 4 + [None] * 4, object)}


def model() -> TextModel:
    fitted = fit_text(("title", "blurb"), COLUMNS, dimension=3, words=100, seed=1)
    assert fitted is not None
    return fitted


def test_vectors_are_those_of_the_library_that_fitted_them() -> None:
    texts = [" ".join(filter(None, pair)) for pair in zip(COLUMNS["title"], COLUMNS["blurb"], strict=True)]
    weights = TfidfVectorizer(token_pattern=r"(?u)\b\w\w+\b", min_df=2, max_features=100).fit_transform(texts)
    expected = TruncatedSVD(3, random_state=1).fit(weights).transform(weights)

    np.testing.assert_allclose(model().encode(COLUMNS), expected, atol=1e-5)


def test_texts_that_share_words_are_near_each_other() -> None:
    toys, other_toys, _, stars = model().encode(COLUMNS)[:4]

    assert toys @ other_toys > toys @ stars


def test_a_text_without_a_known_word_is_zero() -> None:
    found = model().encode({"title": np.array(["zzz", None], object), "blurb": np.array([None, None], object)})

    assert found.shape == (2, 3)
    assert not found.any()


def test_a_model_survives_json_to_the_last_digit() -> None:
    again = TextModel.from_json(json.loads(json.dumps(model().to_json())))

    assert (again.encode(COLUMNS) == model().encode(COLUMNS)).all()


def test_texts_without_common_words_make_no_model() -> None:
    alone = {"title": np.array(["one", "two", None], object)}

    assert fit_text(("title",), alone, dimension=3, words=100, seed=1) is None
    assert fit_text(("title",), {"title": np.array([], object)}, dimension=3, words=100, seed=1) is None
    assert fit_text(("title",), {"title": np.array(["same", "same"], object)}, dimension=3, words=9, seed=1) is None

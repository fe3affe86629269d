"""Content: items that are described like those that the user met.

An item is a TF-IDF vector over the values of its text and category columns, and over the words of values that have
several (Salton and Buckley, 1988). What describes a single item links it to nothing and is left out. A user's profile
is the mean of the vectors of the items met, and an item's score its product with that. Items that nobody met are
scored like any other. Fitted with scikit-learn; afterwards two sparse matrices.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Self

import numpy as np
from scipy import sparse

from feature_repo.features.columns import Columns
from training.retrieval.port import Array, Catalogue, Log, Queries, spread
from training.retrieval.sparse_top import csr_arrays, csr_restored, narrow, nothing_at_zero
from training.settings import ContentSettings
from training.text import WORD


class Content:
    name = "content"
    servable = True

    def __init__(self, settings: ContentSettings) -> None:
        self._settings = settings
        self._vectors: sparse.csr_array
        self._by_term: sparse.csr_array

    def fit(self, log: Log, *, seed: int) -> Self:  # noqa: ARG002 - counting has nothing to draw
        terms = [list(found) for found in _terms(log.item_columns, len(log.item_ids))]
        vectors = _tf_idf(terms, self._settings.words)
        return self.restore({**csr_arrays("vectors", vectors), "terms": np.array(vectors.shape[1])})

    def scores(self, queries: Queries, catalogue: Catalogue) -> Array:
        profiles = sparse.csr_array(narrow(queries.met) @ self._vectors)
        weights = np.repeat(queries.met.sum(axis=1), np.diff(profiles.indptr))
        mean = sparse.csr_array((profiles.data / weights, profiles.indices, profiles.indptr), shape=profiles.shape)
        return spread(nothing_at_zero((mean @ self._by_term).toarray()), catalogue)

    def arrays(self) -> dict[str, Array]:
        return {**csr_arrays("vectors", self._vectors), "terms": np.array(self._vectors.shape[1])}

    def restore(self, arrays: Mapping[str, Array]) -> Self:
        self._vectors = csr_restored("vectors", arrays, columns=int(arrays["terms"]))
        self._by_term = narrow(sparse.csr_array(self._vectors.T))
        return self


def _terms(columns: Columns, items: int) -> Iterator[Iterator[str]]:
    """The terms of each item: `column=value`, and the words of a value of several words; numbers are no terms."""
    texts = {name: values.reshape(items, -1) for name, values in columns.items() if values.dtype.kind in "OUT"}
    for row in range(items):
        yield (term for name, values in texts.items() for value in values[row] for term in _of_value(name, value))


def _of_value(column: str, value: object) -> list[str]:
    if not isinstance(value, str) or not value:
        return []
    words = re.findall(WORD, value.lower())
    return [f"{column}={value}", *(words if len(words) > 1 else [])]


def _tf_idf(terms: list[list[str]], most: int) -> sparse.csr_array:
    """Unit vectors [i, terms], float32, over the `most` commonest terms that two items have at least."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    counter = TfidfVectorizer(analyzer=lambda found: found, min_df=2, max_features=most, dtype=np.float32)
    try:
        return sparse.csr_array(counter.fit_transform(terms))
    except ValueError:  # no term is in two items
        return sparse.csr_array((len(terms), 0), dtype=np.float32)

"""Texts as short dense vectors: TF-IDF over words, reduced by a singular value decomposition.

Deerwester et al., "Indexing by latent semantic analysis", JASIS 1990. Fitted with scikit-learn in training; served by
the same arithmetic in numpy, so that the service needs neither scikit-learn nor a pickle.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from feature_repo.features.columns import Columns

Array = np.ndarray[Any, Any]

WORD = r"(?u)\b\w\w+\b"
TEXTS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class TextModel:
    """`words[i]` has the weight `idf[i]` and the row `components[:, i]`; `columns` are joined to one text."""

    columns: tuple[str, ...]
    words: dict[str, int]
    idf: Array
    components: Array

    @property
    def dimension(self) -> int:
        return len(self.components)

    def encode(self, columns: Columns) -> Array:
        """Vectors [n, dimension], float32; zeros for a text without a known word."""
        texts, places = np.unique(joined(self.columns, columns), return_inverse=True)
        parts = [self._vectors(texts[at : at + TEXTS_AT_ONCE]) for at in range(0, max(len(texts), 1), TEXTS_AT_ONCE)]
        vectors: Array = np.concatenate(parts)[places]
        return vectors

    def _vectors(self, texts: Array) -> Array:
        weights = np.zeros((len(texts), len(self.words)))
        for row, text in enumerate(texts):
            known = [self.words[w] for w in re.findall(WORD, text.lower()) if w in self.words]
            np.add.at(weights[row], known, 1.0)
        weights *= self.idf
        lengths = np.linalg.norm(weights, axis=1, keepdims=True)
        reduced: Array = (weights / np.where(lengths == 0, 1, lengths)) @ self.components.T
        return reduced.astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        components = np.round(self.components, 6).tolist()
        words = sorted(self.words, key=self.words.__getitem__)
        return {"columns": self.columns, "words": words, "idf": self.idf.tolist(), "components": components}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> "TextModel":
        words = {word: place for place, word in enumerate(saved["words"])}
        return cls(tuple(saved["columns"]), words, np.array(saved["idf"]), np.array(saved["components"]))


def joined(names: Sequence[str], columns: Columns) -> Array:
    """The texts of one row as one, missing ones left out; [n] objects."""
    rows = zip(*(columns[name] for name in names), strict=True)
    return np.array([" ".join(text for text in row if text is not None) for row in rows], object)


def fit_text(names: Sequence[str], columns: Columns, *, dimension: int, words: int, seed: int) -> TextModel | None:
    """Learn from the texts of a training window; None where they have too few words in common for that.

    The `words` that most texts have are kept, each of them in two texts at least.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = joined(names, columns) if names else np.zeros(0, object)
    counter = TfidfVectorizer(token_pattern=WORD, min_df=2, max_features=words)
    try:
        weights = counter.fit_transform(texts)
    except ValueError:  # no word is in two texts
        return None
    reached = min(dimension, weights.shape[1] - 1)
    if reached < 1:
        return None
    reduction = TruncatedSVD(reached, random_state=seed).fit(weights)
    # Rounded as they are saved, so that a bundle encodes as its training did.
    components = np.round(reduction.components_, 6)
    known = {word: int(place) for word, place in counter.vocabulary_.items()}
    return TextModel(tuple(names), known, counter.idf_, components)

"""Which items a rule is about: by id, or by the value of an attribute that the data set declares."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from pydantic import model_validator

from feature_repo.core.errors import RecommenderError
from feature_repo.features.columns import Columns
from serving.filters.when import RuleModel

Array = np.ndarray[Any, Any]


class RulesRefused(RecommenderError):
    """The rules file breaks a rule of its own, or does not fit the item table."""


class Which(RuleModel):
    """Every condition that is given must hold; at least one is given.

    `values` of a multi-valued attribute match when any of the item's values is among them.
    """

    ids: tuple[str, ...] = ()
    attribute: str | None = None
    values: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _says_which(self) -> "Which":
        if (self.attribute is None) != (not self.values):
            raise ValueError("attribute and values must come together")
        if not self._conditions():
            raise ValueError("a rule must say which items it is about")
        return self

    def _conditions(self) -> bool:
        return bool(self.ids or self.attribute)

    def matches(self, item_ids: Array, columns: Columns) -> Array:
        """Bool [n], for n items with their declared attributes."""
        found = np.ones(len(item_ids), bool)
        if self.ids:
            found &= has_any(item_ids, frozenset(self.ids))
        if self.attribute is not None:
            column = column_of(columns, self.attribute)
            found &= has_any(column, wanted(self.values, column))
        return found


@contextmanager
def named(rule: str) -> Iterator[None]:
    """Say in a refusal which rule it is about."""
    try:
        yield
    except RulesRefused as error:
        raise RulesRefused(f"rule {rule!r}: {error}") from None


def column_of(columns: Columns, attribute: str) -> Array:
    """The column of a declared attribute.

    Raises:
        RulesRefused: the items do not have it.
    """
    if attribute not in columns:
        raise RulesRefused(
            f"a rule may read the attributes {', '.join(sorted(columns)) or '(none)'} of an item; got {attribute!r}"
        )
    return columns[attribute]


def wanted(values: Sequence[str], column: Array) -> frozenset[Any]:
    """The texts `values` as what `column` holds: texts, or numbers."""
    if column.dtype.kind == "O":
        return frozenset(values)
    try:
        return frozenset(float(value) for value in values)
    except ValueError:
        raise RulesRefused(f"the values of an attribute of numbers must be numbers; got {list(values)}") from None


def as_rows(column: Array) -> list[list[Any]]:
    """The cells of each row of a column [n] or [n, w]."""
    found: list[list[Any]] = (column if column.ndim == 2 else column[:, None]).tolist()
    return found


def has_any(column: Array, values: frozenset[Any]) -> Array:
    """Bool [n]: whether a cell of `column` [n], or one of a row's cells [n, w], is among `values`."""
    # Not np.isin: it sorts, and a column of texts with None in it has no order.
    found = np.fromiter((cell in values for cell in column.ravel().tolist()), bool, column.size).reshape(column.shape)
    return found if column.ndim == 1 else np.asarray(found.any(axis=1))

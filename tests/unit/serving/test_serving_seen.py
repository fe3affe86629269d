"""What a user has seen is an exact set: of the last 1,000 items none is shown again, and nothing else is lost."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.store.item_table import ItemTable, item_table
from feature_repo.stream.payload import StreamEvent
from feature_repo.stream.state import UserState, advance, row_of
from feature_repo.transforms.state import SEEN_ITEMS
from serving.filters.filters import Filters
from serving.filters.rules import FilterRules
from serving.graph.deadline import Deadline
from serving.graph.filter import FilterStage
from serving.graph.visit import User, Visit
from training.asked import Asker
from training.slate import Request

NOW = datetime(2024, 5, 1, tzinfo=UTC)
IDS = [f"i{n}" for n in range(30)]
some_ids = st.lists(st.sampled_from([*IDS, "gone", "never there"]), max_size=30)


def left(items: ItemTable, request: Request, user: User, *, repeats: bool) -> set[str]:
    """What the filter and the recommender's own part of it leave of `items`."""
    bundle: Any = SimpleNamespace(repeat_consumption=repeats, retrievers=(), user_features={})
    catalogue: Any = None
    recommender: Any = SimpleNamespace(items=items)
    blocked: Any = SimpleNamespace(ids=frozenset())
    visit = Visit(request, recommender, Deadline.after(1.0), NOW)
    stage = FilterStage(blocked)
    allowed = stage.allowed(visit, user, Filters(FilterRules()), repeats=repeats).copy()
    allowed[Asker(bundle, items, catalogue, segments=False).hidden(request, user.row or {})] = False
    return set(items.item_ids[allowed].tolist())


@given(seen=some_ids, session=some_ids, excluded=some_ids, hidden=some_ids, met=some_ids, repeats=st.booleans())
@settings(max_examples=60, deadline=None)
def test_exactly_what_was_seen_is_left_out(
    seen: list[str], session: list[str], excluded: list[str], hidden: list[str], met: list[str], *, repeats: bool
) -> None:
    request = Request("u", NOW, exclude=frozenset(excluded), session=tuple(session))
    user = User({"seen_items": seen}, hidden=tuple(hidden), met=frozenset(met))

    found = left(item_table(pa.table({"item_id": IDS}), NOW), request, user, repeats=repeats)

    gone = {*excluded, *hidden} if repeats else {*excluded, *hidden, *seen, *session, *met}
    assert found == set(IDS) - gone


@pytest.mark.parametrize("events", [SEEN_ITEMS, SEEN_ITEMS + 3])
def test_a_long_history_takes_bounded_memory_and_only_its_oldest_items_may_come_again(events: int) -> None:
    ids = [f"item {n}" for n in range(events)]
    row = row_of(advance(UserState(), [StreamEvent(i, "u", i, n + 1, True, 0) for n, i in enumerate(ids)]))

    found = left(item_table(pa.table({"item_id": ids}), NOW), Request("u", NOW), User(row), repeats=False)

    assert len(row["seen_items"]) == SEEN_ITEMS
    assert found == set(ids[: events - SEEN_ITEMS])
    assert np.isin(row["seen_items"], ids).all()

"""What exploration learns from what was shown and taken up."""

import numpy as np
from serving_parts import NOW

from serving.events import Event
from serving.graph.explored import Explored


def click(item_id: str, event_type: str = "view", request_id: str | None = "r") -> Event:
    return Event("e", "u", item_id, NOW, event_type, None, request_id, 1, None, {})


def counts(explored: Explored, *item_ids: str) -> list[tuple[float, float]]:
    impressions, clicks = explored.rewards.of(np.array(item_ids, object))
    return list(zip(impressions.tolist(), clicks.tolist(), strict=True))


def test_every_time_an_item_is_shown_is_an_impression_and_every_answer_to_a_slate_a_click() -> None:
    explored = Explored()

    explored.shown(["a", "b"])
    explored.shown(["a"])
    explored.take([click("a")])

    assert counts(explored, "a", "b", "never") == [(2, 1), (1, 0), (0, 0)]


def test_what_rejects_an_item_or_answers_no_slate_is_no_click_and_no_item_has_more_clicks_than_impressions() -> None:
    explored = Explored()
    explored.shown(["a"])

    explored.take([click("a", "dislike"), click("a", request_id=None)])
    assert counts(explored, "a") == [(1, 0)]

    explored.take([click("a"), click("a"), click("unseen")])
    assert counts(explored, "a", "unseen") == [(1, 1), (0, 0)]


def test_the_item_that_was_not_shown_for_longest_is_forgotten_first() -> None:
    explored = Explored(items=2)

    for item in ("a", "b", "a", "c"):
        explored.shown([item])

    assert counts(explored, "a", "b", "c") == [(2, 0), (0, 0), (1, 0)]

import numpy as np
import pytest

from feature_repo.store.id_rows import IdRows
from training.evaluation.held_out_ratings import held_out_rating_errors
from training.evaluation.protocols import asked_of, protocols
from training.evaluation.world import World
from training.replay import Moment

ASKED = [Moment("ann", 10, ("x",)), Moment("bob", 11, ("x", "y")), Moment("ann", 12, ("z", "x"))]
DAY = 86_400_000_000


def world(**changes: object) -> World:
    """Ann met x twice and y once before the window at day 100, bob meets y in it; z is new."""
    about = {
        "users": np.array(["ann", "ann", "ann", "bob", "cat", "ann"], object),
        "items": np.array([0, 0, 1, 1, 1, 2]),
        "moments_us": np.array([1, 2, 3, 101, 60, 102]) * DAY,
        "event_types": np.array(["rating"] * 6, object),
        "values": np.array([5.0, 5.0, 1.0, 3.0, 1.0, 3.0]),
        "start_us": 100 * DAY,
        "catalogue": 3,
    }
    return World(**{**about, **changes})  # type: ignore[arg-type]


def test_replay_asks_every_moment_and_the_split_every_user_once_at_its_start() -> None:
    replay, split = protocols(ASKED, 10)

    assert replay.asked == ASKED
    assert [(m.user_id, m.moment_us, m.items) for m in split.asked] == [
        ("ann", 10, ("x", "z")),
        ("bob", 10, ("x", "y")),
    ]


def test_what_is_relevant_is_a_row_of_the_catalogue_and_users_are_numbered() -> None:
    found = asked_of(ASKED, IdRows(["x", "y", "z"]), np.random.default_rng(0))

    assert found.relevant.toarray().tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
    assert found.user.tolist() == [0, 1, 0]


def test_items_count_by_the_events_before_the_window_and_are_new_for_thirty_days() -> None:
    assert world().known_items(None).events.tolist() == [2, 2, 0]
    assert world().new_items().tolist() == [False, False, True]
    assert world(moments_us=np.array([1, 2, 71, 101, 72, 102]) * DAY).new_items().tolist() == [False, True, True]


def test_users_are_new_light_or_heavy_by_what_they_did_before_each_request() -> None:
    asked = [Moment("dan", 100 * DAY, ("x",)), Moment("ann", 2 * DAY, ("x",)), Moment("ann", 103 * DAY, ("x",))]

    assert world().user_segments(asked).tolist() == ["new", "light", "heavy"]


def test_the_rating_baseline_learns_before_the_window_and_is_measured_in_it() -> None:
    found = held_out_rating_errors(world(), seed=0)

    assert set(found) == {"mean", "biases", "svd"}
    assert found["mean"].mae.value == pytest.approx(
        0.0
    )  # the mean before the window is 3, and so are both ratings in it


@pytest.mark.parametrize(
    "changes", [{"event_types": np.array(["view"] * 6, object)}, {"values": np.full(6, np.nan)}, {"start_us": 0}]
)
def test_without_ratings_there_are_no_rating_errors(changes: dict[str, object]) -> None:
    assert held_out_rating_errors(world(**changes), seed=0) == {}

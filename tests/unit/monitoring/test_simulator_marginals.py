"""The shapes of a log: measured right where they are known, and apart only where they differ."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from feature_repo.core.errors import NotMeasurable
from monitoring.simulator.like import fitted_to, sized_like
from monitoring.simulator.log import simulate
from monitoring.simulator.make import make_world
from monitoring.simulator.marginals import distances, marginals
from monitoring.simulator.settings import SimulatorSettings

START = datetime(2026, 3, 2, 22, tzinfo=UTC)


def log_of(*events: tuple[str, str, float]) -> pa.Table:
    """Events of user, item and seconds after 22:00."""
    users, items, seconds = zip(*events, strict=True)
    moments = [START + timedelta(seconds=second) for second in seconds]
    return pa.table(
        {
            "user_id": users,
            "item_id": items,
            "timestamp": pa.array(moments, pa.timestamp("us", "UTC")),
            "event_type": ["view"] * len(users),
        }
    )


BY_HAND = log_of(
    ("u", "a", 0), ("u", "b", 60), ("u", "a", 90), ("v", "a", 90), ("u", "a", 90), ("u", "c", 7_290), ("v", "a", 7_200)
)


def test_shapes_of_a_log_counted_by_hand() -> None:
    found = marginals(BY_HAND)

    assert (found.events, found.users, found.items) == (7, 2, 3)
    assert found.days == pytest.approx(7_290 / 86_400)
    assert found.per_user.tolist() == [2, 5]
    assert found.per_item.tolist() == [5, 1, 1]
    assert found.gaps.tolist() == [30, 60, 7_110, 7_200]
    assert found.visit_lengths.tolist() == [1, 1, 1, 4]
    assert found.hours.tolist() == [2 / 7 if hour == 0 else 5 / 7 if hour == 22 else 0 for hour in range(24)]
    assert found.repeat_share == pytest.approx(1 - 4 / 7)


def test_the_catalogue_grows_with_the_first_event_of_each_item() -> None:
    growth = marginals(log_of(("u", "a", 0), ("u", "b", 1), ("u", "a", 2), ("u", "a", 3))).growth

    assert growth[1] == 0.5
    assert growth[50] == 1.0


def test_equal_items_have_no_inequality_and_one_item_for_all_the_most() -> None:
    equal = marginals(log_of(*((f"u{n}", f"i{n % 4}", n) for n in range(40))))
    uneven = marginals(log_of(*((f"u{n}", f"i{max(n - 960, 0)}", n) for n in range(1_000))))

    assert equal.gini == pytest.approx(0.0, abs=0.01)
    assert uneven.gini > 0.9


def test_a_log_is_at_no_distance_from_itself() -> None:
    assert set(distances(marginals(BY_HAND), marginals(BY_HAND)).values()) == {0.0}


def test_logs_with_nothing_in_common_are_as_far_apart_as_can_be() -> None:
    slow = marginals(log_of(("u", "a", 0), ("u", "b", 50_000), ("u", "c", 120_000)))
    fast = marginals(log_of(("u", "a", 3_600 * 5), ("u", "a", 3_600 * 5 + 1), ("u", "a", 3_600 * 5 + 2)))

    found = distances(slow, fast)

    assert found["time between events"] == 1
    assert found["hour of the day"] == pytest.approx(1)
    assert found["events per visit"] == 1
    assert found["repeat share"] == pytest.approx(2 / 3)


def test_a_log_without_gaps_is_as_far_as_can_be_from_one_with_them() -> None:
    without = marginals(log_of(("u", "a", 0), ("v", "a", 5)))

    assert distances(without, marginals(BY_HAND))["time between events"] == 1


def test_one_event_has_no_shape() -> None:
    with pytest.raises(NotMeasurable, match="at least 2 events; got 1"):
        marginals(log_of(("u", "a", 0)))


def test_a_world_sized_like_a_log_keeps_its_proportions_above_the_limit() -> None:
    real = marginals(log_of(*((f"u{n % 100}", f"i{n % 500}", n) for n in range(5_000))))

    small = sized_like(real, most_events=2_500)

    assert (small.events, small.users, small.items) == (2_500, 50, 250)


def test_fitting_brings_a_world_nearer_to_another_worlds_log() -> None:
    settings = SimulatorSettings(
        events=8_000, users=160, items=450, steps=14.0, gap_seconds=120.0, popularity_exponent=0.2, new_users=0.8
    )
    other = marginals(simulate(make_world(settings, seed=3), seed=3).events)

    sized, fitted = sized_like(other, most_events=8_000), fitted_to(other, most_events=8_000, seed=1)

    far, near = (
        distances(other, marginals(simulate(make_world(chosen, seed=1), seed=1).events)) for chosen in (sized, fitted)
    )
    assert near["events per visit"] < 0.5 * far["events per visit"]
    assert near["time between events"] < far["time between events"]
    assert near["popularity of items"] < far["popularity of items"]
    assert np.mean(list(near.values())) < 0.7 * np.mean(list(far.values()))

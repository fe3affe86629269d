import json

import numpy as np
from tiny_log import DAY, at

from feature_repo.features.columns import Columns
from feature_repo.features.plan import FeaturePlan
from feature_repo.features.user import user_features_at
from training.segments import Segments, fit_segments


def users(counts: list[int]) -> Columns:
    """Features of users who came yesterday, so many times."""
    rows = len(counts)
    state = {
        "user_event_count": np.array(counts, float),
        "user_first_event": np.full(rows, float(at(-30))),
        "user_last_event": np.full(rows, float(at(-1))),
        "user_days": np.full((rows, 1), at(-1) // DAY),
        "user_counts": np.array(counts)[:, None],
        "history_times": np.full((rows, 1), at(-1)),
    }
    return user_features_at(FeaturePlan(), state, np.full(rows, at(0)))


COUNTS = [1, 2, 1, 2, 500, 600, 550, 480]


def test_users_who_do_alike_share_a_segment() -> None:
    fitted = fit_segments(users(COUNTS), segments=2, seed=1)

    light, heavy = np.split(fitted.assign(users(COUNTS)), 2)
    assert len(set(light)) == len(set(heavy)) == 1
    assert light[0] != heavy[0]


def test_a_user_without_a_past_has_a_segment_too() -> None:
    fitted = fit_segments(users(COUNTS), segments=2, seed=1)
    nobody = {name: np.full(1, np.nan) for name in users([1])}

    assert fitted.assign(nobody)[0] in (0, 1)


def test_users_who_are_all_alike_make_one_segment() -> None:
    fitted = fit_segments(users([3, 3, 3]), segments=4, seed=1)

    assert len(fitted) == 1
    assert np.isfinite(fitted.centroids).all()


def test_segments_survive_json() -> None:
    fitted = fit_segments(users(COUNTS), segments=3, seed=1)

    again = Segments.from_json(json.loads(json.dumps(fitted.to_json())))

    assert (again.assign(users(COUNTS)) == fitted.assign(users(COUNTS))).all()

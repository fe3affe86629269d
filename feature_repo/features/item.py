"""All features of items at the moments of their requests, by the plan of the data set."""

from typing import Any

import numpy as np

from feature_repo.features.columns import Columns
from feature_repo.features.plan import FeaturePlan
from feature_repo.features.request import state_at, state_features
from feature_repo.features.worth import VALUE_FEATURES, conversion_features, conversion_of, value_of
from feature_repo.transforms.state import REACH_WINDOWS

Array = np.ndarray[Any, Any]

REACH_FEATURES = tuple(f"item_users_{days}d" for days in REACH_WINDOWS)


def item_features(plan: FeaturePlan) -> tuple[str, ...]:
    """Names of the features that `item_features_at` gives, in its order."""
    value = VALUE_FEATURES if plan.valued else ()
    return (*state_features("item"), *REACH_FEATURES, *value, *conversion_features(len(plan.steps)))


def item_features_at(plan: FeaturePlan, items: Columns, moments_us: Array) -> Columns:
    """Float32 [n] each, of n raw item rows at n moments. An item that nobody met has reached nobody."""
    reach = {name: np.nan_to_num(items[name]).astype(np.float32) for name in REACH_FEATURES}
    value = value_of(items) if plan.valued else {}
    rates = conversion_of(items, len(plan.steps)) if plan.steps else {}
    return {**state_at("item", items, moments_us), **reach, **value, **rates}

"""All features of users at the moments of their requests, by the plan of the data set."""

from typing import Any

import numpy as np

from feature_repo.features.columns import Columns
from feature_repo.features.plan import FeaturePlan
from feature_repo.features.request import AMOUNT_FEATURES, amounts_at, state_at, state_features
from feature_repo.features.rhythm import RHYTHM_FEATURES, rhythm_at

Array = np.ndarray[Any, Any]


def user_features(plan: FeaturePlan) -> tuple[str, ...]:
    """Names of the features that `user_features_at` gives, in its order."""
    return (*state_features("user"), *RHYTHM_FEATURES, *(AMOUNT_FEATURES if plan.valued else ()))


def user_features_at(plan: FeaturePlan, users: Columns, moments_us: Array) -> Columns:
    """Float32 [r] each, of r raw user rows at r moments."""
    amounts = amounts_at(users, moments_us) if plan.valued else {}
    return {**state_at("user", users, moments_us), **rhythm_at(users["history_times"], moments_us), **amounts}

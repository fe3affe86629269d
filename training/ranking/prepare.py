"""From candidates to what the trees see: checked, one gain each, groups that say something, in the order needed."""

from collections.abc import Sequence

import numpy as np

from training.ranking.distillation import mixed
from training.ranking.objectives import weighted_gains
from training.ranking.position_bias import in_shown_order
from training.ranking.query_groups import Dropped, QueryGroups, checked, informative
from training.ranking.relevance import check_grades
from training.settings import RankerSettings


def for_training(
    rows: QueryGroups, feature_names: Sequence[str], settings: RankerSettings
) -> tuple[QueryGroups, Dropped]:
    """Rows to learn from. May be empty: that the whole training set is, only the caller knows.

    Raises:
        DatasetError: the rows break a rule, or lack positions or champion's scores that the settings ask for.
    """
    kept, dropped = for_validation(rows, feature_names, settings)
    if len(kept) and settings.position_bias:
        kept = in_shown_order(kept)
    if len(kept) and settings.distillation:
        kept = mixed(kept, share=settings.distillation, depth=settings.distillation_depth)
    if settings.objective == "binary:logistic":
        kept = kept.with_gains(np.minimum(kept.relevance, 1.0))
    return kept, dropped


def for_validation(
    rows: QueryGroups, feature_names: Sequence[str], settings: RankerSettings
) -> tuple[QueryGroups, Dropped]:
    """Rows to measure on: the gains alone, without the champion's part."""
    rows = checked(rows, feature_names)
    kept, dropped = informative(rows.with_gains(weighted_gains(rows.relevance, settings.objectives)))
    if settings.exponential_gain:
        check_grades(kept.relevance)
    return kept, dropped

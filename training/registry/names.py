"""The names that the registry's parts agree on."""

from feature_repo.core.errors import RecommenderError

MODEL = "recommender"
CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
BUNDLE = "bundle"

# Tags of the registered model. A tag is written by one call, so it says one thing or the other and never half.
FENCE_TAG = "fence"  # the number of the newest holder of the lock
MOVE_TAG = "move"  # the newest move of aliases, in whatever phase it is
LAST_MOVE_TAG = "last_move"  # the newest move that was carried out


class MoveRefused(RecommenderError):
    """No alias was moved: somebody else moves, or moved, or what was to be moved is no longer what it was."""

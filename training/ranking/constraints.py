"""What the trees may not do: turn a feature's effect around, or combine features that must act alone."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from feature_repo.core.errors import SettingsRefused
from training.settings import RankerSettings

# XGBoost refuses these three characters in a feature's name.
_PLAIN = str.maketrans("[]<", "()_")


def plain(name: str) -> str:
    """A feature's name as XGBoost takes it."""
    return name.translate(_PLAIN)


def constraints(settings: RankerSettings, feature_names: Sequence[str]) -> dict[str, Any]:
    """XGBoost's `monotone_constraints` and `interaction_constraints`, by name; empty where nothing is constrained.

    Raises:
        SettingsRefused: a feature is not known, or is to rise and fall at once.
    """
    both = set(settings.increasing) & set(settings.decreasing)
    if both:
        raise SettingsRefused(f"a score rises or falls with a feature, not both; got {', '.join(sorted(both))} twice")
    _known(settings.increasing, "increasing", feature_names)
    _known(settings.decreasing, "decreasing", feature_names)
    for together in settings.interactions:
        _known(together, "interactions", feature_names)
    found: dict[str, Any] = {}
    if settings.increasing or settings.decreasing:
        signs = [(settings.increasing, 1), (settings.decreasing, -1)]
        found["monotone_constraints"] = {plain(name): sign for names, sign in signs for name in names}
    if settings.interactions:
        found["interaction_constraints"] = [[plain(name) for name in names] for names in settings.interactions]
    return found


def _known(names: Iterable[str], setting: str, feature_names: Sequence[str]) -> None:
    for name in names:
        if name not in feature_names:
            close = get_close_matches(name, feature_names, n=3)
            near = f"close to it: {', '.join(close)}" if close else f"there are {len(feature_names)} features"
            raise SettingsRefused(f"ranker.{setting} names features of the ranker; {name!r} is none; {near}")

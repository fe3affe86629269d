"""Who takes part in an experiment, and in which variant: from the hash alone, or balanced within known strata."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from feature_repo.core.assignment import bucket_of
from feature_repo.core.errors import SettingsRefused
from monitoring.experiments.declaration import Experiment

Array = np.ndarray[Any, Any]

FINE = 10_000  # variants are cut to a hundredth of a percent
FINEST = 2**53  # buckets for an order, or for a number between 0 and 1


def variant_of(user_id: str, experiment: Experiment, *, key: bytes) -> str | None:
    """The variant of one user; None for who does not take part.

    The layer's bucket says who takes part and another hash, of layer and name, who gets what: so the people of a
    variant that failed are not together again in the next experiment of the layer.
    """
    first, last = experiment.traffic
    if not first <= bucket_of(user_id, layer=experiment.layer, key=key) < last:
        return None
    place = bucket_of(user_id, layer=_own_layer(experiment), key=key, buckets=FINE)
    return _variants_at(experiment, np.array([place]))[0]


def read_strata(path: Path) -> dict[str, str]:
    """User -> stratum from a CSV file.

    Raises:
        SettingsRefused: it cannot be read, lacks a column, or names a user twice.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsRefused(f"strata are a CSV file in UTF-8; {path.name} cannot be read: {error}") from None
    if not rows or not {"user_id", "stratum"} <= rows[0].keys():
        raise SettingsRefused(f"strata have the columns user_id and stratum; got {list(rows[0]) if rows else 'no row'}")
    found = {row["user_id"]: row["stratum"] for row in rows}
    if len(found) < len(rows):
        raise SettingsRefused(f"strata name each user once; {len(rows) - len(found)} rows name one again")
    return found


def stratified(strata: Mapping[str, str], experiment: Experiment, *, key: bytes) -> dict[str, str]:
    """The variant of each user of a list that is known beforehand; user -> stratum gives user -> variant.

    Within a stratum users stand in the order of their hashes, which is a shuffle that can be repeated, and are cut by
    the shares: so every stratum has its variants in their shares, to within one user.
    """
    members: dict[str, list[str]] = {}
    for user, stratum in strata.items():
        members.setdefault(stratum, []).append(user)
    return {
        user: variant
        for stratum, users in members.items()
        for user, variant in _cut(stratum, users, experiment, key).items()
    }


def _cut(stratum: str, users: Sequence[str], experiment: Experiment, key: bytes) -> dict[str, str]:
    layer = _own_layer(experiment)
    ordered = sorted(users, key=lambda user: (bucket_of(user, layer=layer, key=key, buckets=FINEST), user))
    # Drawn for each stratum, so that who is alone in one has each variant with its share, too.
    start = bucket_of(stratum, layer=f"{layer}/stratum", key=key, buckets=FINEST) / FINEST
    places = (np.arange(len(ordered)) + start) / len(ordered) * FINE
    return dict(zip(ordered, _variants_at(experiment, places), strict=True))


def _variants_at(experiment: Experiment, places: Array) -> list[str]:
    """The variants that own these places, from 0 and below FINE."""
    names = list(experiment.variants)
    limits = np.round(np.cumsum(list(experiment.variants.values()))[:-1] * FINE)
    return [names[at] for at in np.searchsorted(limits, places, side="right").tolist()]


def _own_layer(experiment: Experiment) -> str:
    return f"{experiment.layer}/{experiment.name}"

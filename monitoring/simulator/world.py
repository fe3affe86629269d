"""A world with a known truth: people with latent tastes, items with attributes, and what binds them.

The click model is the position-based one (Craswell et al., WSDM 2008): a place is looked at, or not, and an item that
is looked at attracts a person, or not. `truth.py` gives its probabilities; here are its parameters.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from monitoring.simulator.settings import SimulatorSettings
from monitoring.simulator.shift import Kind, Shift

Array = np.ndarray[Any, Any]

CITIES = ("Basel", "Bruges", "Cork", "Graz", "Lyon", "Porto", "Turin", "Uppsala")


@dataclass(frozen=True, eq=False)
class People:
    """u users. `age` is standardised, and so are tastes; `activity` is sessions a day, relative."""

    taste: Array  # float32 [u, d]
    age: Array  # [u]
    thrift: Array  # [u], how much a high price repels
    activity: Array  # [u]
    city: Array  # int [u], into CITIES
    birth: Array  # [u], day of the first visit

    def __len__(self) -> int:
        return len(self.age)


@dataclass(frozen=True, eq=False)
class Catalogue:
    """i items. Rows of `traits` have length 1, so a taste times traits has standard deviation 1 over people."""

    traits: Array  # float32 [i, d]
    category: Array  # int [i]
    brand: Array  # int [i]
    price: Array  # [i]
    dearness: Array  # [i], the standardised log of the price
    quality: Array  # [i], standardised
    period: Array  # [i], days of a swing
    phase: Array  # [i], radians
    birth: Array  # [i], day from which it is there

    def __len__(self) -> int:
        return len(self.price)


@dataclass(frozen=True, eq=False)
class World:
    settings: SimulatorSettings
    seed: int
    people: People
    items: Catalogue
    taste_move: Array  # float32 [d], each 1 or -1: the direction of a taste shift
    appeal_move: Array  # [i], standard normal: the direction of a popularity shift
    intercept: float  # logit of attraction where all else is 0

    def shifts(self, kind: Kind) -> tuple[Shift, ...]:
        return tuple(shift for shift in self.settings.shifts if shift.kind is kind)

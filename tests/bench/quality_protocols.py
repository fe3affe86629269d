"""The random protocols as data: what is scored, by which models, against which floor and goal."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bench.quality_data import LCFN, MOVIELENS, Part, data_folder, lcfn, movielens
from feature_repo.core.workspace import Workspace
from training.static.chosen import MOVIELENS_1M, MOVIELENS_100K
from training.static.settings import Member, StaticSettings

SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class Aim:
    """A metric at k: the goal on the test, EASE's own figure there, and those of a two-tower alone, where stated.

    Validation has other levels, so there a goal is what it asks for relative to EASE.
    """

    metric: str
    goal: float
    ease: float
    tower_floor: float | None = None
    tower_goal: float | None = None


@dataclass(frozen=True)
class Protocol:
    """`above`: the floor is to be above EASE in every aim, with an interval without zero in the first one; else the
    floor is not to be below it. `beside` are models that are scored, but no part of the two stages."""

    name: str
    k: int
    aims: tuple[Aim, ...]
    above: bool
    settings: StaticSettings
    beside: tuple[Member, ...]
    most_seconds: float | None = None

    def part(self, workspace: Workspace, split: str) -> Part:
        return lcfn(data_folder(), split) if self.name == LCFN else movielens(workspace, split)


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        LCFN: Protocol(
            LCFN,
            20,
            (Aim("recall", 0.290, 0.2759, 0.270, 0.2787), Aim("ndcg", 0.280, 0.2674, 0.250, 0.2642)),
            above=True,
            settings=MOVIELENS_1M,
            beside=(Member(retriever="bpr"),),
            most_seconds=600,
        ),
        MOVIELENS: Protocol(
            MOVIELENS,
            10,
            (Aim("ndcg", 0.510, 0.490),),
            above=False,
            settings=MOVIELENS_100K,
            beside=(Member(retriever="bpr"), Member(retriever="content"), Member(retriever="two-tower")),
        ),
    }
)

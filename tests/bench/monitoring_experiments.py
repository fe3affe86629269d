"""Experiments whose right answer is known: A/B tests, off-policy estimates, interleaving. All figures are simulated.

The A/B and off-policy worlds are small and closed, so that their truth is a sum; interleaving runs in the simulator's.
"""

from bench.monitoring_experiments_ab import ab_rows
from bench.monitoring_experiments_interleaving import interleaving_rows
from bench.monitoring_experiments_offpolicy import offpolicy_rows
from bench.rows import Row
from feature_repo.core.workspace import Workspace


def rows(workspace: Workspace) -> list[Row]:  # noqa: ARG001  (every benchmark is asked with one; this one needs none)
    return [*ab_rows(), *interleaving_rows(), *offpolicy_rows()]

"""The privacy budget on disk: what was spent on differentially private releases, and how much may be.

Releases about the same people add up (sequential composition, Dwork and Roth 2014, theorem 3.16): the sum of their
epsilons bounds what all of them together say about one person. So each is written down before its noise is drawn, and
refused where the sum would go over. A release that is killed after that has spent its share all the same. The promise
holds for every span of `days`: what is older has left the sum, not what people may have kept.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from filelock import FileLock

from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import Workspace
from monitoring.privacy.audit import append_line, read_lines


class BudgetSpent(RecommenderError):
    """A release would tell more about people than was allowed."""


@dataclass(frozen=True)
class Budget:
    """At most `epsilon` in any `days`."""

    path: Path
    epsilon: float
    days: float

    def spent(self, now: datetime) -> float:
        """What the releases of the last `days` come to."""
        since = now - timedelta(days=self.days)
        lines = read_lines(self.path)
        return sum(float(line["epsilon"]) for line in lines if datetime.fromisoformat(line["at"]) > since)

    def spend(self, epsilon: float, *, what: str, now: datetime) -> float:
        """Take `epsilon` for one release, on disk before this returns; returns what is left.

        Raises:
            BudgetSpent: so much is not left.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_suffix(".lock")):
            before = self.spent(now)
            if before + epsilon > self.epsilon + 1e-9:
                raise BudgetSpent(
                    f"a release may not bring the last {self.days:g} days above epsilon {self.epsilon:g}; "
                    f"{before:g} are spent and {epsilon:g} are asked for"
                )
            append_line(self.path, at=now, epsilon=epsilon, what=what)
        return self.epsilon - before - epsilon


def budget_of(workspace: Workspace, *, epsilon: float, days: float) -> Budget:
    return Budget(workspace.store / "audit" / "privacy_budget.jsonl", epsilon, days)

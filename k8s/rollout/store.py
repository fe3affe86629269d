"""The port to wherever a rollout's state is kept: compare-and-set, so that two controllers cannot both move it."""

from collections.abc import Callable
from typing import Protocol

from feature_repo.core.errors import RecommenderError
from k8s.rollout.rollout import Rollout

# Times that an order is tried again when a controller saves between its load and its save.
TRIES = 20


class StaleState(RecommenderError):
    """The state was saved by somebody else since it was loaded. Load it again; nothing is lost."""


class StateStore(Protocol):
    """Keeps one rollout. A version is opaque; None stands for "there is none yet"."""

    def load(self) -> tuple[Rollout, str] | None:
        """The rollout and its version; None when there is none."""

    def save(self, rollout: Rollout, version: str | None) -> str:
        """Keep the rollout if the stored version is still this one; the new version comes back.

        Raises:
            StaleState: it is not.
        """


class NoRollout(RecommenderError):
    """An order was given, and there is no rollout."""


def change(store: StateStore, move: Callable[[Rollout], Rollout]) -> Rollout:
    """Load, move, save; again from the start when somebody else saved in between.

    Raises:
        NoRollout: there is none.
        StaleState: somebody else was faster every time.
    """
    for attempt in range(TRIES):
        held = store.load()
        if held is None:
            raise NoRollout("expected a rollout; there is none")
        rollout, version = held
        moved = move(rollout)
        try:
            store.save(moved, version)
        except StaleState:
            if attempt == TRIES - 1:
                raise
        else:
            return moved
    raise AssertionError("unreachable")

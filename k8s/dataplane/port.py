"""The port between a rollout and whatever splits its traffic."""

from typing import Protocol

from k8s.rollout.split import Split


class DataPlane(Protocol):
    """Splits requests between a stable and a canary."""

    def apply(self, split: Split) -> None:
        """Make this the split; return when it is live. Safe to repeat."""

    def close(self) -> None:
        """Stop splitting and free what was held. Safe to repeat."""

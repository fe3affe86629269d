"""The port between a rollout and whatever splits its traffic."""

from typing import Protocol


class DataPlane(Protocol):
    """Splits requests between a stable and a canary."""

    def set_weight(self, percent: int) -> None:
        """Give the canary this share of requests; return when the change is live. Safe to repeat."""

    def close(self) -> None:
        """Stop splitting and free what was held. Safe to repeat."""

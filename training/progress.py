"""What a training run tells while it works."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Stage and total, one more done, and metrics by step."""

    stage: Callable[[str, int], None]
    advance: Callable[[], None]
    metric: Callable[[str, float, int], None]

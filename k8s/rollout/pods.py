"""The port to the pods of the two variants: are they there, which version do they serve, where are their metrics."""

from dataclasses import dataclass
from typing import Literal, Protocol

Variant = Literal["stable", "canary"]
VARIANTS: tuple[Variant, ...] = ("stable", "canary")


@dataclass(frozen=True)
class PodsSeen:
    """The pods of one variant at one moment."""

    ready: int  # pods that answer /readyz with 200
    wanted: int  # pods that there should be
    versions: tuple[str, ...]  # of the model, as the ready pods' own /readyz says; each once, sorted
    metrics_urls: tuple[str, ...]  # addresses of the pods themselves, never of what stands before them
    said: str = ""  # what they or the cluster say of those that are not ready


class Pods(Protocol):
    """Whoever knows the pods."""

    def seen(self, variant: Variant) -> PodsSeen:
        """The pods of a variant now. Pods that cannot be asked are not ready, and `said` says why."""

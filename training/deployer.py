"""The port through which a move of aliases changes what is served; k8s holds its adapters."""

from typing import Protocol

from feature_repo.core.errors import RecommenderError


class DeployFailed(RecommenderError):
    """A version did not come up where it was to be served; the sentence says what was seen instead."""


class Fenced(RecommenderError):
    """A mover that lost its lock came too late: a later one has moved since."""


class Deployer(Protocol):
    """What serves the stable side. It knows numbers of versions, never an alias."""

    def deploy(self, version: str, *, fence: int) -> None:
        """Serve `version`; returns once every stable process answers /readyz with it. Safe to repeat.

        `fence` is the number of the mover's lock, which rises with every mover. The adapter keeps the highest that it
        was given beside the version, and refuses a lower one: so a mover that was thought dead changes nothing.

        Raises:
            DeployFailed: the version is not ready in time.
            Fenced: a later mover has deployed since.
        """

    def serving(self) -> str | None:
        """The version that the stable side's /readyz reports; None while nothing answers, or processes disagree."""

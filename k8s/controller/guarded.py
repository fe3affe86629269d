"""Ports that ask for the Lease before they write, so that a controller that lost it changes nothing more.

A tick may outlast the Lease: it reads pods, and waits for gateways. What it does after that is checked here, at the
last moment; what is on its way just then meets the resourceVersion of what the next holder wrote.
"""

from k8s.cluster.lease import Lease
from k8s.dataplane.port import DataPlane
from k8s.rollout.rollout import Rollout
from k8s.rollout.split import Split
from k8s.rollout.store import StateStore


class GuardedPlane:
    """A data plane that only the holder of the Lease changes."""

    def __init__(self, plane: DataPlane, lease: Lease) -> None:
        self._plane = plane
        self._lease = lease

    def apply(self, split: Split) -> None:
        self._lease.check()
        self._plane.apply(split)

    def close(self) -> None:
        self._plane.close()


class GuardedStore:
    """A state store that only the holder of the Lease saves to. Operators write to the store itself."""

    def __init__(self, store: StateStore, lease: Lease) -> None:
        self._store = store
        self._lease = lease

    def load(self) -> tuple[Rollout, str] | None:
        return self._store.load()

    def save(self, rollout: Rollout, version: str | None) -> str:
        self._lease.check()
        return self._store.save(rollout, version)

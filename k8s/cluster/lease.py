"""Leadership by a Lease: of two controllers one acts.

A holder renews by writing the Lease with the resourceVersion that it read, so two writers never both succeed. A Lease
is free once its content has not changed for `lease_seconds` on the looker's own clock: clocks of two machines are never
compared (as in client-go's leader election). A holder that could not renew for two thirds of that time acts no more.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from k8s.cluster.api import Api
from k8s.cluster.errors import Absent, ClusterError, ClusterUnavailable, Conflict

RENEW_SHARE, LOST_SHARE = 1 / 3, 2 / 3


class LeaseLost(ClusterError):
    """Another controller may act now, so this one must not."""


class Lease:
    """One contender for a Lease. `identity` is unique among them: a pod's name."""

    def __init__(self, api: Api, *, identity: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._identity = identity
        self._clock = clock
        self._seen: tuple[Any, float] = (None, 0.0)
        self._renewed: float | None = None
        self.fence = 0  # rises with every new holder

    def hold(self) -> bool:
        """Take the Lease if it is free, renew it if it is ours and due; whether it is ours now.

        Raises:
            ClusterError: the API server is away and the Lease may have passed to somebody else, or it refuses.
        """
        if self._renewed is not None and self._clock() - self._renewed < self._seconds * RENEW_SHARE:
            return True
        try:
            return self._contend()
        except Conflict:
            self._renewed = None
            return False
        except ClusterUnavailable:
            if self._renewed is not None and self._clock() - self._renewed < self._seconds * LOST_SHARE:
                return True
            self._renewed = None
            raise

    def check(self) -> None:
        """Asked before every write.

        Raises:
            LeaseLost: the Lease is not ours any more.
        """
        if not self.hold():
            raise LeaseLost(f"only the holder of the Lease {self._api.settings.lease} acts; another one holds it")

    def release(self) -> None:
        """Let the next one in at once."""
        if self._renewed is None:
            return
        self._renewed = None
        found = self._read()
        if found.spec is not None and found.spec.holder_identity == self._identity:
            self._write(found, holder="")

    def rise_above(self, fence: int) -> None:
        """Count on from a higher number: a Lease that was deleted and made again has forgotten how far it had counted.

        Raises:
            LeaseLost: the Lease is not ours, so whoever wrote that number may be right.
        """
        found = self._read()
        if found.spec is None or found.spec.holder_identity != self._identity:
            raise LeaseLost(f"only the holder of the Lease {self._api.settings.lease} counts on; another one holds it")
        found.spec.lease_transitions = max(found.spec.lease_transitions or 0, fence + 1)
        self.fence = self._write(found, holder=self._identity)

    @property
    def _seconds(self) -> float:
        return self._api.settings.lease_seconds

    def _contend(self) -> bool:
        began = self._clock()
        found = self._read()
        holder = found.spec and found.spec.holder_identity
        if holder and holder != self._identity and not self._is_free(found):
            self._renewed = None
            return False
        self.fence = self._write(found, holder=self._identity)
        # From before the write: from then on nobody else can think the Lease older than we do.
        self._renewed = began
        return True

    def _is_free(self, found: Any) -> bool:
        version = found.metadata.resource_version
        if self._seen[0] != version:
            self._seen = (version, self._clock())
        return self._clock() - self._seen[1] >= self._seconds

    def _read(self) -> Any:
        where = (self._api.settings.lease, self._api.settings.namespace)
        try:
            return self._api.call(self._api.coordination.read_namespaced_lease, *where)
        except Absent:
            raise ClusterError(f"leadership needs the Lease {where[0]} of the manifests; there is none") from None

    def _write(self, found: Any, *, holder: str) -> int:
        from kubernetes.client import V1LeaseSpec

        spec = found.spec or V1LeaseSpec()
        now = datetime.now(UTC)
        if spec.holder_identity != holder:
            spec.acquire_time = now
            spec.lease_transitions = (spec.lease_transitions or 0) + (1 if holder else 0)
        spec.holder_identity, spec.renew_time = holder, now
        spec.lease_duration_seconds = max(1, int(self._seconds))
        found.spec = spec
        where = (self._api.settings.lease, self._api.settings.namespace)
        self._api.call(self._api.coordination.replace_namespaced_lease, *where, found)
        return int(spec.lease_transitions or 0)

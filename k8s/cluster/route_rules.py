"""A split as rules of an HTTPRoute, pure.

Values are matched exactly, one by one: a regular expression is each implementation's own, and a range cannot be said.
So a canary's range of w buckets is w matches, and the other buckets 100 - w, which is within the 64 matches a rule and
128 a route that Gateway API allows. Every default is written out: the API server would fill it in, and the route could
not be compared with what was meant.
"""

from typing import Any

from feature_repo.core.assignment import BUCKETS
from k8s.cluster.settings import ClusterSettings
from k8s.rollout.split import Split

Rule = dict[str, Any]

HEADER = "X-Recommender-Bucket"
MOST_MATCHES = 64
ANYWHERE = {"path": {"type": "PathPrefix", "value": "/"}}
# Any method: matching by one is not every implementation's, and the service answers no other there.
RECOMMEND = {"path": {"type": "Exact", "value": "/recommend"}}


def rules_of(split: Split, settings: ClusterSettings) -> list[Rule]:
    """Rules whose order says nothing: Gateway API prefers the longer path, then the method, then more headers."""
    stable, canary = (_backend(name, settings) for name in (settings.stable, settings.canary))
    weights = [{**stable, "weight": 100 - split.weight}, {**canary, "weight": split.weight}]
    everybody = {"matches": [ANYWHERE], "backendRefs": weights}
    if split.shadow:
        mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": canary}}
        return [{"matches": [RECOMMEND], "filters": [mirror], "backendRefs": weights}, everybody]
    if split.weight in (0, 100):
        return [everybody]
    theirs = split.buckets()
    others = [bucket for bucket in range(BUCKETS) if bucket not in theirs]
    return [*_sticky(theirs, canary), *_sticky(others, stable), everybody]


def _sticky(buckets: tuple[int, ...] | list[int], backend: Rule) -> list[Rule]:
    """All requests of these buckets to one side."""
    matches = [
        {**ANYWHERE, "headers": [{"type": "Exact", "name": HEADER, "value": str(bucket)}]} for bucket in sorted(buckets)
    ]
    chunks = [matches[first : first + MOST_MATCHES] for first in range(0, len(matches), MOST_MATCHES)]
    return [{"matches": chunk, "backendRefs": [{**backend, "weight": 1}]} for chunk in chunks]


def _backend(name: str, settings: ClusterSettings) -> Rule:
    return {"group": "", "kind": "Service", "name": name, "port": settings.service_port}

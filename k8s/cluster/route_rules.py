"""A split as rules of an HTTPRoute, pure.

Values are matched exactly, one by one: a regular expression is each implementation's own, and a range cannot be said.
So a canary's range of w buckets is w matches, and the other buckets 100 - w, which is within the 64 matches a rule and
128 a route that Gateway API allows. Every default is written out: the API server would fill it in, and the route could
not be compared with what was meant.
"""

from typing import Any

from feature_repo.core.assignment import BUCKETS
from k8s.cluster.settings import ClusterSettings
from k8s.rollout.pods import Variant
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


def moved(before: list[Rule], after: list[Rule], settings: ClusterSettings) -> tuple[int, Variant] | None:
    """A bucket that the change takes from one side to the other, and the side that it is taken to; None without one.

    A bucket is answered by one side alone, so one answer to it tells which of the two a gateway follows.
    """
    for bucket in range(BUCKETS):
        old, new = (side_of(rules, bucket, settings) for rules in (before, after))
        if old and new and old != new:
            return bucket, new
    return None


def side_of(rules: list[Rule], bucket: int, settings: ClusterSettings) -> Variant | None:
    """Who answers GET /readyz with this bucket; None where that is left to chance, or to rules that are not ours."""
    theirs = [rule for rule in rules if any(_names(match, bucket) for match in rule.get("matches", ()))]
    anybody = [rule for rule in rules if any(_is_everybody(match) for match in rule.get("matches", ({},)))]
    if not (found := theirs or anybody):
        return None
    weighed = [one["name"] for one in found[0].get("backendRefs", ()) if one.get("weight", 1)]
    sides: dict[str, Variant] = {settings.stable: "stable", settings.canary: "canary"}
    return sides.get(weighed[0]) if len(weighed) == 1 else None


def _names(match: Rule, bucket: int) -> bool:
    return any(one["name"] == HEADER and one["value"] == str(bucket) for one in match.get("headers", ()))


def _is_everybody(match: Rule) -> bool:
    return not match.get("headers") and match.get("path", ANYWHERE["path"]) == ANYWHERE["path"]


def _sticky(buckets: tuple[int, ...] | list[int], backend: Rule) -> list[Rule]:
    """All requests of these buckets to one side."""
    matches = [
        {**ANYWHERE, "headers": [{"type": "Exact", "name": HEADER, "value": str(bucket)}]} for bucket in sorted(buckets)
    ]
    chunks = [matches[first : first + MOST_MATCHES] for first in range(0, len(matches), MOST_MATCHES)]
    return [{"matches": chunk, "backendRefs": [{**backend, "weight": 1}]} for chunk in chunks]


def _backend(name: str, settings: ClusterSettings) -> Rule:
    return {"group": "", "kind": "Service", "name": name, "port": settings.service_port}

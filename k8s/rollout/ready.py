"""PENDING: both variants serve the versions that the rollout is about. Pure."""

from k8s.rollout.pods import PodsSeen
from k8s.rollout.rollout import Rollout
from k8s.rollout.tick import Assessment
from training.verdict import Verdict


def assess_ready(rollout: Rollout, stable: PodsSeen, canary: PodsSeen) -> Assessment:
    """PASS when every wanted pod is ready and serves its version; else it is too early to tell."""
    reasons = (*_open("stable", stable, rollout.champion), *_open("canary", canary, rollout.challenger))
    if reasons:
        return Assessment(Verdict.INCONCLUSIVE, reasons)
    return Assessment(Verdict.PASS, ("both versions are ready",))


def _open(variant: str, seen: PodsSeen, version: str) -> list[str]:
    if seen.wanted < 1 or seen.ready < seen.wanted:
        told = f": {seen.said}" if seen.said else ""
        return [f"{variant}: {seen.ready} of {max(seen.wanted, 1)} pods are ready{told}"]
    if seen.versions != (version,):
        return [f"{variant}: expected version {version} to be served; got {', '.join(seen.versions) or 'none'}"]
    return []

"""Operations from the pods' own /metrics, for where there is no Prometheus.

The pods are read themselves, never through the gateway: a scrape that may reach the stable would promote a bad build
(argo-rollouts issue 1700).
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx

from k8s.evidence.scrape import Scrape, scrape
from k8s.evidence.step_counts import Found, so_far
from k8s.evidence.window import Missing, Operations
from k8s.rollout.pods import PodsSeen, Variant
from k8s.rollout.rollout import Rollout


class PodMetrics:
    """Reads every pod of both variants at each look."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def read(
        self, rollout: Rollout, pods: Mapping[Variant, PodsSeen], *, now: datetime
    ) -> tuple[Operations, dict[str, Any]]:
        return so_far(rollout, {variant: self._found(seen, now) for variant, seen in pods.items()}, now=now)

    def _found(self, pods: PodsSeen, now: datetime) -> Found:
        if not pods.metrics_urls:
            return Missing(f"no pod is ready{f': {pods.said}' if pods.said else ''}")
        found = {url: scrape(self._client, url) for url in pods.metrics_urls}
        return {url: replace(one, at=now.timestamp()) if isinstance(one, Scrape) else one for url, one in found.items()}

"""Operations from the pods' own /metrics, for where there is no Prometheus.

The pods are read themselves, never through the gateway: a scrape that may reach the stable would promote a bad build
(argo-rollouts issue 1700). A step's window of a pod is the difference to the first scrape of that step, which travels
with the rollout's state, so a controller that was killed goes on with it. A pod that restarted has lost its counts: it
is missing at that look and counts anew from there on.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from pydantic import TypeAdapter

from k8s.evidence.scrape import Scrape, difference, scrape
from k8s.evidence.window import Missing, Operations, Window
from k8s.rollout.pods import VARIANTS, PodsSeen, Variant
from k8s.rollout.rollout import Rollout


@dataclass(frozen=True)
class Noted:
    """What is remembered of one pod within a step."""

    began: Scrape
    window: Window | None = None  # of the latest look; kept when the pod is gone


_NOTES: TypeAdapter[dict[str, dict[str, Noted]]] = TypeAdapter(dict[str, dict[str, Noted]])
# Under this name among the rollout's marks.
MARK = "pods"


class PodMetrics:
    """Reads every pod of both variants at each look."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def read(
        self, rollout: Rollout, pods: Mapping[Variant, PodsSeen], *, now: datetime
    ) -> tuple[Operations, dict[str, Any]]:
        del now  # the pods are read now
        before = _NOTES.validate_python(json.loads(rollout.marks.get(MARK, "{}")))
        looked = {variant: self._look(before.get(variant, {}), pods[variant]) for variant in VARIANTS}
        notes = {str(variant): noted for variant, (_, noted) in looked.items()}
        return Operations(looked["canary"][0], looked["stable"][0]), {MARK: _text(notes)}

    def _look(self, before: Mapping[str, Noted], pods: PodsSeen) -> tuple[Window | Missing, dict[str, Noted]]:
        noted = dict(before)
        trouble = None if pods.metrics_urls else Missing(f"no pod is ready{f': {pods.said}' if pods.said else ''}")
        for url in pods.metrics_urls:
            found = scrape(self._client, url)
            if isinstance(found, Missing):
                trouble = found
            elif url not in noted:
                noted[url] = Noted(found)
            elif isinstance(window := difference(noted[url].began, found), Missing):
                trouble, noted[url] = window, Noted(found)
            else:
                noted[url] = Noted(noted[url].began, window)
        windows = [note.window for note in noted.values() if note.window]
        if trouble:
            return trouble, noted
        if not windows:
            return Missing("the first look at a step only reads where its counters stand"), noted
        return _sum(windows), noted


def _text(notes: dict[str, dict[str, Noted]]) -> str:
    # As text: the last bound is infinite, which JSON itself has no number for and Python's json does.
    return json.dumps(_NOTES.dump_python(notes))


def _sum(windows: list[Window]) -> Window | Missing:
    total, *others = windows
    for window in others:
        if window.latencies.bounds_ms != total.latencies.bounds_ms:
            return Missing("the pods of one variant have different latency buckets")
        total = total + window
    return total

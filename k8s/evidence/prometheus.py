"""Operations from Prometheus, where there is one: the increase of each counter since the step began.

NaN, an empty answer, a series whose newest sample is old, or a server that does not answer: Missing with its reason.
The labels that tell the variants apart are the deployment's own, so they are settings.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from k8s.evidence.scrape import window_of
from k8s.evidence.window import Missing, Operations, Window
from k8s.rollout.pods import PodsSeen, Variant
from k8s.rollout.rollout import Rollout

# Prometheus' duration of the shortest range that holds two scrapes of the usual 15 s.
SHORTEST = 30
_ERRORS = 'code=~"5.."'


@dataclass(frozen=True)
class PrometheusSettings:
    """Where Prometheus is, and which series are whose."""

    url: str
    stable: str = 'variant="stable"'  # matchers of the stable's series
    canary: str = 'variant="canary"'
    patience_seconds: float = 5.0


class NoAnswer(Exception):
    """A query gave nothing that can be counted."""


class PrometheusOperations:
    """Asks for both variants at each look. It needs no notes: the server remembers."""

    def __init__(self, settings: PrometheusSettings, client: httpx.Client) -> None:
        self._settings = settings
        self._client = client

    def read(
        self, rollout: Rollout, pods: Mapping[Variant, PodsSeen], *, now: datetime
    ) -> tuple[Operations, dict[str, Any]]:
        del pods  # the server knows them
        ours, theirs = (self._side(each, rollout, now) for each in (self._settings.canary, self._settings.stable))
        sides = [side[0] if isinstance(side, tuple) else side for side in (ours, theirs)]
        ages = [side[1] for side in (ours, theirs) if isinstance(side, tuple)]
        return Operations(sides[0], sides[1], age_seconds=max(ages, default=0.0)), {}

    def _side(self, matchers: str, rollout: Rollout, now: datetime) -> tuple[Window, float] | Missing:
        seconds = int((now - rollout.entered_at) / timedelta(seconds=1))
        if seconds < SHORTEST:
            return Missing(f"the step is {seconds} s old, Prometheus needs {SHORTEST} s of it")
        try:
            age = self._number(f"time() - min(timestamp(recommend_requests_total{{{matchers}}}))", now)
            return self._window(matchers, f"[{seconds}s]", now), age
        except NoAnswer as error:
            return Missing(str(error))

    def _window(self, matchers: str, span: str, now: datetime) -> Window:
        def increase(name: str, *more: str) -> str:
            return f"sum(increase({name}{{{', '.join((matchers, *more))}}}{span}))"

        requests = self._number(increase("recommend_requests_total"), now)
        errors = self._number(f"{increase('recommend_requests_total', _ERRORS)} or vector(0)", now)
        degraded = self._number(increase("recommend_degraded_total"), now)
        buckets = f"sum by (le) (increase(recommend_duration_seconds_bucket{{{matchers}}}{span}))"
        reached = {1000.0 * float(le): count for le, count in self._by_bound(buckets, now).items()}
        bounds = tuple(sorted(reached))
        return window_of(bounds, (requests, errors, degraded), tuple(reached[bound] for bound in bounds))

    def _number(self, query: str, now: datetime) -> float:
        found = self._ask(query, now)
        if len(found) != 1:
            raise NoAnswer(f"Prometheus gave {len(found)} values for {query}")
        return _finite(found[0], query)

    def _by_bound(self, query: str, now: datetime) -> Mapping[str, float]:
        found = self._ask(query, now)
        if not found:
            raise NoAnswer(f"Prometheus gave 0 values for {query}")
        return {str(each["metric"]["le"]): _finite(each, query) for each in found}

    def _ask(self, query: str, now: datetime) -> list[dict[str, Any]]:
        asked = {"query": query, "time": str(now.timestamp())}
        try:
            answer = self._client.get(
                f"{self._settings.url}/api/v1/query", params=asked, timeout=self._settings.patience_seconds
            )
            answer.raise_for_status()
            result: list[dict[str, Any]] = answer.json()["data"]["result"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise NoAnswer(f"Prometheus did not answer ({type(error).__name__})") from error
        return result


def _finite(found: Mapping[str, Any], query: str) -> float:
    try:
        value = float(found["value"][1])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise NoAnswer(f"Prometheus gave no number for {query}") from error
    if not math.isfinite(value):
        raise NoAnswer(f"Prometheus gave {value} for {query}")
    return value

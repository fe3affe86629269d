"""Operations from Prometheus, where there is one: the newest counters of each pod, as it scraped them.

They are read as they are and compared as those of the pods' own /metrics are, since `increase` extrapolates: within
two scrapes it may count twice of what was seen. NaN, an empty answer, a pod that is not scraped, counters that nobody
has read for long, a server that does not answer: missing evidence with its reason.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import Annotated, Any

import httpx
from prometheus_client.samples import Sample
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_repo.core.errors import SettingsRefused
from k8s.evidence.scrape import CPU, NEEDED, STARTED, Scrape, counters
from k8s.evidence.step_counts import Found, so_far
from k8s.evidence.window import Missing, Operations
from k8s.rollout.pods import PodsSeen, Variant
from k8s.rollout.rollout import Rollout

UP = "up"
_NAMES = "|".join((UP, *NEEDED.values(), CPU, STARTED))


class PrometheusSettings(BaseModel):
    """Where Prometheus is, and which series are whose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[str, Field(pattern=r"^https?://[^ ]+[^ /]$")]
    # Matchers of a variant's series. The names are the labels of k8s/manifests as Prometheus writes them.
    matchers: Annotated[str, Field(pattern=r"\{variant\}")] = (
        'namespace="{namespace}", app_kubernetes_io_name="recommender", recommender_variant="{variant}"'
    )
    namespace: Annotated[str, Field(min_length=1)] = "recommender"  # {namespace} of the matchers
    patience_seconds: Annotated[float, Field(gt=0)] = 5.0  # of one question


def prometheus_settings(url: str | None, matchers: str | None, *, namespace: str) -> PrometheusSettings | None:
    """The settings as a command is told them; None without an address.

    Raises:
        SettingsRefused: the address is none, or the matchers do not tell the variants apart.
    """
    if not url:
        return None
    stated = {"url": url.rstrip("/"), "namespace": namespace, **({"matchers": matchers} if matchers else {})}
    try:
        return PrometheusSettings.model_validate(stated)
    except ValidationError as error:
        raise SettingsRefused(
            "PROMETHEUS_URL is an address like http://prometheus:9090, and PROMETHEUS_MATCHERS holds {variant}; got "
            f"{url!r} and {matchers!r}"
        ) from error


class NoAnswer(Exception):
    """A question gave nothing that can be counted."""


class PrometheusOperations:
    """Asks for both variants at each look."""

    def __init__(self, settings: PrometheusSettings, client: httpx.Client) -> None:
        self._settings = settings
        self._client = client

    def read(
        self, rollout: Rollout, pods: Mapping[Variant, PodsSeen], *, now: datetime
    ) -> tuple[Operations, dict[str, Any]]:
        return so_far(rollout, {variant: self._found(variant, seen, now) for variant, seen in pods.items()}, now=now)

    def _found(self, variant: Variant, pods: PodsSeen, now: datetime) -> Found:
        matchers = self._settings.matchers.replace("{variant}", variant)
        matchers = matchers.replace("{namespace}", self._settings.namespace)
        try:
            samples = self._ask(f'{{__name__=~"{_NAMES}", {matchers}}}', now)
            read_at = {each.labels["instance"]: each.value for each in self._ask(f"timestamp({UP}{{{matchers}}})", now)}
        except NoAnswer as error:
            return Missing(str(error))
        found = {pod: _pod(pod, theirs, read_at) for pod, theirs in _by_pod(samples)}
        if len(found) < max(pods.ready, 1):
            return Missing(f"Prometheus knows {len(found)} of {pods.ready} ready pods by {matchers}")
        return found

    def _ask(self, query: str, now: datetime) -> list[Sample]:
        asked = {"query": query, "time": str(now.timestamp())}
        try:
            answer = self._client.get(
                f"{self._settings.url}/api/v1/query", params=asked, timeout=self._settings.patience_seconds
            )
            answer.raise_for_status()
            return [_sample(each) for each in answer.json()["data"]["result"]]
        except (httpx.HTTPError, ValueError, KeyError, TypeError, IndexError) as error:
            raise NoAnswer(f"Prometheus did not answer with counters ({type(error).__name__})") from error


def _sample(found: Mapping[str, Any]) -> Sample:
    labels = found["metric"]
    return Sample(labels.get("__name__", ""), {**labels, "instance": labels["instance"]}, float(found["value"][1]))


def _by_pod(samples: Iterable[Sample]) -> list[tuple[str, list[Sample]]]:
    ordered = sorted(samples, key=_instance_of)
    return [(pod, list(theirs)) for pod, theirs in groupby(ordered, key=_instance_of)]


def _instance_of(sample: Sample) -> str:
    return sample.labels["instance"]


def _pod(pod: str, samples: list[Sample], read_at: Mapping[str, float]) -> Scrape | Missing:
    up = [sample.value for sample in samples if sample.name == UP]
    if len(up) != 1:
        return Missing(f"Prometheus scrapes {pod} by {len(up)} jobs; the matchers are to name one")
    if up[0] != 1 or pod not in read_at:
        return Missing(f"Prometheus cannot read the metrics of {pod}")
    declared = {sample.name.removesuffix("_total").removesuffix("_bucket") for sample in samples}
    found = counters(declared, samples)
    return found if isinstance(found, Missing) else replace(found, at=read_at[pod])

"""Which side a gateway sends a bucket to, as the answers to a few requests tell."""

import httpx

from k8s.cluster.route_rules import HEADER
from k8s.cluster.settings import ClusterSettings
from k8s.loopback import loopback_client


def answers(settings: ClusterSettings, *, host: str | None, bucket: int) -> set[str]:
    """`stable` or `canary`, as /readyz names itself, else what came instead: of `gateway_answers` requests.

    Each is on a connection of its own, so that several replicas of a gateway are asked.
    """
    headers = {HEADER: str(bucket), "Connection": "close"} | ({"Host": host} if host else {})
    with loopback_client(timeout_seconds=settings.probe_seconds) as client:
        return {_answer(client, f"{settings.gateway}/readyz", headers) for _ in range(settings.gateway_answers)}


def _answer(client: httpx.Client, url: str, headers: dict[str, str]) -> str:
    try:
        answer = client.get(url, headers=headers)
    except httpx.HTTPError as error:
        return type(error).__name__
    try:
        return str(answer.json()["variant"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"

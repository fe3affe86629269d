"""The API server, as the rest of this folder talks to it: one call, with its time limit and its attempts.

A request that gets no answer, 429 or 5xx is tried again after 0.1, 0.2, 0.4 ... 2 seconds, until `patience_seconds` are
over; every other refusal is final at once. A write that was tried again may have been done the first time: those that
carry a resourceVersion then get a conflict, and creations a name that is taken, so nothing is ever done twice.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any, TypeVar

from k8s.cluster.errors import ClusterError, ClusterUnavailable, Conflict, translated
from k8s.cluster.settings import ClusterSettings

T = TypeVar("T")
PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)
LONGEST_PAUSE = 2.0


@dataclass(frozen=True)
class Api:
    """The parts of the API that a rollout uses. Built by `open_api`."""

    core: Any
    apps: Any
    batch: Any
    coordination: Any
    custom: Any
    settings: ClusterSettings
    close: Callable[[], None]
    sleep: Callable[[float], None] = time.sleep

    def call(self, verb: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """`verb(*args, **options)`, tried again while the server is away.

        Raises:
            ClusterError: it is refused, or the server stays away.
        """

        def attempt() -> Any:
            try:
                return verb(*args, _request_timeout=self.settings.request_seconds, **options)
            except Exception as error:  # noqa: BLE001 - the border: the client lets through what its parts raise
                raise translated(error) from None

        return self.again(attempt, after=ClusterUnavailable)

    def again(self, attempt: Callable[[], T], *, after: type[ClusterError] = Conflict) -> T:
        """What `attempt` gives, made again after errors of this kind until `patience_seconds` are over."""
        deadline = time.monotonic() + self.settings.patience_seconds
        for pause in pauses():
            with suppress(after):
                return attempt()
            if time.monotonic() + pause >= deadline:
                return attempt()
            self.sleep(pause)
        raise AssertionError("unreachable: the pauses never end")

    def wait(self, ready: Callable[[], bool], *, seconds: float, every: float | None = None) -> bool:
        """Whether `ready` came true within so many seconds, by a look every `every`, or else `poll_seconds`."""
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() >= deadline:
                return False
            self.sleep(every or self.settings.poll_seconds)
        return True


def pauses() -> Iterator[float]:
    return chain(PAUSES, repeat(LONGEST_PAUSE))


def open_api(settings: ClusterSettings, *, kubeconfig: Path | None = None) -> Api:
    """Connect as the pod that this is, or else as a kubeconfig file says: `kubeconfig`, KUBECONFIG, ~/.kube/config.

    Raises:
        ClusterError: there is no such file, or it names no cluster.
    """
    from kubernetes import client, config
    from kubernetes.config.config_exception import ConfigException

    configuration = client.Configuration()
    try:
        if kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(configuration)
        else:
            path = str(kubeconfig) if kubeconfig else None
            config.load_kube_config(config_file=path, client_configuration=configuration)
    except ConfigException as error:
        raise ClusterError(f"a cluster needs a service account or a kubeconfig file; got {error}") from None
    # Attempts are ours: urllib3 would make three at once, without a pause.
    configuration.retries = False
    found = client.ApiClient(configuration)
    return Api(
        core=client.CoreV1Api(found),
        apps=client.AppsV1Api(found),
        batch=client.BatchV1Api(found),
        coordination=client.CoordinationV1Api(found),
        custom=client.CustomObjectsApi(found),
        settings=settings,
        close=found.rest_client.close,
    )

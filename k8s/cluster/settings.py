"""Names of what a rollout works on in a cluster, and how long it waits for each thing."""

import os
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_repo.core.errors import SettingsRefused

VARIABLES = {"namespace": "POD_NAMESPACE", "gateway": "GATEWAY_URL"}
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ClusterSettings(BaseModel):
    """The names are those of k8s/manifests, which a test compares."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: Name = "recommender"
    stable: Name = "recommender-stable"  # Deployment and Service of the version that serves
    canary: Name = "recommender-canary"  # those of the version that is released
    container: Name = "recommender"  # the one in their pods whose image is a version
    port: Annotated[int, Field(ge=1, le=65_535)] = 3000  # of that container
    service_port: Annotated[int, Field(ge=1, le=65_535)] = 80  # of both Services
    route: Name = "recommender"  # HTTPRoute
    state: Name = "recommender-rollout"  # ConfigMap
    lease: Name = "recommender-controller"
    train: Name = "recommender-train"  # CronJob whose template a retraining Job is made of
    # One request: longer than a slow API server takes, short enough to be tried again.
    request_seconds: Seconds = 5.0
    # One call with all its attempts; the controller comes back to what failed.
    patience_seconds: Seconds = 15.0
    # From a changed route to the gateway's word that it follows it.
    live_seconds: Seconds = 30.0
    # Where the route's gateway answers, as seen from here: it is asked whether it follows a change. None: it cannot be.
    gateway: Annotated[str, Field(pattern=r"^https?://[^/]+$")] | None = None
    # Right answers in a row, each on a connection of its own: a gateway may have several replicas.
    gateway_answers: Annotated[int, Field(ge=1)] = 3
    # Where it cannot be asked: from a gateway's acceptance, which is all that it says, to its doing so. Traefik 3.7
    # took up to 0.6 s on a busy machine; a request that is routed as before costs nothing, since both sides serve.
    settle_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.6
    route_poll_seconds: Seconds = 0.05  # between two looks while waiting for a route: users wait for its weight
    # From a changed Deployment to all of its pods answering with the new version; its progress deadline is 300 s.
    ready_seconds: Seconds = 330.0
    poll_seconds: Seconds = 0.5  # between two looks while waiting
    probe_seconds: Seconds = 2.0  # one request to a pod itself
    # Whoever has not renewed the Lease for so long has lost it; it acts no more well before.
    lease_seconds: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 15.0
    watch_seconds: Annotated[int, Field(ge=1)] = 240  # one watch, then the next goes on where it ended


def cluster_settings(environ: Mapping[str, str] | None = None) -> ClusterSettings:
    """The settings with what the environment says: POD_NAMESPACE, a pod's own, and GATEWAY_URL.

    Raises:
        SettingsRefused: a variable breaks its rule.
    """
    environ = os.environ if environ is None else environ
    given = {field: environ[name] for field, name in VARIABLES.items() if environ.get(name)}
    try:
        return ClusterSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        raise SettingsRefused(f"{VARIABLES[field]}: {first['msg']}; got {first['input']!r}") from None

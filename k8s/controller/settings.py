"""What the controller is told."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from k8s.cluster.settings import Seconds
from k8s.evidence.prometheus import PrometheusSettings

Text = Annotated[str, Field(min_length=1, max_length=253)]


class ControllerSettings(BaseModel):
    """How often it looks, what it reads, and where it is asked how it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    identity: Text  # unique among controllers: the pod's name
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080  # of /livez, /readyz and /metrics; 0 takes a free one
    turn_seconds: Seconds = 5.0  # between two looks at the rollout; a change of the canary's pods brings one at once
    # Longer than a turn may take with all its waits (a route 30 s, calls 15 s each): from then on it counts as stuck.
    stuck_seconds: Seconds = 180.0
    attribution_seconds: Seconds = 1800.0  # from a slate to an event that still counts for it
    clicks: tuple[Text, ...] = ("click",)  # types of events that count as a click
    conversions: tuple[Text, ...] = ("purchase",)  # and as a conversion
    prometheus: PrometheusSettings | None = (
        None  # whom operations are asked of; without it the pods are read themselves
    )

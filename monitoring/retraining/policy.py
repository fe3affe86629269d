"""When a new model is trained without anybody asking for it, and how often at most."""

from pydantic import BaseModel, ConfigDict, Field

DRIFT, SKEW, AGE, ONLINE = "drift", "skew", "age", "online metric"


class RetrainingPolicy(BaseModel):
    """Limits. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    triggers: tuple[str, ...] = (DRIFT, SKEW, AGE, ONLINE)  # signals that may start a training
    cooldown_hours: float = Field(default=24.0, ge=0)  # from the start of one training to the start of the next
    a_day: int = Field(default=1, ge=1)  # trainings that may be started on one day, UTC
    champion_days: float = Field(default=30.0, gt=0)  # age of the champion, since it was registered, that is too old
    report_hours: float = Field(default=48.0, gt=0)  # age of a report from which on it says nothing any more
    online_days: float = Field(
        default=7.0, gt=0
    )  # the newest requests, whose rate is held against that of earlier ones
    online_fall: float = Field(default=0.1, gt=0, lt=1)  # relative fall of the rate that is worth a training
    online_requests: int = Field(default=500, ge=1)  # that either side needs
    attribution_hours: float = Field(default=24.0, gt=0)  # after a request, in which an event answers it
    resamples: int = Field(default=1_000, ge=100)  # of users, for the limits of the rate's change
    seed: int = 20_240  # of that resampling

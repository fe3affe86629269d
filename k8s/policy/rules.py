"""What a rollout must show before it may go on: one frozen, typed value whose numbers carry their units.

A measure has two numbers, and the range between them is where either answer is right: `tolerated` is the harm up to
which nobody wants the release back, `limit` the harm that must be ruled out before a step may pass. So a step ends:
true harm below the one cannot be shown to lie above it, and true harm above the other cannot be ruled out.
"""

from itertools import pairwise
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from k8s.policy.units import Margin, Milliseconds, Ratio, Seconds, Share


class _Part(BaseModel):
    # Defaults are written in the file's own words, so they are checked and converted like a file's.
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class ShareRule(_Part):
    """Excess of a share of the canary's requests over the stable's share, in percentage points."""

    tolerated: Share  # FAIL when the excess is shown to be more than this
    limit: Margin  # PASS when the excess is shown to be less than this

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.tolerated >= self.limit:
            raise ValueError("expected tolerated to be below limit, so that a question can be closed either way")
        return self


class LatencyRule(_Part):
    """The canary's p50 and tail against the stable's, each raised by a ratio, and by a floor at least."""

    tail: Margin = "99 %"  # type: ignore[assignment]  # the quantile that stands for the slow answers
    max_ratio: Ratio = "1.5 x"  # type: ignore[assignment]
    # Excess that is never held against a canary: below it a ratio measures noise.
    floor: Milliseconds = "2 ms"  # type: ignore[assignment]


class SaturationRule(_Part):
    """CPU time that a request takes of the canary's pods, in times of what it takes of the stable's.

    It says how full a pod would be at full traffic, which a canary with little of it does not show.
    """

    tolerated: Ratio = "1.5 x"  # type: ignore[assignment]  # FAIL when the ratio is shown to be more than this
    # PASS when the ratio is shown to be less than this. Null: it can end a rollout and never holds one up.
    limit: Ratio | None = "2 x"  # type: ignore[assignment]
    # Of a CPU, for each pod of the canary: what it may spend on no request at all (probes, scrapes, new item tables).
    # With little traffic hardly anything else is measured.
    idle: Share = "5 %"  # type: ignore[assignment]
    # Fewest looks at a step, of either variant, between which requests were counted, before it is judged.
    min_looks: Annotated[int, Field(ge=3)] = 8

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.limit is not None and self.tolerated >= self.limit:
            raise ValueError("expected tolerated to be below limit, so that a question can be closed either way")
        return self


class RateRule(_Part):
    """Loss of a rate an impression, relative to the stable's rate, clustered by user."""

    tolerated: Share = "2 %"  # type: ignore[assignment]  # FAIL when the loss is shown to be more than this
    # PASS when the loss is shown to be less than this, one number for each step: little traffic, a coarse question.
    # Empty: the rate can end a rollout and never holds one up.
    limits: tuple[Margin, ...] = ("25 %", "15 %", "10 %", "5 %")  # type: ignore[assignment]
    # The loss that the sequential test is tuned for: it is found soonest, others a little later.
    tuned_for: Margin = "10 %"  # type: ignore[assignment]
    # Fewest users of each variant, and fewest clicks of the canary, before the rate is judged at all.
    min_users: Annotated[int, Field(ge=2)] = 200
    min_clicks: Annotated[int, Field(ge=1)] = 100


class ShadowPolicy(_Part):
    """The step before any user sees the canary: requests are mirrored, its answers are compared and thrown away."""

    # Fewest pairs of answers to one request before the shadow is judged.
    min_pairs: Annotated[int, Field(ge=1)] = 500
    # Smallest mean share of items that both slates of a pair hold. A challenger is meant to differ: this finds the
    # one that answers something else altogether.
    min_overlap: Share = "5 %"  # type: ignore[assignment]
    # Largest share of mirrored requests that the canary left without an answer in its log.
    max_unanswered: Margin = "5 %"  # type: ignore[assignment]
    deadline: Seconds = "1 h"  # type: ignore[assignment]


class CanaryPolicy(_Part):
    """How far, how long and by which margins a canary is judged."""

    # Weights of the canary, one for each step, in percent of requests. They rise; after the last comes PROMOTED.
    steps: tuple[Annotated[int, Field(ge=1, le=99)], ...] = (1, 5, 25, 50)
    # Fewest requests that the canary itself has answered in a step before the step may pass.
    min_requests: Annotated[int, Field(ge=1)] = 500
    # A step lasts at least this long, and at most the deadline; then an open question halts the rollout.
    min_time: Seconds = "60 s"  # type: ignore[assignment]
    deadline: Seconds = "2 h"  # type: ignore[assignment]
    # Failed requests (5xx), and answers that went on without a part.
    errors: ShareRule = ShareRule(tolerated="0.1 %", limit="0.5 %")
    degraded: ShareRule = ShareRule(tolerated="0.5 %", limit="2 %")
    latency: LatencyRule = LatencyRule()
    # CPU time a request. Null: it is not judged, for pods that do not say what they take.
    saturation: SaturationRule | None = SaturationRule()
    # Clicks and conversions an impression. Null: the rollout is judged on operations only.
    clicks: RateRule | None = RateRule()
    conversions: RateRule | None = RateRule(limits=(), tolerated="5 %", tuned_for="20 %")
    # Chance that a canary no worse than what is tolerated is rolled back, over the whole rollout, all measures and
    # all looks.
    false_alarm: Margin = "5 %"  # type: ignore[assignment]
    # Chance that a canary as bad as a limit passes the step of that limit, for each measure.
    false_pass: Margin = "5 %"  # type: ignore[assignment]
    # Chance that an honest split is called a mismatch.
    mismatch: Margin = "0.1 %"  # type: ignore[assignment]
    # Longest time without any word of the operations of one side; then no more is expected, and the rollout halts.
    max_silence: Seconds = "5 min"  # type: ignore[assignment]
    # Oldest evidence that counts.
    max_age: Seconds = "60 s"  # type: ignore[assignment]

    @field_validator("steps")
    @classmethod
    def _steps_rise(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        if not steps or any(lower >= higher for lower, higher in pairwise(steps)):
            raise ValueError("expected weights from 1 to 99 that rise")
        return steps

    @model_validator(mode="after")
    def _one_limit_a_step(self) -> Self:
        for name, rule in (("clicks", self.clicks), ("conversions", self.conversions)):
            if rule and rule.limits and len(rule.limits) != len(self.steps):
                raise ValueError(
                    f"expected a limit of {name} for each of {len(self.steps)} steps; got {len(rule.limits)}"
                )
            if rule and any(limit <= rule.tolerated for limit in rule.limits):
                raise ValueError(f"expected every limit of {name} to be above what is tolerated")
        return self


class RolloutPolicy(_Part):
    """The whole of a rollout. With `shadow: null` the first step is the canary's."""

    shadow: ShadowPolicy | None = ShadowPolicy()
    canary: CanaryPolicy = CanaryPolicy()
    # A pod that is not ready by then leaves the rollout without evidence: it halts.
    ready_deadline: Seconds = "10 min"  # type: ignore[assignment]

"""Whether a log can say anything about a target policy, and the sentence where it cannot."""

from pydantic import BaseModel, ConfigDict, Field

from monitoring.experiments.offpolicy.estimators import Logged, effective_requests, mean_weight

CERTAINTY = 0.001  # chance to refuse a log that has everything


class OffPolicyPolicy(BaseModel):
    """What makes an estimate worth reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    least_effective: float = Field(1_000, gt=0)  # effective requests below which nothing is said
    alpha: float = Field(0.05, gt=0, lt=0.5)  # of the two-sided intervals


def unsupported(logged: Logged, policy: OffPolicyPolicy) -> list[str]:
    """Why the log cannot answer, one sentence each; none where it can.

    The log holds the propensity of what was shown and not of what could have been. But the weights average 1 exactly
    where everything that the target shows had a chance of being shown: so the average tells what is missing.
    """
    found = []
    average = mean_weight(logged)
    low, high = (float(end) for end in average.interval(CERTAINTY))
    # Weights that are all alike have no interval: the target shows what was shown, or nothing of it.
    if not low <= 1 <= high and abs(float(average.value) - 1) > 1e-9:
        found.append(
            f"the target's weights average {float(average.value):.3f} ({low:.3f} to {high:.3f}) and not 1: "
            + (
                "it shows items at places where the log never does"
                if high < 1
                else "the propensities are not what was drawn with"
            )
        )
    if not logged.rewards.any():
        found.append(f"an answer needs clicks; none of {logged.weights.shape[0]:,} requests has one")
    effective = float(effective_requests(logged.weights.prod(axis=-1)))
    if effective < policy.least_effective:
        found.append(
            f"{logged.weights.shape[0]:,} requests are worth {effective:,.0f} under the target; "
            f"an answer needs {policy.least_effective:,.0f}"
        )
    return found

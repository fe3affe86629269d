"""What was seen of one metric of one treatment against the control."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Comparison:
    """What was seen. The limits are at level 1 - alpha of one treatment."""

    metric: str
    role: Literal["primary", "guardrail", "secondary"]
    treatment: str
    better: Literal["higher", "lower"]
    margin: float | None
    control_value: float
    treatment_value: float
    difference: float
    difference_low: float
    difference_high: float
    lift: float
    lift_low: float
    lift_high: float
    p_value: float
    test: str
    rank_p_value: float | None  # Mann-Whitney's, of amounts
    variance_left: float  # variance after adjustment over variance before; 1 without adjustment

    @property
    def gain(self) -> float:
        """The lift, turned so that higher is better."""
        return self.lift if self.better == "higher" else -self.lift

    @property
    def gain_low(self) -> float:
        """The lower limit of the lift, turned so that higher is better."""
        return self.lift_low if self.better == "higher" else -self.lift_high

    @property
    def gain_high(self) -> float:
        return self.lift_high if self.better == "higher" else -self.lift_low

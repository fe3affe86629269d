"""The promotion policy: a pure function of the evidence. What is missing is never success."""

from training.promotion.decide import Decision, decide
from training.promotion.evidence import Evidence
from training.promotion.policy import PromotionPolicy

__all__ = ["Decision", "Evidence", "PromotionPolicy", "decide"]

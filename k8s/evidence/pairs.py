"""What a shadow is judged on: both variants' answers to the same requests."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pairs:
    """Answers of the stable beside the canary's to the mirrored copy of the same request."""

    mirrored: int  # requests of the stable's log that are old enough for the canary's answer to be in its log
    answered: int  # of them, those that the canary's log holds
    overlap: float  # mean share of the stable's slate that the canary's slate holds
    same_first: float  # share of pairs whose first items are equal
    rank_correlation: float | None  # mean of Kendall's tau over the items of both slates; None where none had two
    score_shift: float | None  # mean of canary's minus stable's score of the same item; None where none was shared

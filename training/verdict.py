"""The three answers that a check can give."""

from enum import StrEnum


class Verdict(StrEnum):
    """INCONCLUSIVE is what missing, stale or too little evidence gives; it never promotes."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"

"""What a person may choose on the command line. Light, since every command reads it."""

from enum import StrEnum


class Fault(StrEnum):
    """What goes wrong."""

    NONE = "none"
    ERRORS = "errors"  # every tenth request fails
    SLOW = "slow"  # 100 ms more on every request
    WORSE = "worse"  # simulated people click a third as often on its slates
    NODATA = "nodata"  # no metrics

    @property
    def told(self) -> str:
        """What it does, for a reader of the report."""
        return _TOLD[self]


_TOLD = {
    Fault.NONE: "nothing goes wrong",
    Fault.ERRORS: "every tenth request to the canary fails",
    Fault.SLOW: "every answer of the canary takes 100 ms more",
    Fault.WORSE: "people click a third as often on the canary's slates",
    Fault.NODATA: "the canary has no metrics",
}


class Users(StrEnum):
    """Who asks."""

    SIMULATED = "simulated"  # people who click, so that quality is judged too
    REPLAY = "replay"  # real held-out events, judged on operations only


class Word(StrEnum):
    """What an operator may say to a rollout."""

    STATUS = "status"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    SKIP = "skip"

"""Runs the stages of a request: measures each one, keeps the request's time, and says which did not work.

This is the one place that catches whatever a stage raises: an answer goes on without the stage. What was raised is in
the log, at most once in LOG_SECONDS for each stage, since a broken part breaks in every request.
"""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from serving.graph.deadline import Deadline
from serving.graph.meter import Meter

logger = logging.getLogger("serving.graph")

Value = TypeVar("Value")
LOG_SECONDS = 10.0
SMOOTHING = 0.1  # of the running mean of a stage's seconds


class Runner:
    """One process's stages. What a stage usually takes is learnt as it runs."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._usual: dict[str, float] = {}
        self._logged: dict[str, float] = {}

    def run(self, stage: str, call: Callable[[], Value], *, before: Deadline | None = None) -> Value | None:
        """What `call` gives; None when it raises, or when `before` leaves it less time than it usually takes."""
        started = time.perf_counter()
        if before is not None and before.left(started) < self._usual.get(stage, 0.0):
            # Else one slow request, like the first, would keep the stage out for good.
            self._usual[stage] = self._usual.get(stage, 0.0) * (1 - SMOOTHING)
            self._meter.rung(f"{stage}_late")
            return None
        try:
            value = call()
        except Exception:
            value = None
            self._meter.rung(f"{stage}_failed")
            if started - self._logged.get(stage, -LOG_SECONDS) >= LOG_SECONDS:
                self._logged[stage] = started
                logger.exception("stage_failed stage=%s", stage)
        self._took(stage, time.perf_counter() - started)
        return value

    def _took(self, stage: str, seconds: float) -> None:
        usual = self._usual.get(stage, seconds)
        self._usual[stage] = usual + SMOOTHING * (seconds - usual)
        self._meter.stage(stage, seconds)

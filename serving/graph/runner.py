"""Runs the stages of a request: measures each one, keeps the request's time, and says which did not work.

This is the one place that catches whatever a stage raises: an answer goes on without the stage. What was raised is in
the log, at most once in LOG_SECONDS for each stage, since a broken part breaks in every request.
"""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from feature_repo.core.steps import Steps, step
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
        if self._is_late(stage, before):
            return None
        value, started = None, time.perf_counter()
        try:
            value = call()
        except Exception:  # noqa: BLE001 - an answer goes on without the stage
            self._failed(stage)
        self._took(stage, time.perf_counter() - started)
        return value

    def run_in_steps(self, stage: str, steps: Steps[Value], *, before: Deadline | None = None) -> Steps[Value | None]:
        """The same of a stage that rests; the time in which it rests is not the stage's."""
        if self._is_late(stage, before):
            return None
        found: tuple[Value | None] | None = None
        seconds = 0.0
        while True:
            started = time.perf_counter()
            try:
                found = step(steps)
            except Exception:  # noqa: BLE001 - the same
                self._failed(stage)
                found = (None,)
            seconds += time.perf_counter() - started
            if found is not None:
                break
            yield
        self._took(stage, seconds)
        return found[0]

    def _is_late(self, stage: str, before: Deadline | None) -> bool:
        if before is None or before.left(time.perf_counter()) >= self._usual.get(stage, 0.0):
            return False
        # Else one slow request, like the first, would keep the stage out for good.
        self._usual[stage] = self._usual.get(stage, 0.0) * (1 - SMOOTHING)
        self._meter.rung(f"{stage}_late")
        return True

    def _failed(self, stage: str) -> None:
        """Count what is being raised; to be called where it was caught."""
        now = time.perf_counter()
        self._meter.rung(f"{stage}_failed")
        if now - self._logged.get(stage, -LOG_SECONDS) >= LOG_SECONDS:
            self._logged[stage] = now
            logger.exception("stage_failed stage=%s", stage)

    def _took(self, stage: str, seconds: float) -> None:
        usual = self._usual.get(stage, seconds)
        self._usual[stage] = usual + SMOOTHING * (seconds - usual)
        self._meter.stage(stage, seconds)
